/* load.c: makes a stack of the tensors that PyTorch's names tell apart. */
#include <cjson/cJSON.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api/check_view.h"
#include "core/error.h"
#include "core/number.h"
#include "safetensors.h"
#include "variant.h"

enum { NAME = 80, PARTS = 4, MOST_HIDDEN = INT32_MAX / 8 };
static const char *const parts[PARTS] = {"weight_ih", "weight_hh", "bias_ih", "bias_hh"};

typedef struct loader {
    const gru_file *file;
    size_t prefix_length;
    char *name; /* the prefix, and room for NAME after it */
    gru_stack_layer *layers;
    int32_t count;
    void **copies; /* [8 count] of data that was not aligned */
    int32_t copy_count;
} loader;

static const char *full_name(loader *l, const char *name) {
    strcpy(l->name + l->prefix_length, name);
    return l->name;
}

static const gru_file_entry *find(loader *l, int part, int32_t k, int reverse) {
    char name[NAME];
    (void)snprintf(name, sizeof name, "%s_l%d%s", parts[part], k, reverse ? "_reverse" : "");
    return gru_file_find(l->file, full_name(l, name));
}

/* ---- the prefix ---- */

/* Length of the prefix if this is the recurrent matrix of a first GRU layer (of an LSTM it has four gates); else -1. */
static ptrdiff_t prefix_of(const gru_file_entry *entry) {
    static const char *const ends[2] = {"weight_hh_l0", "weight_hh_l0_reverse"};
    const size_t length = strlen(entry->name);
    if (entry->rank != 2 || entry->shape[1] < 1 || entry->shape[0] != 3 * entry->shape[1]) return -1;
    for (int i = 0; i < 2; i++) {
        const size_t end = strlen(ends[i]);
        if (length >= end && strcmp(entry->name + length - end, ends[i]) == 0)
            return (ptrdiff_t)(length - end);
    }
    return -1;
}

/* Whether an entry before this one, in the order of names, has the same prefix. */
static int is_repeated(const gru_file *file, int32_t i, ptrdiff_t length) {
    const gru_file_entry *entry = file->by_name[i], *before = i > 0 ? file->by_name[i - 1] : NULL;
    return before && prefix_of(before) == length && memcmp(before->name, entry->name, (size_t)length) == 0;
}

/* The prefixes of all GRUs as text; the last in *found, its length in *length. Returns how many there are. */
static int list_prefixes(const gru_file *file, char *text, size_t size, const char **found, size_t *length) {
    int count = 0;
    size_t used = 0;
    for (int32_t i = 0; i < file->count; i++) {
        const gru_file_entry *entry = file->by_name[i];
        const ptrdiff_t prefix = prefix_of(entry);
        if (prefix < 0 || is_repeated(file, i, prefix)) continue;
        *found = entry->name;
        *length = (size_t)prefix;
        if (used < size)
            used += (size_t)snprintf(text + used, size - used, "%s\"%.*s\"", count ? ", " : "", (int)prefix,
                                     entry->name);
        count++;
    }
    return count;
}

static gru_status choose_prefix(loader *l, const char *wanted) {
    const char *const source = l->file->source;
    const char *prefix = wanted;
    size_t length = wanted ? strlen(wanted) : 0;
    char text[600] = "";
    if (!wanted) {
        const int count = list_prefixes(l->file, text, sizeof text, &prefix, &length);
        if (count == 0)
            return gru_fail(GRU_BAD_DATA, "%s has no GRU: no tensor weight_hh_l0 [3H][H] with any prefix",
                            source);
        if (count > 1)
            return gru_fail(GRU_BAD_ARGUMENT,
                            "options.prefix is NULL, but %s has %d GRUs; expected one of %s", source, count,
                            text);
    }
    l->name = malloc(length + NAME);
    if (!l->name) return gru_fail(GRU_OUT_OF_MEMORY, "no memory to load from %s", source);
    memcpy(l->name, prefix, length);
    l->name[length] = '\0';
    l->prefix_length = length;
    return GRU_OK;
}

/* ---- layers ---- */

static int has_cell(loader *l, int32_t k, int reverse) {
    for (int part = 0; part < PARTS; part++)
        if (find(l, part, k, reverse)) return 1;
    return 0;
}

/* Number of the layer that a name after the prefix belongs to, -1 if it is none of a GRU's. */
static long layer_of(const char *name) {
    for (int part = 0; part < PARTS; part++) {
        const size_t length = strlen(parts[part]);
        char *end;
        if (strncmp(name, parts[part], length) != 0 || strncmp(name + length, "_l", 2) != 0) continue;
        const char *digits = name + length + 2;
        if (*digits < '0' || *digits > '9') return -1;
        const long number = strtol(digits, &end, 10);
        return *end == '\0' || strcmp(end, "_reverse") == 0 ? number : -1;
    }
    return -1;
}

/* Layers count up from 0; a number above a gap would be lost without a word. */
static gru_status count_layers(loader *l) {
    const gru_file *file = l->file;
    while (l->count < INT32_MAX && (has_cell(l, l->count, 0) || has_cell(l, l->count, 1))) l->count++;
    l->name[l->prefix_length] = '\0';
    if (l->count == 0) {
        char text[600] = "none";
        const char *found;
        size_t length;
        (void)list_prefixes(file, text, sizeof text, &found, &length);
        return gru_fail(GRU_BAD_DATA, "%s has no GRU with the prefix \"%s\"; it has %s", file->source,
                        l->name, text);
    }
    for (int32_t i = 0; i < file->count; i++) {
        const char *name = file->entries[i].name;
        if (strncmp(name, l->name, l->prefix_length) == 0 && layer_of(name + l->prefix_length) >= l->count)
            return gru_fail(GRU_BAD_DATA, "%s has \"%s\", but no layer %d below it", file->source, name,
                            l->count);
    }
    return GRU_OK;
}

/* ---- one cell ---- */

static gru_status check_shape(const loader *l, const gru_file_entry *entry, int32_t rank, int64_t rows,
                              int64_t columns) {
    if (entry->rank == rank && entry->shape[0] == rows && (rank == 1 || entry->shape[1] == columns))
        return GRU_OK;
    char expected[64];
    (void)snprintf(expected, sizeof expected, rank == 1 ? "[%lld]" : "[%lld][%lld]", (long long)rows,
                   (long long)columns);
    char got[GRU_TENSOR_RANK * 24] = "a scalar";
    for (int32_t i = 0, used = 0; i < entry->rank; i++)
        used += snprintf(got + used, sizeof got - (size_t)used, "[%lld]", (long long)entry->shape[i]);
    return gru_fail(GRU_BAD_DATA, "%s: tensor \"%s\" is %s, expected %s", l->file->source, entry->name, got,
                    expected);
}

/* The numbers of a tensor, aligned. */
static gru_status numbers_of(loader *l, const gru_file_entry *entry, const void **data) {
    const uint8_t *bytes = l->file->data + entry->begin;
    const size_t size = entry->end - entry->begin;
    *data = bytes;
    if ((uintptr_t)bytes % gru_type_bytes(entry->type) == 0) return GRU_OK;
    void *copy = malloc(size > 0 ? size : 1);
    if (!copy)
        return gru_fail(GRU_OUT_OF_MEMORY, "no memory for a copy of \"%s\", %zu bytes", entry->name, size);
    l->copies[l->copy_count++] = copy;
    memcpy(copy, bytes, size);
    *data = copy;
    return GRU_OK;
}

/* The four tensors of a cell; biases both or none. */
static gru_status find_cell(loader *l, int32_t k, int reverse, const gru_file_entry *found[PARTS]) {
    for (int part = 0; part < PARTS; part++) {
        found[part] = find(l, part, k, reverse);
        if (!found[part] && part < 2)
            return gru_fail(GRU_BAD_DATA, "%s has no tensor \"%s\"", l->file->source, l->name);
        if (part == 3 && !found[2] != !found[3])
            return gru_fail(GRU_BAD_DATA,
                            "%s has only one bias of layer %d, expected both or none, as \"%s\"",
                            l->file->source, k, found[2] ? found[2]->name : found[3]->name);
    }
    for (int part = 0; part < PARTS; part++) {
        if (!found[part]) continue;
        if (!gru_dtype_name(found[part]->type))
            return gru_fail(GRU_BAD_DATA, "%s: tensor \"%s\" is no F32, F16, BF16 or F64", l->file->source,
                            found[part]->name);
        if (found[part]->type != found[0]->type)
            return gru_fail(GRU_BAD_DATA, "%s: tensors \"%s\" (%s) and \"%s\" (%s) have different types",
                            l->file->source, found[0]->name, gru_type_name(found[0]->type), found[part]->name,
                            gru_type_name(found[part]->type));
    }
    return GRU_OK;
}

/* Columns of weight_ih as inputs and of weight_hh as hidden units; wanted -1: any. */
static gru_status read_sizes(const loader *l, const gru_file_entry *const found[PARTS], int64_t wanted,
                             gru_layer_config *config) {
    const gru_file_entry *W = found[0], *R = found[1];
    const int64_t H = R->rank == 2 ? R->shape[1] : 0, I = W->rank == 2 ? W->shape[1] : 0;
    if (R->rank != 2 || H < 1 || H > MOST_HIDDEN)
        return gru_fail(GRU_BAD_DATA,
                        "%s: tensor \"%s\" has rank %d and %lld columns, expected [3H][H], H 1 to %d",
                        l->file->source, R->name, R->rank, (long long)H, MOST_HIDDEN);
    GRU_TRY(check_shape(l, R, 2, 3 * H, H));
    GRU_TRY(check_shape(l, W, 2, 3 * H, wanted >= 0 ? wanted : I));
    if (I < 1 || I > INT32_MAX)
        return gru_fail(GRU_BAD_DATA, "%s: tensor \"%s\" has %lld columns, expected 1 to %d", l->file->source,
                        W->name, (long long)I, INT32_MAX);
    for (int part = 2; part < PARTS; part++)
        if (found[part]) GRU_TRY(check_shape(l, found[part], 1, 3 * H, 0));
    config->inputs = (int32_t)I;
    config->hidden = (int32_t)H;
    return GRU_OK;
}

static gru_status load_cell(loader *l, int32_t k, int reverse, int64_t inputs, int slot) {
    gru_stack_layer *layer = &l->layers[k];
    gru_weights *weights = &layer->weights[slot];
    const void **const to[PARTS] = {&weights->W, &weights->R, &weights->bW, &weights->bR};
    const gru_file_entry *found[PARTS];
    const int32_t H = layer->config.hidden;
    GRU_TRY(find_cell(l, k, reverse, found));
    GRU_TRY(read_sizes(l, found, inputs, &layer->config));
    if (slot == 1) GRU_TRY(check_shape(l, found[1], 2, 3 * (int64_t)H, H)); /* as forward */
    weights->type = found[0]->type;
    for (int part = 0; part < PARTS; part++)
        if (found[part]) GRU_TRY(numbers_of(l, found[part], to[part]));
    return GRU_OK;
}

/* ---- the variant ---- */

/* The line with this key after the prefix; 0 if there is none. */
static int find_line(loader *l, const char *key, gru_metadata *line) {
    line->source = l->file->source;
    line->key = full_name(l, key);
    line->text = gru_file_metadata(l->file, line->key);
    return line->text != NULL;
}

static gru_status read_field(loader *l, gru_stack_layer *layer, int field, const char *key) {
    gru_metadata line;
    return find_line(l, key, &line) ? gru_variant_read(layer, field, &line) : GRU_OK;
}

static gru_status read_variant(loader *l, int32_t k) {
    char key[NAME];
    for (int field = 0; field < GRU_VARIANT_FIELDS; field++) {
        (void)snprintf(key, sizeof key, "gru.%s", gru_variant_field(field));
        GRU_TRY(read_field(l, &l->layers[k], field, key));
        (void)snprintf(key, sizeof key, "gru.l%d.%s", k, gru_variant_field(field));
        GRU_TRY(read_field(l, &l->layers[k], field, key));
    }
    return GRU_OK;
}

static gru_status read_dropout(loader *l, float *dropout) {
    gru_metadata line;
    if (!find_line(l, "gru.dropout", &line)) return GRU_OK;
    GRU_TRY(gru_number_read(&line, dropout));
    if (*dropout < 1) return GRU_OK;
    return gru_fail(GRU_BAD_DATA, "%s: metadata \"%s\" is \"%s\", expected a number below 1", line.source,
                    line.key, line.text);
}

static int is_field(const char *name) {
    for (int field = 0; field < GRU_VARIANT_FIELDS; field++)
        if (strcmp(name, gru_variant_field(field)) == 0) return 1;
    return strcmp(name, "dropout") == 0;
}

/* A misspelt or newer field would change the function without a word. Keys with further dots belong to other prefixes. */
static gru_status check_keys(loader *l) {
    const char *prefix = full_name(l, "gru.");
    const size_t length = strlen(prefix);
    const cJSON *item;
    cJSON_ArrayForEach(item, l->file->metadata) {
        if (strncmp(item->string, prefix, length) != 0) continue;
        const char *name = item->string + length;
        if (!strchr(name, '.') && !is_field(name))
            return gru_fail(GRU_BAD_DATA, "%s: metadata \"%s\" names no option that this library knows",
                            l->file->source, item->string);
    }
    return GRU_OK;
}

/* ---- all of it ---- */

static int64_t outputs_of(const gru_stack_layer *layer) {
    const int concat = layer->bidirectional && layer->merge == GRU_MERGE_CONCAT;
    return (int64_t)layer->config.hidden * (concat ? 2 : 1);
}

static gru_status load_layer(loader *l, int32_t k, const gru_load_options *options) {
    gru_stack_layer *layer = &l->layers[k];
    const int forward = has_cell(l, k, 0), reverse = has_cell(l, k, 1);
    const int64_t inputs = k > 0 ? outputs_of(layer - 1) : -1;
    GRU_TRY(read_variant(l, k));
    layer->bidirectional = forward && reverse;
    layer->config.direction = forward ? GRU_FORWARD : GRU_REVERSE;
    layer->config.io_type = options->io_type;
    layer->config.state_type = options->state_type;
    layer->config.weight_type = options->weight_type;
    GRU_TRY(load_cell(l, k, !forward, inputs, 0));
    return layer->bidirectional ? load_cell(l, k, 1, layer->config.inputs, 1) : GRU_OK;
}

static gru_status load_layers(loader *l, const gru_load_options *options) {
    GRU_TRY(choose_prefix(l, options->prefix));
    GRU_TRY(count_layers(l));
    GRU_TRY(check_keys(l));
    l->layers = calloc((size_t)l->count, sizeof *l->layers);
    l->copies = calloc((size_t)l->count, 2 * PARTS * sizeof *l->copies);
    if (!l->layers || !l->copies)
        return gru_fail(GRU_OUT_OF_MEMORY, "no memory for the %d layers of %s", l->count, l->file->source);
    for (int32_t k = 0; k < l->count; k++) GRU_TRY(load_layer(l, k, options));
    return GRU_OK;
}

static gru_status load(loader *l, gru_context *context, const gru_load_options *options, gru_stack **stack) {
    gru_stack_config config = GRU_INIT;
    GRU_TRY(load_layers(l, options));
    GRU_TRY(read_dropout(l, &config.dropout));
    config.layers = l->layers;
    config.count = l->count;
    return gru_stack_create(context, &config, stack);
}

gru_status gru_stack_load(gru_context *context, const gru_file *file, const gru_load_options *options,
                          gru_stack **stack) {
    static const gru_load_options defaults = GRU_INIT;
    loader l = {.file = file};
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
