/* safetensors.c: opens files of named tensors and finds tensors and metadata in them. */
#include "safetensors.h"

#include <cjson/cJSON.h>
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
    cJSON_Delete(file->header);
    free(file->entries);
    free(file->by_name);
    free(file->source);
    free(file);
}

static int compare_name(const void *name, const void *entry) {
    return strcmp(name, (*(const gru_file_entry *const *)entry)->name);
}

const gru_file_entry *gru_file_find(const gru_file *file, const char *name) {
    if (file->count == 0) return NULL;
    const gru_file_entry **found =
        bsearch(name, file->by_name, (size_t)file->count, sizeof *file->by_name, compare_name);
    return found ? *found : NULL;
}

gru_status gru_file_tensor(const gru_file *file, const char *name, gru_tensor *tensor) {
    if (!file) return gru_fail(GRU_BAD_ARGUMENT, "file is NULL");
    if (!name) return gru_fail(GRU_BAD_ARGUMENT, "name is NULL");
    if (!tensor) return gru_fail(GRU_BAD_ARGUMENT, "tensor is NULL, expected a place for the tensor");
    const gru_file_entry *entry = gru_file_find(file, name);
    if (!entry) return gru_fail(GRU_BAD_DATA, "%s has no tensor \"%s\"", file->source, name);
    gru_tensor result = {.data = file->data + entry->begin,
                         .bytes = entry->end - entry->begin,
                         .type = entry->type,
                         .rank = entry->rank};
    memcpy(result.shape, entry->shape, sizeof result.shape);
    *tensor = result;
    return GRU_OK;
}

const char *gru_file_name(const gru_file *file, int32_t index) {
    return file && index >= 0 && index < file->count ? file->entries[index].name : NULL;
}

const char *gru_file_metadata(const gru_file *file, const char *key) {
    if (!file || !key || !file->metadata) return NULL;
    return cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(file->metadata, key));
}
