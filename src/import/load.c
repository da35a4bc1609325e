/* load.c: makes a stack of the tensors that PyTorch's names tell apart. */
#include "load.h"

#include <stdio.h>
#include <stdlib.h>

#include "api/check_view.h"
#include "core/error.h"
#include "core/number.h"
#include "stack/stack_check.h"

enum {
    PARTS = GRU_LOAD_PARTS,
    PART_H0 = 4,
    PART_SCALE = 5,
    NAME = GRU_LOAD_NAME,
    MOST_HIDDEN = INT32_MAX / 8
};
static const char *const parts[PARTS] = {"weight_ih", "weight_hh",       "bias_ih",        "bias_hh",
                                         "h0",        "weight_ih_scale", "weight_hh_scale"};

const char *gru_load_name(gru_loader *l, const char *name) {
    strcpy(l->name + l->prefix_length, name);
    return l->name;
}

/* The tensor's name is in l->name afterwards, also if there is none. */
static const gru_file_entry *find(gru_loader *l, int part, int32_t k, int reverse) {
    char name[NAME];
    (void)snprintf(name, sizeof name, "%s_l%d%s", parts[part], k, reverse ? "_reverse" : "");
    return gru_file_find(l->file, gru_load_name(l, name));
}

/* ---- layers ---- */

static int has_cell(gru_loader *l, int32_t k, int reverse) {
    for (int part = 0; part < PART_H0; part++)
        if (find(l, part, k, reverse)) return 1;
    return 0;
}

/* Number of the layer that a name after the prefix belongs to, -1 if it is none of a GRU's. */
static int64_t layer_of(const char *name) {
    for (int part = 0; part < PARTS; part++) {
        if (part == PART_H0) continue;
        const size_t length = strlen(parts[part]);
        if (strncmp(name, parts[part], length) != 0 || strncmp(name + length, "_l", 2) != 0) continue;
        const char *end = name + length + 2;
        const int64_t number = gru_load_layer_number(&end);
        return *end == '\0' || strcmp(end, "_reverse") == 0 ? number : -1;
    }
    return -1;
}

/* A number above a gap would be lost without a word. */
static gru_status check_layer_number(const gru_loader *l, const char *name) {
    if (layer_of(name + l->prefix_length) < l->count) return GRU_OK;
    return gru_fail(GRU_BAD_DATA, "%s has \"%s\", but no layer %d below it", l->file->source, name, l->count);
}

/* Every tensor and every other name of one that looks like a part of this GRU is a part of it. */
static gru_status check_strays(const gru_loader *l) {
    const gru_file *file = l->file;
    const gru_name_start start = {l->name, l->prefix_length, ""};
    uint32_t i;
    for (const char *name = gru_file_first_name(file, start, &i); name;
         name = gru_file_next_name(file, start, &i))
        GRU_TRY(check_layer_number(l, name));
    for (const char *key = gru_file_first_key(file, start, &i); key;
         key = gru_file_next_key(file, start, &i)) {
        if (layer_of(key + l->prefix_length) < 0) continue;
        GRU_TRY(check_layer_number(l, key));
        if (!gru_file_find(file, key))
            return gru_fail(GRU_BAD_DATA,
                            "%s: \"%s\" is the tensor \"%s\", says its metadata, but there is none",
                            file->source, key, key + strlen(key) + 1);
    }
    return GRU_OK;
}

/* Layers count up from 0. */
static gru_status count_layers(gru_loader *l) {
    while (l->count < INT32_MAX && (has_cell(l, l->count, 0) || has_cell(l, l->count, 1))) l->count++;
    l->name[l->prefix_length] = '\0';
    if (l->count > 0) return check_strays(l);
    char text[600];
    gru_load_list_prefixes(l->file, text, sizeof text);
    return gru_fail(GRU_BAD_DATA, "%s has no GRU with the prefix \"%s\"; it has %s", l->file->source, l->name,
                    text);
}

/* ---- one sublayer ---- */

/* Its tensors, NULL data: it has none of the part. */
typedef struct cell {
    const char *names[PARTS]; /* of the stored tensors */
    gru_tensor tensors[PARTS];
    int found[PARTS];
} cell;

static gru_status check_shape(const gru_loader *l, const cell *c, int part, int32_t rank, int64_t rows,
                              int64_t columns) {
    const gru_tensor *t = &c->tensors[part];
    if (t->rank == rank && t->shape[0] == rows && (rank == 1 || t->shape[1] == columns)) return GRU_OK;
    char expected[64];
    (void)snprintf(expected, sizeof expected, rank == 1 ? "[%lld]" : "[%lld][%lld]", (long long)rows,
                   (long long)columns);
    char got[GRU_TENSOR_RANK * 24] = "a scalar";
    if (t->rank > GRU_TENSOR_RANK) (void)snprintf(got, sizeof got, "of %d dimensions", t->rank);
    for (int32_t i = 0, used = 0; i < t->rank && t->rank <= GRU_TENSOR_RANK; i++)
        used += snprintf(got + used, sizeof got - (size_t)used, "[%lld]", (long long)t->shape[i]);
    return gru_fail(GRU_BAD_DATA, "%s: tensor \"%s\" is %s, expected %s", l->file->source, c->names[part],
                    got, expected);
}

/* The numbers of a tensor, aligned. */
static gru_status numbers_of(gru_loader *l, const char *name, const gru_tensor *tensor, const void **data) {
    *data = tensor->data;
    if ((uintptr_t)tensor->data % gru_type_bytes(tensor->type) == 0) return GRU_OK;
    void *copy = malloc(tensor->bytes > 0 ? tensor->bytes : 1);
    if (!copy)
        return gru_fail(GRU_OUT_OF_MEMORY, "no memory for a copy of \"%s\", %zu bytes", name, tensor->bytes);
    l->copies[l->copy_count++] = copy;
    memcpy(copy, tensor->data, tensor->bytes);
    *data = copy;
    return GRU_OK;
}

/* A sublayer has both matrices, scales exactly if they are int8, both biases or none, and an initial state exactly if the GRU
 * learned it. */
static gru_status check_found(gru_loader *l, const cell *c, int32_t k, int part) {
    const int int8 = c->found[0] && c->tensors[0].type == GRU_INT8;
    const int needed = part < 2 || (part == PART_H0 && l->learned_states) || (part >= PART_SCALE && int8);
    if (c->found[part] && part >= PART_SCALE && !int8)
        return gru_fail(GRU_BAD_DATA, "%s: tensor \"%s\" goes only with I8 weights, and \"%s\" is %s",
                        l->file->source, c->names[part], c->names[0], c->tensors[0].dtype);
    if (!c->found[part] && needed)
        return gru_fail(GRU_BAD_DATA, "%s has no tensor \"%s\"", l->file->source, l->name);
    if (part == 3 && c->found[2] != c->found[3])
        return gru_fail(GRU_BAD_DATA, "%s has only one bias of layer %d, \"%s\", expected both or none",
                        l->file->source, k, c->names[c->found[2] ? 2 : 3]);
    return GRU_OK;
}

static gru_status check_types(const gru_loader *l, const cell *c) {
    for (int part = 0; part < PARTS; part++) {
        const int int8 = c->tensors[0].type == GRU_INT8, is_matrix = part < 2;
        const int32_t type = c->tensors[part].type;
        if (!c->found[part]) continue;
        if (!gru_dtype_name(type) || (type == GRU_INT8 && !is_matrix))
            return gru_fail(GRU_BAD_DATA, "%s: tensor \"%s\" is of dtype %s, and is no F32, F16, BF16 or F64",
                            l->file->source, c->names[part], c->tensors[part].dtype);
        if (int8 && !is_matrix && type != GRU_F32)
            return gru_fail(GRU_BAD_DATA, "%s: tensor \"%s\" is of dtype %s, expected F32 beside I8 weights",
                            l->file->source, c->names[part], c->tensors[part].dtype);
        if (type != c->tensors[0].type && (is_matrix || !int8))
            return gru_fail(GRU_BAD_DATA, "%s: tensors \"%s\" (%s) and \"%s\" (%s) have different types",
                            l->file->source, c->names[0], c->tensors[0].dtype, c->names[part],
                            c->tensors[part].dtype);
    }
    return GRU_OK;
}

static gru_status find_cell(gru_loader *l, int32_t k, int reverse, cell *c) {
    memset(c, 0, sizeof *c);
    for (int part = 0; part < PARTS; part++) {
        const int unwanted = part == PART_H0 && !l->learned_states; /* another tensor's name, by chance */
        const gru_file_entry *entry = unwanted ? NULL : find(l, part, k, reverse);
        if (entry) {
            c->found[part] = 1;
            c->names[part] = gru_file_entry_name(l->file, entry);
            c->tensors[part] = gru_file_describe(l->file, entry);
        }
        GRU_TRY(check_found(l, c, k, part));
    }
    return check_types(l, c);
}

/* Columns of weight_ih as inputs and of weight_hh as hidden units; wanted -1: any. */
static gru_status read_sizes(const gru_loader *l, const cell *c, int64_t wanted, gru_layer_config *config) {
    const gru_tensor *W = &c->tensors[0], *R = &c->tensors[1];
    const int64_t H = R->rank == 2 ? R->shape[1] : 0, I = W->rank == 2 ? W->shape[1] : 0;
    if (R->rank != 2 || H < 1 || H > MOST_HIDDEN)
        return gru_fail(GRU_BAD_DATA,
                        "%s: tensor \"%s\" has rank %d and %lld columns, expected [3H][H], H 1 to %d",
                        l->file->source, c->names[1], R->rank, (long long)H, MOST_HIDDEN);
    GRU_TRY(check_shape(l, c, 1, 2, 3 * H, H));
    GRU_TRY(check_shape(l, c, 0, 2, 3 * H, wanted >= 0 ? wanted : I));
    if (I < 1 || I > INT32_MAX)
        return gru_fail(GRU_BAD_DATA, "%s: tensor \"%s\" has %lld columns, expected 1 to %d", l->file->source,
                        c->names[0], (long long)I, INT32_MAX);
    for (int part = 2; part < PARTS; part++)
        if (c->found[part]) GRU_TRY(check_shape(l, c, part, 1, part == PART_H0 ? H : 3 * H, 0));
    config->inputs = (int32_t)I;
    config->hidden = (int32_t)H;
    return GRU_OK;
}

/* Where a direction's configuration lies. The reverse direction gets one of its own if its size is another, which the stack
 * takes where outputs stay side by side. */
static gru_layer_config *config_of(gru_stack_layer *layer, int slot, const gru_tensor *R) {
    const int apart = layer->merge == GRU_MERGE_CONCAT || layer->merge == GRU_MERGE_SEPARATE;
    gru_layer_config *own = &layer->reverse_config;
    if (slot == 0) return &layer->config;
    if (own->direction != GRU_REVERSE && apart && R->rank == 2 && R->shape[1] != layer->config.hidden)
        *own = layer->config;
    else if (own->direction != GRU_REVERSE)
        return &layer->config;
    own->direction = GRU_REVERSE;
    return own;
}

static gru_status load_cell(gru_loader *l, int32_t k, int reverse, int64_t inputs, int slot) {
    gru_stack_layer *layer = &l->layers[k];
    gru_weights *weights = &layer->weights[slot];
    const void *scales[2] = {NULL, NULL};
    const void **const to[PARTS] = {&weights->W,      &weights->R, &weights->bW, &weights->bR,
                                    &layer->h0[slot], &scales[0],  &scales[1]};
    const int32_t H = layer->config.hidden;
    const int alike = slot == 1 && layer->merge != GRU_MERGE_CONCAT && layer->merge != GRU_MERGE_SEPARATE;
    cell c;
    GRU_TRY(find_cell(l, k, reverse, &c));
    gru_layer_config *config = config_of(layer, slot, &c.tensors[1]);
    GRU_TRY(read_sizes(l, &c, inputs, config));
    if (alike) GRU_TRY(check_shape(l, &c, 1, 2, 3 * (int64_t)H, H));
    config->io_type = layer->config.io_type;
    config->state_type = layer->config.state_type;
    config->weight_type = layer->config.weight_type;
    weights->type = c.tensors[0].type;
    for (int part = 0; part < PARTS; part++)
        if (c.found[part]) GRU_TRY(numbers_of(l, c.names[part], &c.tensors[part], to[part]));
    weights->W_scale = scales[0], weights->R_scale = scales[1];
    return GRU_OK;
}

/* ---- all of it ---- */

static int64_t outputs_of(const gru_stack_layer *layer) {
    const int concat = layer->bidirectional && layer->merge == GRU_MERGE_CONCAT;
    return (int64_t)layer->config.hidden + (concat ? gru_stack_config_of(layer, 1)->hidden : 0);
}

static gru_status load_layer(gru_loader *l, int32_t k, const gru_load_options *options) {
    gru_stack_layer *layer = &l->layers[k];
    const int64_t inputs = k > 0 ? outputs_of(layer - 1) : -1;
    layer->config.io_type = options->io_type;
    layer->config.state_type = options->state_type;
    layer->config.weight_type = options->weight_type;
    GRU_TRY(load_cell(l, k, layer->config.direction == GRU_REVERSE, inputs, 0));
    return layer->bidirectional ? load_cell(l, k, 1, layer->config.inputs, 1) : GRU_OK;
}

static gru_status load_layers(gru_loader *l, const gru_load_options *options) {
    GRU_TRY(gru_load_prefix(l, options->prefix));
    GRU_TRY(count_layers(l));
    l->layers = calloc((size_t)l->count, sizeof *l->layers);
    l->copies = calloc((size_t)l->count, 2 * PARTS * sizeof *l->copies);
    if (!l->layers || !l->copies)
        return gru_fail(GRU_OUT_OF_MEMORY, "no memory for the %d layers of %s", l->count, l->file->source);
    for (int32_t k = 0; k < l->count; k++) {
        const int forward = has_cell(l, k, 0), reverse = has_cell(l, k, 1);
        l->layers[k].bidirectional = forward && reverse;
        l->layers[k].config.direction = forward ? GRU_FORWARD : GRU_REVERSE;
    }
    GRU_TRY(gru_load_variant(l));
    for (int32_t k = 0; k < l->count; k++) GRU_TRY(load_layer(l, k, options));
    return GRU_OK;
}

static gru_status load(gru_loader *l, gru_context *context, const gru_load_options *options,
                       gru_stack **stack) {
    gru_stack_config config = GRU_INIT;
    GRU_TRY(load_layers(l, options));
    config.layers = l->layers;
    config.count = l->count;
    config.dropout = l->dropout;
    return gru_stack_create(context, &config, stack);
}

gru_status gru_stack_load(gru_context *context, const gru_file *file, const gru_load_options *options,
                          gru_stack **stack) {
    static const gru_load_options defaults = GRU_INIT;
    gru_loader l = {.file = file};
    if (!context) return gru_fail(GRU_BAD_ARGUMENT, "context is NULL");
    if (!file) return gru_fail(GRU_BAD_ARGUMENT, "file is NULL");
    if (!stack) return gru_fail(GRU_BAD_ARGUMENT, "stack is NULL, expected a place for the new stack");
    if (!options) options = &defaults;
    GRU_TRY(gru_check_reserved("options", options->reserved, 4));
    const gru_status status = load(&l, context, options, stack);
    for (int32_t i = 0; i < l.copy_count; i++) free(l.copies[i]);
    free(l.copies);
    free(l.layers);
    free(l.name);
    return status;
}
