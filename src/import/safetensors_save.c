/* safetensors_save.c: writes a stack's weights beside the old file and puts them in its place. */
#include <cjson/cJSON.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "api/check_view.h"
#include "core/error.h"
#include "core/number.h"
#include "safetensors.h"
#include "variant.h"

enum { NAME = 80 }; /* of a tensor or a key, without its prefix */

/* ---- checks ---- */

static gru_status check_weights(const gru_weights *weights, const char *who) {
    if (!gru_dtype_name(weights->type))
        return gru_fail(GRU_UNSUPPORTED,
                        "%s.type is %s (%d), expected f32, f16, bf16 or f64: files hold these", who,
                        gru_type_name(weights->type), weights->type);
    if (weights->on_device)
        return gru_fail(GRU_BAD_ARGUMENT, "%s.on_device is %d, expected 0: only host memory can be written",
                        who, weights->on_device);
    if (!weights->W || !weights->R)
        return gru_fail(GRU_BAD_ARGUMENT, "%s.%s is NULL", who, weights->R ? "W" : "R");
    return gru_check_reserved(who, weights->reserved, 4);
}

static int64_t outputs_of(const gru_stack_layer *layer) {
    const int concat = layer->bidirectional && layer->merge == GRU_MERGE_CONCAT;
    return (int64_t)layer->config.hidden * (concat ? 2 : 1);
}

/* What the variant's words do not check. */
static gru_status check_layer(const gru_stack_config *config, int32_t k) {
    const gru_stack_layer *layer = &config->layers[k];
    const gru_layer_config *c = &layer->config;
    char who[NAME];
    if (c->hidden < 1 || c->hidden > INT32_MAX / 8)
        return gru_fail(GRU_BAD_ARGUMENT, "config.layers[%d].config.hidden is %d, expected 1 to %d", k,
                        c->hidden, INT32_MAX / 8);
    if (c->inputs < 1)
        return gru_fail(GRU_BAD_ARGUMENT, "config.layers[%d].config.inputs is %d, expected 1 or more", k,
                        c->inputs);
    if (k > 0 && c->inputs != outputs_of(layer - 1))
        return gru_fail(GRU_BAD_ARGUMENT,
                        "config.layers[%d].config.inputs is %d, expected %lld, what layer %d puts out", k,
                        c->inputs, (long long)outputs_of(layer - 1), k - 1);
    if (c->direction != GRU_FORWARD && c->direction != GRU_REVERSE)
        return gru_fail(GRU_BAD_ARGUMENT,
                        "config.layers[%d].config.direction is %d, expected GRU_FORWARD or _REVERSE", k,
                        c->direction);
    if (layer->bidirectional != 0 && layer->bidirectional != 1)
        return gru_fail(GRU_BAD_ARGUMENT, "config.layers[%d].bidirectional is %d, expected 0 or 1", k,
                        layer->bidirectional);
    for (int d = 0; d <= layer->bidirectional; d++) {
        (void)snprintf(who, sizeof who, "config.layers[%d].weights[%d]", k, d);
        GRU_TRY(check_weights(&layer->weights[d], who));
    }
    (void)snprintf(who, sizeof who, "config.layers[%d].config", k);
    return gru_check_reserved(who, c->reserved, 6);
}

static gru_status check_config(const gru_stack_config *config, const char *prefix) {
    size_t where;
    if (!config) return gru_fail(GRU_BAD_ARGUMENT, "config is NULL");
    if (config->count < 1)
        return gru_fail(GRU_BAD_ARGUMENT, "config.count is %d, expected 1 or more", config->count);
    if (!config->layers)
        return gru_fail(GRU_BAD_ARGUMENT, "config.layers is NULL, expected [%d]", config->count);
    if (!(config->dropout >= 0 && config->dropout < 1))
        return gru_fail(GRU_BAD_ARGUMENT, "config.dropout is %g, expected 0 to below 1",
                        (double)config->dropout);
    if (!gru_utf8_valid((const uint8_t *)prefix, strlen(prefix), &where))
        return gru_fail(GRU_BAD_ARGUMENT, "prefix is not UTF-8 at its byte %zu", where);
    for (int32_t k = 0; k < config->count; k++) GRU_TRY(check_layer(config, k));
    return gru_check_reserved("config", config->reserved, 8);
}

/* ---- the tensors, in the order of the file ---- */

typedef struct part {
    char name[NAME];
    const void *data; /* NULL: zeros */
    int32_t type, rank;
    int64_t shape[2];
    size_t bytes;
} part;

/* Tensor i of four of one cell. 0: the cell has none of it. */
static int describe(const gru_stack_layer *layer, int32_t k, int d, int i, part *p) {
    static const char *const names[4] = {"weight_ih", "weight_hh", "bias_ih", "bias_hh"};
    const gru_weights *w = &layer->weights[d];
    const void *const data[4] = {w->W, w->R, w->bW, w->bR};
    const int reverse = layer->bidirectional ? d : layer->config.direction == GRU_REVERSE;
    const int64_t columns[4] = {layer->config.inputs, layer->config.hidden, 1, 1};
    if (i >= 2 && !w->bW && !w->bR) return 0;
    (void)snprintf(p->name, sizeof p->name, "%s_l%d%s", names[i], k, reverse ? "_reverse" : "");
    p->data = data[i];
    p->type = w->type;
    p->rank = i < 2 ? 2 : 1;
    p->shape[0] = 3 * (int64_t)layer->config.hidden;
    p->shape[1] = columns[i];
    p->bytes = (size_t)p->shape[0] * (size_t)columns[i] * gru_type_bytes(w->type);
    return 1;
}

typedef gru_status (*visitor)(void *user, const part *p);

/* Calls visit for every tensor: large elements first, so that each is aligned though nothing lies between them. */
static gru_status visit_all(const gru_stack_config *config, visitor visit, void *user) {
    for (size_t element = 8; element >= 2; element /= 2)
        for (int32_t k = 0; k < config->count; k++) {
            const gru_stack_layer *layer = &config->layers[k];
            for (int d = 0; d <= layer->bidirectional; d++)
                for (int i = 0; i < 4; i++) {
                    part p;
                    if (gru_type_bytes(layer->weights[d].type) == element && describe(layer, k, d, i, &p))
                        GRU_TRY(visit(user, &p));
                }
        }
    return GRU_OK;
}

/* ---- header ---- */

typedef struct header {
    cJSON *json;
    const char *prefix;
    char *name; /* the prefix, and room for NAME after it */
    size_t offset;
} header;

static gru_status no_memory(void) {
    return gru_fail(GRU_OUT_OF_MEMORY, "no memory for the header of the file");
}

static const char *full_name(header *h, const char *name) {
    strcpy(h->name + strlen(h->prefix), name);
    return h->name;
}

static int add_sizes(cJSON *object, const char *key, const size_t *sizes, int count) {
    cJSON *array = cJSON_AddArrayToObject(object, key);
    for (int i = 0; i < count; i++) {
        cJSON *number = array ? cJSON_CreateNumber((double)sizes[i]) : NULL;
        if (!number) return 0;
        (void)cJSON_AddItemToArray(array, number);
    }
    return array != NULL;
}

static gru_status add_tensor(void *user, const part *p) {
    header *h = user;
    const size_t shape[2] = {(size_t)p->shape[0], (size_t)p->shape[1]};
    const size_t place[2] = {h->offset, gru_size_plus(h->offset, p->bytes)};
    cJSON *tensor = cJSON_AddObjectToObject(h->json, full_name(h, p->name));
    if (!tensor || !cJSON_AddStringToObject(tensor, "dtype", gru_dtype_name(p->type)) ||
        !add_sizes(tensor, "shape", shape, p->rank) || !add_sizes(tensor, "data_offsets", place, 2))
        return no_memory();
    h->offset = place[1];
    return GRU_OK;
}

/* Layer 0's words stand for all; another layer has its own where they differ. */
static gru_status add_variant(header *h, cJSON *metadata, const gru_stack_config *config) {
    char first[GRU_VARIANT_TEXT], text[GRU_VARIANT_TEXT], key[NAME], who[NAME];
    for (int field = 0; field < GRU_VARIANT_FIELDS; field++)
        for (int32_t k = 0; k < config->count; k++) {
            gru_stack_layer layer = config->layers[k];
            if (layer.config.hard_slope == 0) layer.config.hard_slope = 0.2f;
            if (!layer.bidirectional) layer.merge = GRU_MERGE_CONCAT; /* means nothing */
            (void)snprintf(who, sizeof who, "config.layers[%d]", k);
            GRU_TRY(gru_variant_write(&layer, field, who, text));
            if (k == 0) strcpy(first, text);
            if (k > 0 && strcmp(first, text) == 0) continue;
            if (k == 0)
                (void)snprintf(key, sizeof key, "gru.%s", gru_variant_field(field));
            else
                (void)snprintf(key, sizeof key, "gru.l%d.%s", k, gru_variant_field(field));
            if (!cJSON_AddStringToObject(metadata, full_name(h, key), text)) return no_memory();
        }
    gru_number_write((double)config->dropout, text);
    return cJSON_AddStringToObject(metadata, full_name(h, "gru.dropout"), text) ? GRU_OK : no_memory();
}

static gru_status fill_header(header *h, const gru_stack_config *config) {
    cJSON *metadata = h->json ? cJSON_AddObjectToObject(h->json, "__metadata__") : NULL;
    if (!metadata || !h->name) return no_memory();
    strcpy(h->name, h->prefix);
    GRU_TRY(add_variant(h, metadata, config));
    return visit_all(config, add_tensor, h);
}

/* *text: the header, to be freed. */
static gru_status make_header(const gru_stack_config *config, const char *prefix, char **text) {
    header h = {.json = cJSON_CreateObject(), .prefix = prefix, .name = malloc(strlen(prefix) + NAME)};
    gru_status status = fill_header(&h, config);
    *text = status == GRU_OK ? cJSON_PrintUnformatted(h.json) : NULL;
    if (status == GRU_OK && !*text) status = no_memory();
    cJSON_Delete(h.json);
    free(h.name);
    return status;
}

/* ---- the file ---- */

typedef struct output {
    const char *path; /* the place that the file is for, in sentences */
    int descriptor;
} output;

static gru_status fail_io(const char *what, const char *path) {
    return gru_fail(GRU_IO, "cannot %s %s: %s; nothing there has changed", what, path, strerror(errno));
}

static gru_status write_bytes(const output *out, const void *data, size_t bytes) {
    const char *next = data;
    while (bytes > 0) {
        const ssize_t written = write(out->descriptor, next, bytes < SSIZE_MAX ? bytes : SSIZE_MAX);
        if (written < 0 && errno == EINTR) continue;
        if (written < 0) return fail_io("write", out->path);
        next += written;
        bytes -= (size_t)written;
    }
    return GRU_OK;
}

static gru_status write_tensor(void *user, const part *p) {
    static const char zeros[4096];
    const output *out = user;
    if (p->data) return write_bytes(out, p->data, p->bytes);
    for (size_t done = 0; done < p->bytes; done += sizeof zeros)
        GRU_TRY(write_bytes(out, zeros, p->bytes - done < sizeof zeros ? p->bytes - done : sizeof zeros));
    return GRU_OK;
}

/* Blanks after the header make the data start at a multiple of 8. */
static gru_status write_contents(output *out, const char *text, const gru_stack_config *config) {
    const size_t length = strlen(text), padded = (length + 7) / 8 * 8;
    uint8_t size[8];
    for (int i = 0; i < 8; i++) size[i] = (uint8_t)((uint64_t)padded >> 8 * i);
    GRU_TRY(write_bytes(out, size, sizeof size));
    GRU_TRY(write_bytes(out, text, length));
    GRU_TRY(write_bytes(out, "        ", padded - length));
    GRU_TRY(visit_all(config, write_tensor, out));
    return fsync(out->descriptor) == 0 ? GRU_OK : fail_io("write", out->path);
}

/* A new file beside path that nobody else has; temporary holds its name. */
static gru_status create_beside(const char *path, char *temporary, size_t size, int *descriptor) {
    struct stat old;
    const int exists = stat(path, &old) == 0;
    if (exists && !S_ISREG(old.st_mode)) return gru_fail(GRU_IO, "%s is not a regular file", path);
    for (unsigned attempt = 0; attempt < 1000; attempt++) {
        (void)snprintf(temporary, size, "%s.%ld-%u.tmp", path, (long)getpid(), attempt);
        *descriptor = open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
        if (*descriptor >= 0 && exists) (void)fchmod(*descriptor, old.st_mode & 0777);
        if (*descriptor >= 0 || errno != EEXIST) break;
    }
    return *descriptor >= 0 ? GRU_OK : fail_io("create a file beside", path);
}

static gru_status write_file(const char *path, const char *text, const gru_stack_config *config) {
    const size_t size = strlen(path) + NAME;
    char *temporary = malloc(size);
    output out = {.path = path};
    if (!temporary) return gru_fail(GRU_OUT_OF_MEMORY, "no memory to write %s", path);
    gru_status status = create_beside(path, temporary, size, &out.descriptor);
    if (status == GRU_OK) {
        status = write_contents(&out, text, config);
        if (close(out.descriptor) != 0 && status == GRU_OK) status = fail_io("write", path);
        if (status == GRU_OK && rename(temporary, path) != 0) status = fail_io("replace", path);
        if (status != GRU_OK) (void)unlink(temporary);
    }
    free(temporary);
    return status;
}

gru_status gru_file_save(const char *path, const gru_stack_config *config, const char *prefix) {
    char *text = NULL;
    if (!path) return gru_fail(GRU_BAD_ARGUMENT, "path is NULL");
    if (!prefix) prefix = "";
    GRU_TRY(check_config(config, prefix));
    GRU_TRY(make_header(config, prefix, &text));
    const gru_status status = write_file(path, text, config);
    cJSON_free(text);
    return status;
}
