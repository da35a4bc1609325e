/* load_prefix.c: finds the GRUs of a file by the names of their recurrent matrices. */
#include <stdio.h>
#include <stdlib.h>

#include "core/error.h"
#include "load.h"

/* Where the name of a first layer's recurrent matrix begins in a longer name; -1: it does not end so. */
static ptrdiff_t prefix_length(const char *name) {
    static const char *const ends[2] = {"weight_hh_l0", "weight_hh_l0_reverse"};
    const size_t length = strlen(name);
    for (int i = 0; i < 2; i++) {
        const size_t end = strlen(ends[i]);
        if (length >= end && strcmp(name + length - end, ends[i]) == 0) return (ptrdiff_t)(length - end);
    }
    return -1;
}

/* Whether the tensor of this name is a GRU's recurrent matrix; an LSTM's has four gates. */
static int is_recurrent(const gru_file *file, const char *name) {
    int64_t shape[GRU_TENSOR_RANK];
    const gru_file_entry *entry = prefix_length(name) >= 0 ? gru_file_find(file, name) : NULL;
    if (!entry || entry->rank != 2) return 0;
    gru_file_shape(file, entry, shape);
    return shape[1] >= 1 && shape[1] <= INT64_MAX / 3 && shape[0] == 3 * shape[1];
}

typedef struct list {
    char *text;
    size_t size, used;
    int count;
    const char *last; /* begins with the last prefix */
    size_t last_length;
} list;

static void add_prefix(list *found, const char *name) {
    const size_t length = (size_t)prefix_length(name);
    if (found->last && found->last_length == length && memcmp(found->last, name, length) == 0) return;
    if (found->used < found->size)
        found->used += (size_t)snprintf(found->text + found->used, found->size - found->used, "%s\"%.*s\"",
                                        found->count ? ", " : "", (int)length, name);
    found->last = name;
    found->last_length = length;
    found->count++;
}

/* Whether a stored tensor is a recurrent matrix with the prefix of this name. */
static int is_stored(const gru_file *file, const char *name) {
    const size_t length = (size_t)prefix_length(name);
    const gru_name_start start = {name, length, "weight_hh_l0"};
    uint32_t i;
    for (const char *other = gru_file_first_name(file, start, &i); other;
         other = gru_file_next_name(file, start, &i))
        if (prefix_length(other) == (ptrdiff_t)length && is_recurrent(file, other)) return 1;
    return 0;
}

/* Both directions follow each other in the order of names, and of keys. A key is another name of a tensor. */
static list find_prefixes(const gru_file *file, char *text, size_t size) {
    list found = {.text = text, .size = size};
    for (uint32_t i = 0; i < file->count; i++) {
        const char *name = gru_file_entry_name(file, gru_file_entry_by_name(file, i));
        if (is_recurrent(file, name)) add_prefix(&found, name);
    }
    for (uint32_t i = 0; i < file->key_count; i++) {
        const char *key = gru_file_key(file, i);
        if (is_recurrent(file, key) && !is_stored(file, key)) add_prefix(&found, key);
    }
    return found;
}

void gru_load_list_prefixes(const gru_file *file, char *text, size_t size) {
    (void)snprintf(text, size, "none");
    (void)find_prefixes(file, text, size);
}

int gru_load_is_prefix(const gru_file *file, const char *text, size_t bytes) {
    const gru_name_start start = {text, bytes, "weight_hh_l"};
    uint32_t i;
    return gru_file_first_name(file, start, &i) || gru_file_first_key(file, start, &i);
}

gru_status gru_load_prefix(gru_loader *l, const char *wanted) {
    const char *const source = l->file->source;
    list found = {.last = wanted, .last_length = wanted ? strlen(wanted) : 0};
    char text[600] = "";
    if (!wanted) {
        found = find_prefixes(l->file, text, sizeof text);
        if (found.count == 0)
            return gru_fail(GRU_BAD_DATA, "%s has no GRU: no tensor weight_hh_l0 [3H][H] with any prefix",
                            source);
        if (found.count > 1)
            return gru_fail(GRU_BAD_ARGUMENT,
                            "options.prefix is NULL, but %s has %d GRUs; expected one of %s", source,
                            found.count, text);
    }
    l->name = malloc(found.last_length + GRU_LOAD_NAME);
    if (!l->name) return gru_fail(GRU_OUT_OF_MEMORY, "no memory to load from %s", source);
    memcpy(l->name, found.last, found.last_length);
    l->name[found.last_length] = '\0';
    l->prefix_length = found.last_length;
    return GRU_OK;
}
