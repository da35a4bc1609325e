/* g2p_model.h: the pronunciation model: spellings in, sounds out, many words at a time. */
#ifndef G2P_G2P_MODEL_H
#define G2P_G2P_MODEL_H

#include <gru/gru.h>

#include "text.h"

typedef struct model_options {
    const char *path;   /* a safetensors file that g2p_train or fetch_model.py wrote */
    const char *engine; /* its name, or "cpu" or "cuda"; NULL: the fastest */
    int32_t threads;    /* 0: all processors */
    int32_t batch;      /* the most words in one call, at least 1 */
    int32_t weights; /* what the GRUs hold theirs in: GRU_F32 (0), GRU_F16, GRU_BF16, or GRU_INT8 on CPUs */
} model_options;

typedef struct model model;

/* NULL on failure, after a message on stderr. */
model *model_open(const model_options *options);
void model_close(model *m); /* NULL: nothing */

/* Fills phonemes and sounds of words[0] ... words[count - 1], count at most the batch. Fastest when the words
 * are of about the same length. 0 on failure, after a message on stderr. */
int model_pronounce(model *m, word *const *words, int32_t count);

/* The same by beam search: the likeliest of all the pronunciations met when at each step the `beam` likeliest beginnings go
 * on. beam: 1 to MAX_BEAM; count at most batch / beam. */
enum { MAX_BEAM = 16 };
int model_search(model *m, word *const *words, int32_t count, int32_t beam);

/* Static. */
const char *model_engine(const model *m);

#endif
