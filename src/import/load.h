/* load.h: what is known while a stack is made of a file's tensors. */
#ifndef GRU_LOAD_H
#define GRU_LOAD_H

#include "safetensors.h"

enum {
    GRU_LOAD_NAME = 80,
    GRU_LOAD_PARTS = 7
}; /* of a name or key without its prefix; tensors of a sublayer */

typedef struct gru_loader {
    const gru_file *file;
    size_t prefix_length;
    char *name; /* the prefix, and room for GRU_LOAD_NAME after it */
    gru_stack_layer *layers;
    int32_t count;
    float dropout;
    int learned_states; /* the file has an initial state for each sublayer */
    void **copies;      /* [2 GRU_LOAD_PARTS count] of data that was not aligned */
    int32_t copy_count;
} gru_loader;

/* name behind the prefix, in l->name. */
const char *gru_load_name(gru_loader *l, const char *name);

/* Sets name and prefix_length: to wanted, or to the prefix of the only GRU. */
gru_status gru_load_prefix(gru_loader *l, const char *wanted);
/* The prefixes of all GRUs as text, "none" without any. */
void gru_load_list_prefixes(const gru_file *file, char *text, size_t size);
/* Whether the file has a GRU whose prefix is the first bytes of the text. */
int gru_load_is_prefix(const gru_file *file, const char *text, size_t bytes);

/* Reads the metadata of the prefix into layers, dropout and learned_states. */
gru_status gru_load_variant(gru_loader *l);

/* Reads the number of a layer, without leading zeros, and steps over it. -1: there is none. */
int64_t gru_load_layer_number(const char **text);

#endif
