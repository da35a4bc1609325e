/* safetensors_header.c: reads the header of a file of tensors and refuses whatever is not exactly right.
 *
 * The format: 8 bytes little-endian length of the header; the header, a JSON object that gives each tensor's dtype, shape
 * and place in the data, with "__metadata__" an object of strings; the data, covered by the tensors without hole or
 * overlap (https://huggingface.co/docs/safetensors). */
#include "safetensors.h"

#include <cjson/cJSON.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/error.h"
#include "core/number.h"

enum { LENGTH_BYTES = 8 };
static const uint64_t largest_header = 100000000; /* the limit of the format's first implementation */
static const double too_large = 0x1p53;           /* from here on a JSON number is not exact */

/* ---- element types ---- */

typedef struct dtype {
    const char *name;
    int32_t type;
    size_t bytes;
} dtype;

static const dtype dtypes[] = {
    {"F32", GRU_F32, 4},
    {"F16", GRU_F16, 2},
    {"BF16", GRU_BF16, 2},
    {"F64", GRU_F64, 8},
    {"I8", GRU_INT8, 1},
    {"I32", GRU_TENSOR_I32, 4},
    {"I64", GRU_TENSOR_I64, 8},
    {"U8", GRU_TENSOR_U8, 1},
    {"BOOL", GRU_TENSOR_OTHER, 1},
    {"I16", GRU_TENSOR_OTHER, 2},
    {"U16", GRU_TENSOR_OTHER, 2},
    {"U32", GRU_TENSOR_OTHER, 4},
    {"U64", GRU_TENSOR_OTHER, 8},
    {"F8_E4M3", GRU_TENSOR_OTHER, 1},
    {"F8_E5M2", GRU_TENSOR_OTHER, 1},
    {"F8_E8M0", GRU_TENSOR_OTHER, 1},
    {"C64", GRU_TENSOR_OTHER, 8},
};
enum { DTYPES = sizeof dtypes / sizeof *dtypes };

const char *gru_dtype_name(int32_t type) {
    for (int i = 0; i < DTYPES; i++)
        if (dtypes[i].type == type && type <= GRU_F64) return dtypes[i].name;
    return NULL;
}

static const dtype *find_dtype(const char *name) {
    for (int i = 0; i < DTYPES; i++)
        if (strcmp(dtypes[i].name, name) == 0) return &dtypes[i];
    return NULL;
}

/* ---- text ---- */

static int is_blank(uint8_t c) {
    return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

/* Bytes of the UTF-8 character at the start, 0 if it is none. */
static size_t utf8_length(const uint8_t *c, size_t count) {
    const size_t length = c[0] < 0x80   ? 1
                          : c[0] < 0xc2 ? 0
                          : c[0] < 0xe0 ? 2
                          : c[0] < 0xf0 ? 3
                          : c[0] < 0xf5 ? 4
                                        : 0;
    if (length > count) return 0;
    for (size_t i = 1; i < length; i++)
        if ((c[i] & 0xc0) != 0x80) return 0;
    if (c[0] == 0xe0 && c[1] < 0xa0) return 0; /* overlong */
    if (c[0] == 0xed && c[1] > 0x9f) return 0; /* surrogate */
    if (c[0] == 0xf0 && c[1] < 0x90) return 0; /* overlong */
    if (c[0] == 0xf4 && c[1] > 0x8f) return 0; /* above U+10FFFF */
    return length;
}

int gru_utf8_valid(const uint8_t *bytes, size_t count, size_t *where) {
    for (size_t i = 0, length; i < count; i += length) {
        length = utf8_length(bytes + i, count - i);
        if (length == 0) {
            *where = i;
            return 0;
        }
    }
    return 1;
}

/* The JSON reader takes control characters for blanks and lets a zero end a name early; neither is JSON. */
static gru_status check_text(const gru_file *file, const uint8_t *text, size_t length) {
    size_t where;
    if (!gru_utf8_valid(text, length, &where))
        return gru_fail(GRU_BAD_DATA, "%s: the header is not UTF-8 at its byte %zu", file->source, where);
    int inside = 0; /* a string */
    for (size_t i = 0; i < length; i++) {
        if (text[i] < 0x20 && (inside || !is_blank(text[i])))
            return gru_fail(GRU_BAD_DATA, "%s: the header has the control character %d at its byte %zu",
                            file->source, text[i], i);
        if (text[i] == '"') inside = !inside;
        if (text[i] != '\\') continue;
        if (length - i >= 6 && memcmp(text + i, "\\u0000", 6) == 0)
            return gru_fail(GRU_BAD_DATA, "%s: the header has a zero character (\\u0000) at its byte %zu",
                            file->source, i);
        i++; /* the escaped character, which may be a backslash itself */
    }
    return GRU_OK;
}

/* ---- the frame ---- */

/* A length that no header has is most often the start of a file of another format. */
static gru_status refuse_length(const gru_file *file, uint64_t length) {
    const char *format = memcmp(file->bytes, "PK\003\004", 4) == 0
                             ? "a zip archive, as .pt, .npz and .keras files are"
                         : memcmp(file->bytes, "\211HDF", 4) == 0 ? "an HDF5 file"
                                                                  : NULL;
    if (format)
        return gru_fail(GRU_BAD_DATA, "%s is %s, expected a safetensors file: convert it with gru-convert",
                        file->source, format);
    return gru_fail(GRU_BAD_DATA, "%s: the header's length is %llu, expected at most %llu", file->source,
                    (unsigned long long)length, (unsigned long long)largest_header);
}

/* Finds header and data. *text, *length: the header without the blanks that pad it. */
static gru_status check_frame(gru_file *file, const uint8_t **text, size_t *length) {
    if (file->size < LENGTH_BYTES)
        return gru_fail(GRU_BAD_DATA, "%s has %zu bytes, expected at least the %d of the header's length",
                        file->source, file->size, LENGTH_BYTES);
    uint64_t header = 0;
    for (int i = LENGTH_BYTES - 1; i >= 0; i--) header = header << 8 | file->bytes[i];
    if (header > largest_header) return refuse_length(file, header);
    if (header > file->size - LENGTH_BYTES)
        return gru_fail(GRU_BAD_DATA, "%s: the header's length is %llu, but only %zu bytes follow it",
                        file->source, (unsigned long long)header, file->size - LENGTH_BYTES);
    const uint8_t *start = file->bytes + LENGTH_BYTES;
    file->data = start + header;
    file->data_bytes = file->size - LENGTH_BYTES - (size_t)header;
    while (header > 0 && is_blank(start[header - 1])) header--;
    if (header == 0 || start[0] != '{')
        return gru_fail(GRU_BAD_DATA, "%s: the header does not start with '{', expected a JSON object",
                        file->source);
    if (start[header - 1] != '}')
        return gru_fail(GRU_BAD_DATA, "%s: the header does not end with '}', expected a JSON object",
                        file->source);
    *text = start;
    *length = (size_t)header;
    return GRU_OK;
}

static gru_status parse_json(gru_file *file, const uint8_t *text, size_t length) {
    const char *begin = (const char *)text, *end = begin;
    errno = 0;
    file->header = cJSON_ParseWithLengthOpts(begin, length, &end, 0);
    if (!file->header && errno == ENOMEM) /* the reader does not tell it from bad text */
        return gru_fail(GRU_OUT_OF_MEMORY, "no memory for the header of %s, %zu bytes", file->source, length);
    if (!file->header || end != begin + length)
        return gru_fail(GRU_BAD_DATA, "%s: the header is not JSON from its byte %zu on", file->source,
                        (size_t)(end - begin));
    return GRU_OK;
}

/* ---- one tensor ---- */

/* A size: an integer from 0 to below 2^53. */
static int read_size(const cJSON *item, size_t *size) {
    if (!cJSON_IsNumber(item) || !(item->valuedouble >= 0 && item->valuedouble < too_large)) return 0;
    *size = (size_t)item->valuedouble;
    return (double)*size == item->valuedouble;
}

static gru_status read_shape(const gru_file *file, const cJSON *shape, gru_file_entry *entry, size_t *count) {
    const char *const name = entry->name;
    const cJSON *item;
    *count = 1;
    if (!cJSON_IsArray(shape))
        return gru_fail(GRU_BAD_DATA, "%s: tensor \"%s\" has no shape, expected an array", file->source,
                        name);
    cJSON_ArrayForEach(item, shape) {
        size_t size;
        if (entry->rank == GRU_TENSOR_RANK)
            return gru_fail(GRU_BAD_DATA, "%s: tensor \"%s\" has more than %d dimensions", file->source, name,
                            GRU_TENSOR_RANK);
        if (!read_size(item, &size))
            return gru_fail(GRU_BAD_DATA,
                            "%s: tensor \"%s\" has a shape[%d] that is no integer from 0 to 2^53 - 1",
                            file->source, name, entry->rank);
        entry->shape[entry->rank++] = (int64_t)size;
        *count = gru_size_times(*count, size);
    }
    return GRU_OK;
}

static gru_status read_place(const gru_file *file, const cJSON *offsets, gru_file_entry *entry) {
    const cJSON *first = cJSON_IsArray(offsets) ? offsets->child : NULL;
    if (!first || !first->next || first->next->next || !read_size(first, &entry->begin) ||
        !read_size(first->next, &entry->end))
        return gru_fail(GRU_BAD_DATA,
                        "%s: tensor \"%s\" has data_offsets that are not two integers from 0 to 2^53 - 1",
                        file->source, entry->name);
    if (entry->begin > entry->end)
        return gru_fail(GRU_BAD_DATA, "%s: tensor \"%s\" begins at byte %zu and ends before that, at %zu",
                        file->source, entry->name, entry->begin, entry->end);
    if (entry->end > file->data_bytes)
        return gru_fail(GRU_BAD_DATA, "%s: tensor \"%s\" ends at byte %zu, but the data has only %zu",
                        file->source, entry->name, entry->end, file->data_bytes);
    return GRU_OK;
}

/* The fields that a tensor must have, each once; others are not this library's business. */
static gru_status find_fields(const gru_file *file, const cJSON *tensor, const cJSON *found[3]) {
    static const char *const names[3] = {"dtype", "shape", "data_offsets"};
    const cJSON *item;
    if (!cJSON_IsObject(tensor))
        return gru_fail(GRU_BAD_DATA, "%s: tensor \"%s\" is not described by an object", file->source,
                        tensor->string);
    cJSON_ArrayForEach(item, tensor) {
        for (int i = 0; i < 3; i++) {
            if (strcmp(item->string, names[i]) != 0) continue;
            if (found[i])
                return gru_fail(GRU_BAD_DATA, "%s: tensor \"%s\" has %s twice", file->source, tensor->string,
                                names[i]);
            found[i] = item;
        }
    }
    return GRU_OK;
}

static gru_status read_tensor(const gru_file *file, const cJSON *tensor, gru_file_entry *entry) {
    const cJSON *field[3] = {NULL, NULL, NULL};
    size_t count;
    entry->name = tensor->string;
    GRU_TRY(find_fields(file, tensor, field));
    if (!cJSON_IsString(field[0]))
        return gru_fail(GRU_BAD_DATA, "%s: tensor \"%s\" has no dtype, expected a string", file->source,
                        entry->name);
    const dtype *type = find_dtype(field[0]->valuestring);
    if (!type)
        return gru_fail(GRU_BAD_DATA, "%s: tensor \"%s\" has the unknown dtype \"%s\"", file->source,
                        entry->name, field[0]->valuestring);
    entry->type = type->type;
    GRU_TRY(read_shape(file, field[1], entry, &count));
    GRU_TRY(read_place(file, field[2], entry));
    const size_t bytes = gru_size_times(count, type->bytes);
    if (bytes == SIZE_MAX)
        return gru_fail(GRU_BAD_DATA, "%s: tensor \"%s\" has a shape of more bytes than there are addresses",
                        file->source, entry->name);
    if (bytes != entry->end - entry->begin)
        return gru_fail(GRU_BAD_DATA,
                        "%s: tensor \"%s\" lies in %zu bytes, but its shape and dtype %s make %zu",
                        file->source, entry->name, entry->end - entry->begin, type->name, bytes);
    return GRU_OK;
}

/* ---- all of them ---- */

static int by_place(const void *left, const void *right) {
    const gru_file_entry *a = left, *b = right;
    if (a->begin != b->begin) return a->begin < b->begin ? -1 : 1;
    if (a->end != b->end) return a->end < b->end ? -1 : 1; /* empty tensors first */
    return strcmp(a->name, b->name);
}

static int by_name(const void *left, const void *right) {
    return strcmp((*(const gru_file_entry *const *)left)->name,
                  (*(const gru_file_entry *const *)right)->name);
}

static gru_status check_metadata(gru_file *file, const cJSON *metadata) {
    const cJSON *item;
    if (file->metadata) return gru_fail(GRU_BAD_DATA, "%s: the header has __metadata__ twice", file->source);
    if (!cJSON_IsObject(metadata))
        return gru_fail(GRU_BAD_DATA, "%s: __metadata__ is not an object of strings", file->source);
    cJSON_ArrayForEach(item, metadata) if (!cJSON_IsString(item)) return gru_fail(
        GRU_BAD_DATA, "%s: __metadata__ is not an object of strings: \"%s\" is none", file->source,
        item->string);
    file->metadata = metadata;
    return GRU_OK;
}

static gru_status read_tensors(gru_file *file) {
    const int items = cJSON_GetArraySize(file->header);
    if (items == 0) return GRU_OK;
    file->entries = calloc((size_t)items, sizeof *file->entries);
    file->by_name = calloc((size_t)items, sizeof *file->by_name);
    if (!file->entries || !file->by_name)
        return gru_fail(GRU_OUT_OF_MEMORY, "no memory for the %d tensors of %s", items, file->source);
    const cJSON *item;
    cJSON_ArrayForEach(item, file->header) {
        if (strcmp(item->string, "__metadata__") == 0)
            GRU_TRY(check_metadata(file, item));
        else
            GRU_TRY(read_tensor(file, item, &file->entries[file->count++]));
    }
    return GRU_OK;
}

static gru_status check_names(gru_file *file) {
    if (file->count == 0) return GRU_OK;
    for (int32_t i = 0; i < file->count; i++) file->by_name[i] = &file->entries[i];
    qsort(file->by_name, (size_t)file->count, sizeof *file->by_name, by_name);
    for (int32_t i = 1; i < file->count; i++)
        if (strcmp(file->by_name[i - 1]->name, file->by_name[i]->name) == 0)
            return gru_fail(GRU_BAD_DATA, "%s has two tensors \"%s\"", file->source, file->by_name[i]->name);
    return GRU_OK;
}

/* Every byte of the data belongs to exactly one tensor. Expects the entries in the order of their places. */
static gru_status check_cover(const gru_file *file) {
    size_t covered = 0;
    for (int32_t i = 0; i < file->count; i++) {
        const gru_file_entry *entry = &file->entries[i];
        if (entry->begin > covered)
            return gru_fail(GRU_BAD_DATA,
                            "%s: bytes %zu to %zu of the data belong to no tensor, before \"%s\"",
                            file->source, covered, entry->begin, entry->name);
        if (entry->begin < covered)
            return gru_fail(GRU_BAD_DATA,
                            "%s: tensor \"%s\" begins at byte %zu, inside \"%s\", which ends at %zu",
                            file->source, entry->name, entry->begin, file->entries[i - 1].name, covered);
        covered = entry->end;
    }
    if (covered != file->data_bytes)
        return gru_fail(GRU_BAD_DATA, "%s: bytes %zu to %zu of the data belong to no tensor", file->source,
                        covered, file->data_bytes);
    return GRU_OK;
}

gru_status gru_file_check(gru_file *file) {
    const uint8_t *text = NULL;
    size_t length = 0;
    GRU_TRY(check_frame(file, &text, &length));
    GRU_TRY(check_text(file, text, length));
    GRU_TRY(parse_json(file, text, length));
    GRU_TRY(read_tensors(file));
    if (file->count > 0) qsort(file->entries, (size_t)file->count, sizeof *file->entries, by_place);
    GRU_TRY(check_names(file));
    return check_cover(file);
}
