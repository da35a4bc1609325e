/* safetensors_header.c: reads the header of a file of tensors and refuses whatever is not exactly right.
 *
 * The format: 8 bytes little-endian length of the header; the header, a JSON object that gives each tensor's dtype, shape
 * and place in the data, with "__metadata__" an object of strings; the data, covered by the tensors without hole or
 * overlap (https://huggingface.co/docs/safetensors).
 *
 * The reader knows this form alone, so that nothing of the header is built that is not kept. It reads the header twice: the
 * first time to check and count, the second to fill arrays of exactly that size. */
#include <stdlib.h>
#include <string.h>

#include "core/error.h"
#include "core/number.h"
#include "json.h"
#include "safetensors.h"
#include "sort.h"
#include "text.h"

enum { LENGTH_BYTES = 8 };

/* ---- element types ---- */

typedef struct dtype {
    const char *name;
    int32_t type;
    size_t bits;
} dtype;

static const dtype dtypes[] = {
    {"F32", GRU_F32, 32},
    {"F16", GRU_F16, 16},
    {"BF16", GRU_BF16, 16},
    {"F64", GRU_F64, 64},
    {"I8", GRU_INT8, 8},
    {"I32", GRU_TENSOR_I32, 32},
    {"I64", GRU_TENSOR_I64, 64},
    {"U8", GRU_TENSOR_U8, 8},
    {"BOOL", GRU_TENSOR_OTHER, 8},
    {"I16", GRU_TENSOR_OTHER, 16},
    {"U16", GRU_TENSOR_OTHER, 16},
    {"U32", GRU_TENSOR_OTHER, 32},
    {"U64", GRU_TENSOR_OTHER, 64},
    {"F8_E4M3", GRU_TENSOR_OTHER, 8},
    {"F8_E5M2", GRU_TENSOR_OTHER, 8},
    {"F8_E8M0", GRU_TENSOR_OTHER, 8},
    {"F8_E4M3FNUZ", GRU_TENSOR_OTHER, 8},
    {"F8_E5M2FNUZ", GRU_TENSOR_OTHER, 8},
    {"F6_E2M3", GRU_TENSOR_OTHER, 6},
    {"F6_E3M2", GRU_TENSOR_OTHER, 6},
    {"F4", GRU_TENSOR_OTHER, 4},
    {"C64", GRU_TENSOR_OTHER, 64},
};
enum { DTYPES = sizeof dtypes / sizeof *dtypes };

const char *gru_dtype_name(int32_t type) {
    for (int i = 0; i < DTYPES; i++)
        if (dtypes[i].type == type && type <= GRU_INT8) return dtypes[i].name;
    return NULL;
}

static const dtype *find_dtype(const char *name) {
    for (int i = 0; i < DTYPES; i++)
        if (strcmp(dtypes[i].name, name) == 0) return &dtypes[i];
    return NULL;
}

/* ---- the reader ---- */

typedef struct reader {
    gru_json json;
    gru_file *file;
    uint32_t tensors, keys; /* found so far */
    int has_metadata;
} reader;

/* ---- metadata ---- */

static gru_status read_word(gru_json *json, const char *key, void *user) {
    reader *r = user;
    const uint32_t kept = gru_json_keep(json);
    if (gru_json_next(json) != '"')
        return gru_fail(GRU_BAD_DATA, "%s: __metadata__ is not an object of strings: \"%s\" is none",
                        json->source, key);
    GRU_TRY(gru_json_string(json, &key));
    (void)gru_json_keep(json);
    if (r->keys < r->file->key_count) r->file->keys[r->keys] = kept;
    r->keys++;
    return GRU_OK;
}

static gru_status read_metadata(reader *r) {
    if (r->has_metadata++)
        return gru_fail(GRU_BAD_DATA, "%s: the header has __metadata__ twice", r->file->source);
    if (gru_json_next(&r->json) != '{')
        return gru_fail(GRU_BAD_DATA, "%s: __metadata__ is not an object of strings", r->file->source);
    return gru_json_object(&r->json, read_word, r);
}

/* ---- one tensor ---- */

typedef struct description {
    reader *r;
    gru_file_entry entry;
    const char *name;
    int has_dtype, has_shape, has_place;
    size_t bits;  /* of an element; 0: not known */
    size_t count; /* of elements */
} description;

static gru_status twice(const description *d, const char *field) {
    return gru_fail(GRU_BAD_DATA, "%s: tensor \"%s\" has %s twice", d->r->file->source, d->name, field);
}

static gru_status read_dtype(gru_json *json, description *d) {
    const char *name;
    if (d->has_dtype++) return twice(d, "dtype");
    if (gru_json_next(json) != '"')
        return gru_fail(GRU_BAD_DATA, "%s: tensor \"%s\" has no dtype, expected a string", json->source,
                        d->name);
    GRU_TRY(gru_json_string(json, &name));
    (void)gru_json_keep(json);
    const dtype *type = find_dtype(name);
    d->entry.type = type ? type->type : GRU_TENSOR_OTHER;
    d->bits = type ? type->bits : 0;
    return GRU_OK;
}

static gru_status read_shape(gru_json *json, description *d) {
    gru_file_entry *entry = &d->entry;
    if (d->has_shape++) return twice(d, "shape");
    if (!gru_json_take(json, '['))
        return gru_fail(GRU_BAD_DATA, "%s: tensor \"%s\" has no shape, expected an array", json->source,
                        d->name);
    entry->shape = (uint32_t)gru_json_position(json);
    d->count = 1;
    if (gru_json_take(json, ']')) return GRU_OK;
    do {
        size_t size;
        if (!gru_json_size(json, &size))
            return gru_fail(GRU_BAD_DATA,
                            "%s: tensor \"%s\" has a shape[%d] that is no integer from 0 to 2^53 - 1",
                            json->source, d->name, entry->rank);
        entry->rank++;
        d->count = gru_size_times(d->count, size);
    } while (gru_json_take(json, ','));
    return gru_json_take(json, ']') ? GRU_OK : gru_json_refuse(json);
}

static gru_status read_place(gru_json *json, description *d) {
    gru_file_entry *entry = &d->entry;
    const gru_file *file = d->r->file;
    if (d->has_place++) return twice(d, "data_offsets");
    if (!gru_json_take(json, '[') || !gru_json_size(json, &entry->begin) || !gru_json_take(json, ',') ||
        !gru_json_size(json, &entry->end) || !gru_json_take(json, ']'))
        return gru_fail(GRU_BAD_DATA,
                        "%s: tensor \"%s\" has data_offsets that are not two integers from 0 to 2^53 - 1",
                        file->source, d->name);
    if (entry->begin > entry->end)
        return gru_fail(GRU_BAD_DATA, "%s: tensor \"%s\" begins at byte %zu and ends before that, at %zu",
                        file->source, d->name, entry->begin, entry->end);
    if (entry->end > file->data_bytes)
        return gru_fail(GRU_BAD_DATA, "%s: tensor \"%s\" ends at byte %zu, but the data has only %zu",
                        file->source, d->name, entry->end, file->data_bytes);
    return GRU_OK;
}

/* A field that this reader does not know may say that the numbers mean something else. */
static gru_status read_field(gru_json *json, const char *field, void *user) {
    description *d = user;
    if (strcmp(field, "dtype") == 0) return read_dtype(json, d);
    if (strcmp(field, "shape") == 0) return read_shape(json, d);
    if (strcmp(field, "data_offsets") == 0) return read_place(json, d);
    return gru_fail(GRU_BAD_DATA,
                    "%s: tensor \"%s\" has the field \"%s\", expected dtype, shape, data_offsets",
                    json->source, d->name, field);
}

/* What the fields say together. The size of an element that is not known is not checked. */
static gru_status check_tensor(const description *d) {
    const char *const source = d->r->file->source;
    const size_t bytes = d->entry.end - d->entry.begin, bits = gru_size_times(d->count, d->bits);
    if (!d->has_dtype)
        return gru_fail(GRU_BAD_DATA, "%s: tensor \"%s\" has no dtype, expected a string", source, d->name);
    if (!d->has_shape)
        return gru_fail(GRU_BAD_DATA, "%s: tensor \"%s\" has no shape, expected an array", source, d->name);
    if (!d->has_place)
        return gru_fail(GRU_BAD_DATA, "%s: tensor \"%s\" has no data_offsets, expected two integers", source,
                        d->name);
    if (d->bits == 0) return GRU_OK;
    if (bits == SIZE_MAX)
        return gru_fail(GRU_BAD_DATA, "%s: tensor \"%s\" has a shape of more bytes than there are addresses",
                        source, d->name);
    if (bits % 8 != 0 || bits / 8 != bytes)
        return gru_fail(GRU_BAD_DATA,
                        "%s: tensor \"%s\" lies in %zu bytes, but its shape and dtype %s make %zu%s", source,
                        d->name, bytes, gru_file_entry_dtype(d->r->file, &d->entry), bits / 8,
                        bits % 8 ? " and a part" : "");
    return GRU_OK;
}

static gru_status read_tensor(reader *r, const char *name) {
    gru_file *file = r->file;
    description d = {.r = r, .name = name};
    d.entry.name = gru_json_keep(&r->json);
    if (gru_json_next(&r->json) != '{')
        return gru_fail(GRU_BAD_DATA, "%s: tensor \"%s\" is not described by an object", file->source, name);
    GRU_TRY(gru_json_object(&r->json, read_field, &d));
    GRU_TRY(check_tensor(&d));
    if (r->tensors < file->count) file->entries[r->tensors] = d.entry;
    r->tensors++;
    return GRU_OK;
}

/* ---- all of them ---- */

static gru_status read_member(gru_json *json, const char *name, void *user) {
    reader *r = user;
    (void)json;
    return strcmp(name, "__metadata__") == 0 ? read_metadata(r) : read_tensor(r, name);
}

static gru_status read_header(gru_file *file, const uint8_t *text, size_t length, reader *r) {
    *r = (reader){.json = {file->source, text, text, text + length, file->strings, 0}, .file = file};
    GRU_TRY(gru_json_object(&r->json, read_member, r));
    return r->json.at == r->json.end ? GRU_OK : gru_json_refuse(&r->json);
}

/* Room for what the first reading found. */
static gru_status make_room(gru_file *file, const reader *r) {
    const size_t indices = (size_t)r->tensors + 1, keys = (size_t)r->keys + 1; /* never 0 bytes */
    file->entries = malloc(indices * sizeof *file->entries);
    file->by_place = malloc(indices * sizeof *file->by_place);
    file->by_name = malloc(indices * sizeof *file->by_name);
    file->keys = malloc(keys * sizeof *file->keys);
    if (!file->entries || !file->by_place || !file->by_name || !file->keys)
        return gru_fail(GRU_OUT_OF_MEMORY, "no memory for the %u tensors of %s", r->tensors, file->source);
    file->count = r->tensors;
    file->key_count = r->keys;
    return GRU_OK;
}

static gru_status read_twice(gru_file *file, const uint8_t *text, size_t length) {
    reader r;
    file->strings = malloc(length);
    if (!file->strings)
        return gru_fail(GRU_OUT_OF_MEMORY, "no memory for the header of %s, %zu bytes", file->source, length);
    GRU_TRY(read_header(file, text, length, &r));
    GRU_TRY(make_room(file, &r));
    GRU_TRY(read_header(file, text, length, &r));
    if (r.tensors == file->count && r.keys == file->key_count) return GRU_OK;
    return gru_fail(GRU_BAD_DATA, "%s changed while its header was read", file->source);
}

/* ---- order, and what all tensors together must be ---- */

static int by_name(const void *user, uint32_t a, uint32_t b) {
    const gru_file *file = user;
    return strcmp(gru_file_entry_name(file, &file->entries[a]), gru_file_entry_name(file, &file->entries[b]));
}

static int by_place(const void *user, uint32_t a, uint32_t b) {
    const gru_file *file = user;
    const gru_file_entry *left = &file->entries[a], *right = &file->entries[b];
    if (left->begin != right->begin) return left->begin < right->begin ? -1 : 1;
    if (left->end != right->end) return left->end < right->end ? -1 : 1; /* empty tensors first */
    return by_name(file, a, b);
}

static int by_text(const void *user, uint32_t a, uint32_t b) {
    const gru_file *file = user;
    return strcmp(file->strings + a, file->strings + b);
}

static void sort(gru_file *file) {
    for (uint32_t i = 0; i < file->count; i++) file->by_place[i] = file->by_name[i] = i;
    gru_sort(file->by_place, file->count, by_place, file);
    gru_sort(file->by_name, file->count, by_name, file);
    gru_sort(file->keys, file->key_count, by_text, file);
}

/* Two readers could take two different ones of a name. */
static gru_status check_names(const gru_file *file) {
    for (uint32_t i = 1; i < file->count; i++)
        if (by_name(file, file->by_name[i - 1], file->by_name[i]) == 0)
            return gru_fail(GRU_BAD_DATA, "%s has two tensors \"%s\"", file->source,
                            gru_file_entry_name(file, gru_file_entry_by_name(file, i)));
    for (uint32_t i = 1; i < file->key_count; i++)
        if (by_text(file, file->keys[i - 1], file->keys[i]) == 0)
            return gru_fail(GRU_BAD_DATA, "%s has metadata \"%s\" twice", file->source,
                            gru_file_key(file, i));
    return GRU_OK;
}

/* Every byte of the data belongs to exactly one tensor. */
static gru_status check_cover(const gru_file *file) {
    size_t covered = 0;
    const char *before = "";
    for (uint32_t i = 0; i < file->count; i++) {
        const gru_file_entry *entry = &file->entries[file->by_place[i]];
        const char *name = gru_file_entry_name(file, entry);
        if (entry->begin > covered)
            return gru_fail(GRU_BAD_DATA,
                            "%s: bytes %zu to %zu of the data belong to no tensor, before \"%s\"",
                            file->source, covered, entry->begin, name);
        if (entry->begin < covered)
            return gru_fail(GRU_BAD_DATA,
                            "%s: tensor \"%s\" begins at byte %zu, inside \"%s\", which ends at %zu",
                            file->source, name, entry->begin, before, covered);
        covered = entry->end;
        before = name;
    }
    if (covered != file->data_bytes)
        return gru_fail(GRU_BAD_DATA, "%s: bytes %zu to %zu of the data belong to no tensor", file->source,
                        covered, file->data_bytes);
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
    return gru_fail(GRU_BAD_DATA, "%s: the header's length is %llu, expected at most %d", file->source,
                    (unsigned long long)length, GRU_LARGEST_HEADER);
}

/* Finds header and data. *text, *length: the header without the blanks that pad it. */
static gru_status check_frame(gru_file *file, const uint8_t **text, size_t *length) {
    size_t where;
    if (file->size < LENGTH_BYTES)
        return gru_fail(GRU_BAD_DATA, "%s has %zu bytes, expected at least the %d of the header's length",
                        file->source, file->size, LENGTH_BYTES);
    uint64_t header = 0;
    for (int i = LENGTH_BYTES - 1; i >= 0; i--) header = header << 8 | file->bytes[i];
    if (header > GRU_LARGEST_HEADER) return refuse_length(file, header);
    if (header > file->size - LENGTH_BYTES)
        return gru_fail(GRU_BAD_DATA, "%s: the header's length is %llu, but only %zu bytes follow it",
                        file->source, (unsigned long long)header, file->size - LENGTH_BYTES);
    const uint8_t *start = file->bytes + LENGTH_BYTES;
    file->data = start + header;
    file->data_bytes = file->size - LENGTH_BYTES - (size_t)header;
    while (header > 0 && gru_json_is_blank(start[header - 1])) header--;
    if (header == 0 || start[0] != '{')
        return gru_fail(GRU_BAD_DATA, "%s: the header does not start with '{', expected a JSON object",
                        file->source);
    if (start[header - 1] != '}')
        return gru_fail(GRU_BAD_DATA, "%s: the header does not end with '}', expected a JSON object",
                        file->source);
    if (!gru_utf8_valid(start, (size_t)header, &where))
        return gru_fail(GRU_BAD_DATA, "%s: the header is not UTF-8 at its byte %zu", file->source, where);
    *text = start;
    *length = (size_t)header;
    return GRU_OK;
}

gru_status gru_file_check(gru_file *file) {
    const uint8_t *text = NULL;
    size_t length = 0;
    GRU_TRY(check_frame(file, &text, &length));
    GRU_TRY(read_twice(file, text, length));
    sort(file);
    GRU_TRY(check_names(file));
    return check_cover(file);
}

/* The shape was checked: digits, blanks and commas until the bracket. */
void gru_file_shape(const gru_file *file, const gru_file_entry *entry, int64_t shape[GRU_TENSOR_RANK]) {
    const uint8_t *start = file->bytes + LENGTH_BYTES;
    gru_json json = {.begin = start, .at = start + entry->shape, .end = file->data};
    for (int i = 0; i < GRU_TENSOR_RANK; i++) {
        size_t size = 0;
        if (i < entry->rank) {
            (void)gru_json_size(&json, &size);
            (void)gru_json_take(&json, ',');
        }
        shape[i] = (int64_t)size;
    }
}
