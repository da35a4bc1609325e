/* safetensors.c: opens files of named tensors and finds tensors and metadata in them. */
#define _POSIX_C_SOURCE 200809L /* O_CLOEXEC */
#include "safetensors.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/error.h"

/* A file without contents, or NULL with a sentence. */
static gru_file *create_file(const char *source) {
    gru_file *file = calloc(1, sizeof *file);
    char *copy = malloc(strlen(source) + 1);
    if (!file || !copy) {
        free(file);
        free(copy);
        (void)gru_fail(GRU_OUT_OF_MEMORY, "no memory to open %s", source);
        return NULL;
    }
    file->source = strcpy(copy, source);
    return file;
}

/* Checks the contents; on failure the file is gone. */
static gru_status finish(gru_file *fresh, gru_file **file) {
    const gru_status status = gru_file_check(fresh);
    if (status != GRU_OK) {
        gru_file_close(fresh);
        return status;
    }
    *file = fresh;
    return GRU_OK;
}

static gru_status fail_io(const char *what, const char *path) {
    return gru_fail(GRU_IO, "cannot %s %s: %s", what, path, strerror(errno));
}

/* Maps the open file. An empty one has nothing to map: it is refused later as too short. */
static gru_status map(gru_file *file, int descriptor) {
    struct stat facts;
    if (fstat(descriptor, &facts) != 0) return fail_io("ask the size of", file->source);
    if (!S_ISREG(facts.st_mode)) return gru_fail(GRU_IO, "%s is not a regular file", file->source);
    if (facts.st_size == 0) return GRU_OK;
    void *bytes = mmap(NULL, (size_t)facts.st_size, PROT_READ, MAP_PRIVATE, descriptor, 0);
    if (bytes == MAP_FAILED) return fail_io("map", file->source);
    file->bytes = bytes;
    file->size = (size_t)facts.st_size;
    file->mapped = 1;
    return GRU_OK;
}

gru_status gru_file_open(const char *path, gru_file **file) {
    if (!path) return gru_fail(GRU_BAD_ARGUMENT, "path is NULL");
    if (!file) return gru_fail(GRU_BAD_ARGUMENT, "file is NULL, expected a place for the new file");
    /* O_NONBLOCK: a pipe without a writer must not stop the caller */
    const int descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (descriptor < 0) return fail_io("open", path);
    gru_file *fresh = create_file(path);
    const gru_status status = fresh ? map(fresh, descriptor) : GRU_OUT_OF_MEMORY;
    (void)close(descriptor);
    if (status != GRU_OK) {
        gru_file_close(fresh);
        return status;
    }
    return finish(fresh, file);
}

gru_status gru_file_parse(const void *bytes, size_t size, gru_file **file) {
    if (!bytes && size > 0) return gru_fail(GRU_BAD_ARGUMENT, "bytes is NULL, expected %zu bytes", size);
    if (!file) return gru_fail(GRU_BAD_ARGUMENT, "file is NULL, expected a place for the new file");
    gru_file *fresh = create_file("the file in memory");
    if (!fresh) return GRU_OUT_OF_MEMORY;
    fresh->bytes = bytes;
    fresh->size = size;
    return finish(fresh, file);
}

void gru_file_close(gru_file *file) {
    if (!file) return;
    if (file->mapped) (void)munmap((void *)(uintptr_t)file->bytes, file->size);
    free(file->strings);
    free(file->entries);
    free(file->by_place);
    free(file->by_name);
    free(file->keys);
    free(file->source);
    free(file);
}

/* ---- tensors and metadata by name ---- */

/* Sorted texts: names of tensors, or keys. */
typedef struct texts {
    const char *(*at)(const gru_file *file, uint32_t i);
    uint32_t count;
} texts;

static const char *name_at(const gru_file *file, uint32_t i) {
    return gru_file_entry_name(file, gru_file_entry_by_name(file, i));
}

static texts names_of(const gru_file *file) {
    return (texts){name_at, file->count};
}

static texts keys_of(const gru_file *file) {
    return (texts){gru_file_key, file->key_count};
}

static int compare_start(const char *text, gru_name_start start) {
    const int order = strncmp(text, start.prefix, start.bytes);
    return order != 0 ? order : strncmp(text + start.bytes, start.rest, strlen(start.rest));
}

static const char *text_at(const gru_file *file, texts all, gru_name_start start, uint32_t i) {
    const char *text = i < all.count ? all.at(file, i) : NULL;
    return text && compare_start(text, start) == 0 ? text : NULL;
}

static const char *first_text(const gru_file *file, texts all, gru_name_start start, uint32_t *i) {
    uint32_t end = all.count;
    for (*i = 0; *i < end;) {
        const uint32_t middle = *i + (end - *i) / 2;
        if (compare_start(all.at(file, middle), start) < 0)
            *i = middle + 1;
        else
            end = middle;
    }
    return text_at(file, all, start, *i);
}

const char *gru_file_first_name(const gru_file *file, gru_name_start start, uint32_t *i) {
    return first_text(file, names_of(file), start, i);
}

const char *gru_file_first_key(const gru_file *file, gru_name_start start, uint32_t *i) {
    return first_text(file, keys_of(file), start, i);
}

const char *gru_file_next_name(const gru_file *file, gru_name_start start, uint32_t *i) {
    return text_at(file, names_of(file), start, ++*i);
}

const char *gru_file_next_key(const gru_file *file, gru_name_start start, uint32_t *i) {
    return text_at(file, keys_of(file), start, ++*i);
}

const gru_file_entry *gru_file_find_stored(const gru_file *file, const char *name) {
    uint32_t i;
    const char *first = gru_file_first_name(file, (gru_name_start){name, strlen(name), ""}, &i);
    return first && strcmp(first, name) == 0 ? gru_file_entry_by_name(file, i) : NULL;
}

const gru_file_entry *gru_file_find(const gru_file *file, const char *name) {
    const gru_file_entry *entry = gru_file_find_stored(file, name);
    const char *other = entry ? NULL : gru_file_metadata(file, name);
    return other ? gru_file_find_stored(file, other) : entry;
}

gru_tensor gru_file_describe(const gru_file *file, const gru_file_entry *entry) {
    gru_tensor tensor = {.data = file->data + entry->begin,
                         .bytes = entry->end - entry->begin,
                         .type = entry->type,
                         .rank = entry->rank,
                         .dtype = gru_file_entry_dtype(file, entry)};
    gru_file_shape(file, entry, tensor.shape);
    return tensor;
}

gru_status gru_file_tensor(const gru_file *file, const char *name, gru_tensor *tensor) {
    if (!file) return gru_fail(GRU_BAD_ARGUMENT, "file is NULL");
    if (!name) return gru_fail(GRU_BAD_ARGUMENT, "name is NULL");
    if (!tensor) return gru_fail(GRU_BAD_ARGUMENT, "tensor is NULL, expected a place for the tensor");
    const gru_file_entry *entry = gru_file_find(file, name);
    if (!entry) return gru_fail(GRU_BAD_DATA, "%s has no tensor \"%s\"", file->source, name);
    if (entry->rank > GRU_TENSOR_RANK)
        return gru_fail(GRU_UNSUPPORTED, "%s: tensor \"%s\" has %d dimensions, expected at most %d",
                        file->source, name, entry->rank, GRU_TENSOR_RANK);
    *tensor = gru_file_describe(file, entry);
    return GRU_OK;
}

const char *gru_file_name(const gru_file *file, int32_t index) {
    if (!file || index < 0 || (uint32_t)index >= file->count) return NULL;
    return gru_file_entry_name(file, &file->entries[file->by_place[index]]);
}

const char *gru_file_metadata(const gru_file *file, const char *key) {
    uint32_t i;
    if (!file || !key) return NULL;
    const char *first = gru_file_first_key(file, (gru_name_start){key, strlen(key), ""}, &i);
    return first && strcmp(first, key) == 0 ? first + strlen(first) + 1 : NULL;
}
