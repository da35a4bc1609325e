/* safetensors_save.c: checks a stack's configuration and weights, and writes them as a file that can be loaded. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api/check_layer.h"
#include "api/check_view.h"
#include "core/activation.h"
#include "core/check_range.h"
#include "core/error.h"
#include "core/number.h"
#include "json.h"
#include "replace_file.h"
#include "safetensors.h"
#include "sort.h"
#include "stack/stack_check.h"
#include "text.h"
#include "variant.h"

enum { NAME = 80 }; /* bytes of a tensor's name or a key, without its prefix */

/* The tensors of a sublayer. */
enum { PART_W, PART_R, PART_BW, PART_BR, PART_H0, PART_W_SCALE, PART_R_SCALE, PARTS };

/* ---- checks ---- */

static gru_status check_weights(const gru_weights *weights, const char *who) {
    const int int8 = weights->type == GRU_INT8;
    if (!gru_dtype_name(weights->type))
        return gru_fail(GRU_UNSUPPORTED,
                        "%s.type is %s (%d), expected f32, f16, bf16, f64 or int8: files hold these", who,
                        gru_type_name(weights->type), weights->type);
    if (weights->on_device)
        return gru_fail(GRU_BAD_ARGUMENT, "%s.on_device is %d, expected 0: only host memory can be written",
                        who, weights->on_device);
    if (!weights->W || !weights->R)
        return gru_fail(GRU_BAD_ARGUMENT, "%s.%s is NULL", who, weights->R ? "W" : "R");
    if (int8 && (!weights->W_scale || !weights->R_scale))
        return gru_fail(GRU_BAD_ARGUMENT, "%s.%s is NULL, expected a scale for each row with GRU_INT8", who,
                        weights->R_scale ? "W_scale" : "R_scale");
    if (!int8 && (weights->W_scale || weights->R_scale))
        return gru_fail(GRU_BAD_ARGUMENT,
                        "%s.%s is given, expected NULL: its type is %s, and scales go with int8", who,
                        weights->W_scale ? "W_scale" : "R_scale", gru_type_name(weights->type));
    return gru_check_reserved(who, weights->reserved, 4);
}

/* A sentence about part of a sublayer, of which it does not say which. */
static gru_status of_sublayer(gru_status status, int32_t k, int32_t d) {
    if (status == GRU_OK) return GRU_OK;
    return gru_fail(status, "config.layers[%d]%s: %s", k, d ? ", reverse" : "", gru_last_error());
}

static gru_status check_sublayer(const gru_stack_layer *layer, int32_t k, int32_t d) {
    char who[NAME];
    const gru_weights *weights = &layer->weights[d];
    gru_layer_config config = *gru_stack_config_of(layer, d);
    GRU_TRY(of_sublayer(gru_check_layer_config(&config), k, d));
    (void)snprintf(who, sizeof who, "config.layers[%d].weights[%d]", k, d);
    GRU_TRY(check_weights(weights, who));
    if (weights->type != GRU_INT8) return GRU_OK;
    config.weight_type = GRU_F32; /* loading's default: scales and products are finite */
    return of_sublayer(gru_check_weights_range(&config, weights), k, d);
}

/* Whatever loading would refuse is refused here. */
static gru_status check_config(const gru_stack_config *config, const char *prefix) {
    size_t where;
    GRU_TRY(gru_stack_check_config(config));
    if (config->layers[0].config.inputs < 1)
        return gru_fail(GRU_BAD_ARGUMENT, "config.layers[0].config.inputs is %d, expected 1 or more",
                        config->layers[0].config.inputs);
    if (!gru_utf8_valid((const uint8_t *)prefix, strlen(prefix), &where))
        return gru_fail(GRU_BAD_ARGUMENT, "prefix is not UTF-8 at its byte %zu", where);
    for (int32_t k = 0; k < config->count; k++)
        for (int32_t d = 0; d <= config->layers[k].bidirectional; d++)
            GRU_TRY(check_sublayer(&config->layers[k], k, d));
    return GRU_OK;
}

/* Bytes of a tensor, SIZE_MAX: too large. */
static size_t bytes_of(const gru_named_tensor *tensor) {
    size_t bytes = gru_type_bytes(tensor->type);
    for (int32_t i = 0; i < tensor->rank; i++) bytes = gru_size_times(bytes, (size_t)tensor->shape[i]);
    return bytes;
}

/* A name that the loader would take for a part of the GRU. */
static int is_of_gru(const char *name, const char *prefix) {
    static const char *const starts[] = {"weight_ih_l", "weight_hh_l",       "bias_ih_l",        "bias_hh_l",
                                         "h0_l",        "weight_ih_scale_l", "weight_hh_scale_l"};
    const size_t length = strlen(prefix);
    if (strncmp(name, prefix, length) != 0) return 0;
    for (size_t i = 0; i < sizeof starts / sizeof *starts; i++)
        if (strncmp(name + length, starts[i], strlen(starts[i])) == 0) return 1;
    return 0;
}

static gru_status check_name(const gru_named_tensor *tensors, int32_t i, const char *prefix) {
    const char *name = tensors[i].name;
    size_t where;
    if (!name) return gru_fail(GRU_BAD_ARGUMENT, "tensors[%d].name is NULL", i);
    if (!gru_utf8_valid((const uint8_t *)name, strlen(name), &where))
        return gru_fail(GRU_BAD_ARGUMENT, "tensors[%d].name is not UTF-8 at its byte %zu", i, where);
    if (is_of_gru(name, prefix) || strcmp(name, "__metadata__") == 0)
        return gru_fail(GRU_BAD_ARGUMENT,
                        "tensors[%d].name is \"%.200s\", a name that the stack's file needs itself", i, name);
    return GRU_OK;
}

static int by_name(const void *user, uint32_t a, uint32_t b) {
    const gru_named_tensor *tensors = user;
    const int order = strcmp(tensors[a].name, tensors[b].name);
    return order != 0 ? order : a < b ? -1 : 1;
}

/* Checked names; a file has no two tensors of one name. */
static gru_status check_distinct(const gru_named_tensor *tensors, int32_t count) {
    if (count < 2) return GRU_OK;
    uint32_t *sorted = malloc((size_t)count * sizeof *sorted);
    if (!sorted) return gru_fail(GRU_OUT_OF_MEMORY, "no memory to compare the names of %d tensors", count);
    for (uint32_t i = 0; i < (uint32_t)count; i++) sorted[i] = i;
    gru_sort(sorted, (uint32_t)count, by_name, tensors);
    gru_status status = GRU_OK;
    for (int32_t i = 1; i < count && status == GRU_OK; i++)
        if (strcmp(tensors[sorted[i - 1]].name, tensors[sorted[i]].name) == 0)
            status = gru_fail(GRU_BAD_ARGUMENT, "tensors[%u].name is \"%.200s\", as that of tensors[%u]",
                              sorted[i], tensors[sorted[i]].name, sorted[i - 1]);
    free(sorted);
    return status;
}

static gru_status check_tensor(const gru_named_tensor *tensors, int32_t i) {
    const gru_named_tensor *t = &tensors[i];
    char who[NAME];
    if (!gru_dtype_name(t->type) || t->type == GRU_INT8)
        return gru_fail(GRU_UNSUPPORTED, "tensors[%d].type is %d, expected f32, f16, bf16 or f64", i,
                        t->type);
    if (t->rank < 0 || t->rank > GRU_TENSOR_RANK)
        return gru_fail(GRU_BAD_ARGUMENT, "tensors[%d].rank is %d, expected 0 to %d", i, t->rank,
                        GRU_TENSOR_RANK);
    for (int32_t k = 0; k < t->rank; k++)
        if (t->shape[k] < 0)
            return gru_fail(GRU_BAD_ARGUMENT, "tensors[%d].shape[%d] is %lld, expected 0 or more", i, k,
                            (long long)t->shape[k]);
    if (bytes_of(t) >= GRU_JSON_TOO_LARGE)
        return gru_fail(GRU_BAD_ARGUMENT, "tensors[%d] has %zu bytes, expected less than %zu", i, bytes_of(t),
                        GRU_JSON_TOO_LARGE);
    if (!t->data && bytes_of(t) > 0)
        return gru_fail(GRU_BAD_ARGUMENT, "tensors[%d].data is NULL, expected %zu bytes", i, bytes_of(t));
    (void)snprintf(who, sizeof who, "tensors[%d]", i);
    return gru_check_reserved(who, t->reserved, 2);
}

/* ---- the tensors, in the order of the file ---- */

/* What a file is made of. */
typedef struct saved {
    const gru_stack_config *config;
    const char *prefix;
    const gru_named_tensor *tensors; /* [count] beside the stack's */
    int32_t count;
    int learned_states; /* a sublayer has an initial state: then all are written */
} saved;

typedef struct part {
    char room[NAME];
    const char *prefix, *name; /* name may be in room */
    const void *data;          /* NULL: zeros */
    int32_t type, rank;
    int64_t shape[GRU_TENSOR_RANK];
    size_t bytes;
} part;

static int has_learned_states(const gru_stack_config *config) {
    for (int32_t k = 0; k < config->count; k++)
        for (int d = 0; d <= config->layers[k].bidirectional; d++)
            if (config->layers[k].h0[d]) return 1;
    return 0;
}

static int has_part(const saved *s, const gru_weights *w, int i) {
    if (i == PART_BW || i == PART_BR) return w->bW || w->bR;
    if (i == PART_H0) return s->learned_states;
    return i < PART_W_SCALE || w->type == GRU_INT8;
}

/* Tensor i of one sublayer. */
static void describe(const gru_stack_layer *layer, int32_t k, int d, int i, part *p) {
    static const char *const names[PARTS] = {"weight_ih", "weight_hh",       "bias_ih",        "bias_hh",
                                             "h0",        "weight_ih_scale", "weight_hh_scale"};
    const gru_weights *w = &layer->weights[d];
    const void *const data[PARTS] = {w->W, w->R, w->bW, w->bR, layer->h0[d], w->W_scale, w->R_scale};
    const int reverse = layer->bidirectional ? d : layer->config.direction == GRU_REVERSE;
    const int is_matrix = i == PART_W || i == PART_R;
    const int64_t H = gru_stack_config_of(layer, d)->hidden;
    (void)snprintf(p->room, sizeof p->room, "%s_l%d%s", names[i], k, reverse ? "_reverse" : "");
    p->name = p->room;
    p->data = data[i];
    p->type = w->type == GRU_INT8 && !is_matrix ? GRU_F32 : w->type;
    p->rank = is_matrix ? 2 : 1;
    p->shape[0] = i == PART_H0 ? H : 3 * H;
    p->shape[1] = i == PART_W ? layer->config.inputs : i == PART_R ? H : 1;
    p->bytes = (size_t)p->shape[0] * (size_t)p->shape[1] * gru_type_bytes(p->type);
}

typedef gru_status (*visitor)(void *user, const part *p);

static part part_of(const gru_named_tensor *tensor) {
    part p = {
        .prefix = "", .name = tensor->name, .data = tensor->data, .type = tensor->type, .rank = tensor->rank};
    memcpy(p.shape, tensor->shape, sizeof p.shape);
    p.bytes = bytes_of(tensor);
    return p;
}

static gru_status visit_stack(const saved *s, size_t element, visitor visit, void *user) {
    for (int32_t k = 0; k < s->config->count; k++) {
        const gru_stack_layer *layer = &s->config->layers[k];
        for (int d = 0; d <= layer->bidirectional; d++)
            for (int i = 0; i < PARTS; i++) {
                part p = {.prefix = s->prefix};
                if (!has_part(s, &layer->weights[d], i)) continue;
                describe(layer, k, d, i, &p);
                if (gru_type_bytes(p.type) == element) GRU_TRY(visit(user, &p));
            }
    }
    return GRU_OK;
}

/* Calls visit for every tensor: large elements first, so that each is aligned though nothing lies between them. */
static gru_status visit_all(const saved *s, visitor visit, void *user) {
    for (size_t element = 8; element >= 1; element /= 2) {
        GRU_TRY(visit_stack(s, element, visit, user));
        for (int32_t i = 0; i < s->count; i++) {
            const part p = part_of(&s->tensors[i]);
            if (gru_type_bytes(p.type) == element) GRU_TRY(visit(user, &p));
        }
    }
    return GRU_OK;
}

/* ---- header ---- */

typedef struct header {
    gru_text text;
    const char *prefix;
    size_t offset; /* of the next tensor in the data */
} header;

/* "PREFIXkey":"value" */
static void add_word(header *h, const char *key, const char *value) {
    gru_text_add_string(&h->text, h->prefix, key);
    gru_text_add(&h->text, ":");
    gru_text_add_string(&h->text, value, "");
}

static void add_sizes(header *h, const char *key, const size_t *sizes, int count) {
    gru_text_add(&h->text, key);
    gru_text_add(&h->text, "[");
    for (int i = 0; i < count; i++) {
        if (i) gru_text_add(&h->text, ",");
        gru_text_add_size(&h->text, sizes[i]);
    }
    gru_text_add(&h->text, "]");
}

static gru_status add_tensor(void *user, const part *p) {
    header *h = user;
    size_t shape[GRU_TENSOR_RANK];
    for (int i = 0; i < GRU_TENSOR_RANK; i++) shape[i] = (size_t)p->shape[i];
    const size_t place[2] = {h->offset, h->offset + p->bytes};
    if (place[1] >= GRU_JSON_TOO_LARGE)
        return gru_fail(GRU_BAD_ARGUMENT, "config has %zu bytes of weights or more, expected less than %zu",
                        place[1], GRU_JSON_TOO_LARGE);
    gru_text_add(&h->text, ",");
    gru_text_add_string(&h->text, p->prefix, p->name);
    gru_text_add(&h->text, ":{\"dtype\":");
    gru_text_add_string(&h->text, gru_dtype_name(p->type), "");
    add_sizes(h, ",\"shape\":", shape, p->rank);
    add_sizes(h, ",\"data_offsets\":", place, 2);
    gru_text_add(&h->text, "}");
    h->offset = place[1];
    return GRU_OK;
}

/* The words of one direction of a layer, by field. */
typedef struct words {
    char text[GRU_VARIANT_FIELDS][GRU_VARIANT_TEXT];
} words;

static void find_words(const gru_stack_layer *layer, int32_t d, words *w) {
    gru_layer_config config = *gru_stack_config_of(layer, d);
    const int32_t merge =
        layer->bidirectional ? layer->merge : GRU_MERGE_CONCAT; /* of one it means nothing */
    gru_activations_fill(&config);
    for (int field = 0; field < GRU_VARIANT_FIELDS; field++)
        gru_variant_write(&config, merge, field, w->text[field]);
}

/* Whether a field has to be said, as other lines say something else of it or of its function. */
static int differs(const words *w, const words *others, int field) {
    for (int other = 0; other < GRU_VARIANT_FIELDS; other++)
        if (gru_variant_owner(other) == gru_variant_owner(field) &&
            strcmp(w->text[other], others->text[other]) != 0)
            return 1;
    return 0;
}

/* The lines "gru.WHOSEfield" of what differs; others NULL: of all. */
static void add_words(header *h, const char *whose, const words *w, const words *others) {
    char key[NAME];
    for (int field = 0; field < GRU_VARIANT_FIELDS; field++) {
        if (!w->text[field][0] || (others && !differs(w, others, field))) continue;
        (void)snprintf(key, sizeof key, "gru.%s%s", whose, gru_variant_field(field));
        add_word(h, key, w->text[field]);
        gru_text_add(&h->text, ",");
    }
}

/* Layer 0's words stand for all; another layer has its own where they differ, and so has a reverse direction. */
static void add_variant(header *h, const saved *s) {
    const gru_stack_config *config = s->config;
    char whose[NAME], number[GRU_VARIANT_TEXT];
    words first, own, reverse;
    find_words(&config->layers[0], 0, &first);
    add_words(h, "", &first, NULL);
    for (int32_t k = 0; k < config->count; k++) {
        const gru_stack_layer *layer = &config->layers[k];
        (void)snprintf(whose, sizeof whose, "l%d.", k);
        find_words(layer, 0, &own);
        add_words(h, whose, &own, &first);
        if (!layer->bidirectional) continue;
        (void)snprintf(whose, sizeof whose, "l%d.reverse.", k);
        find_words(layer, 1, &reverse);
        add_words(h, whose, &reverse, &own);
    }
    if (s->learned_states) {
        add_word(h, "gru.initial_state", "learned");
        gru_text_add(&h->text, ",");
    }
    gru_number_write(config->dropout, number);
    add_word(h, "gru.dropout", number);
}

/* Adds the header, or without memory only its length. */
static gru_status add_header(header *h, const saved *s) {
    h->offset = 0;
    gru_text_add(&h->text, "{\"__metadata__\":{");
    add_variant(h, s);
    gru_text_add(&h->text, "}");
    GRU_TRY(visit_all(s, add_tensor, h));
    gru_text_add(&h->text, "}");
    return GRU_OK;
}

/* *text: the header, to be freed. */
static gru_status make_header(const saved *s, gru_text *text) {
    header h = {.prefix = s->prefix};
    GRU_TRY(add_header(&h, s));
    if (h.text.length > GRU_LARGEST_HEADER)
        return gru_fail(
            GRU_BAD_ARGUMENT,
            "the header of %d layers with a prefix of %zu bytes has %zu bytes, expected at most %d",
            s->config->count, strlen(s->prefix), h.text.length, GRU_LARGEST_HEADER);
    h.text.to = malloc(h.text.length);
    if (!h.text.to) return gru_fail(GRU_OUT_OF_MEMORY, "no memory for a header of %zu bytes", h.text.length);
    h.text.length = 0;
    (void)add_header(&h, s); /* it failed before or not at all */
    *text = h.text;
    return GRU_OK;
}

/* ---- the file ---- */

typedef struct contents {
    const saved *saved;
    gru_text header;
    const gru_output *output;
} contents;

static gru_status write_tensor(void *user, const part *p) {
    static const char zeros[4096];
    const gru_output *output = ((const contents *)user)->output;
    if (p->data) return gru_output_write(output, p->data, p->bytes);
    for (size_t done = 0; done < p->bytes; done += sizeof zeros)
        GRU_TRY(
            gru_output_write(output, zeros, p->bytes - done < sizeof zeros ? p->bytes - done : sizeof zeros));
    return GRU_OK;
}

/* Blanks after the header make the data start at a multiple of 8. */
static gru_status write_contents(const gru_output *output, void *user) {
    contents *c = user;
    const size_t length = c->header.length, padded = (length + 7) / 8 * 8;
    uint8_t size[8];
    c->output = output;
    for (int i = 0; i < 8; i++) size[i] = (uint8_t)((uint64_t)padded >> 8 * i);
    GRU_TRY(gru_output_write(output, size, sizeof size));
    GRU_TRY(gru_output_write(output, c->header.to, length));
    GRU_TRY(gru_output_write(output, "        ", padded - length));
    return visit_all(c->saved, write_tensor, c);
}

gru_status gru_file_save_all(const char *path, const gru_stack_config *config, const char *prefix,
                             const gru_named_tensor *tensors, int32_t count) {
    saved s = {config, prefix ? prefix : "", tensors, count, 0};
    contents c = {.saved = &s};
    if (!path) return gru_fail(GRU_BAD_ARGUMENT, "path is NULL");
    GRU_TRY(check_config(config, s.prefix));
    s.learned_states = has_learned_states(config);
    for (int32_t i = 0; i < count; i++) GRU_TRY(check_name(tensors, i, s.prefix));
    GRU_TRY(check_distinct(tensors, count));
    for (int32_t i = 0; i < count; i++) GRU_TRY(check_tensor(tensors, i));
    GRU_TRY(make_header(&s, &c.header));
    const gru_status status = gru_file_replace(path, write_contents, &c);
    free(c.header.to);
    return status;
}

gru_status gru_file_save(const char *path, const gru_stack_config *config, const char *prefix) {
    return gru_file_save_all(path, config, prefix, NULL, 0);
}
