/* checkpoint.h: the complete state of a training in a file, from which it resumes with the same bits. */
#ifndef G2P_CHECKPOINT_H
#define G2P_CHECKPOINT_H

#include "adam.h"
#include "network.h"

enum { MAX_EPOCHS = 1000, MAX_RECIPE = 400 };

/* What a finished epoch leaves behind, for the picture. */
typedef struct epoch_result {
    float loss;            /* mean over its batches */
    float phonemes, words; /* percent wrong of the watched words, stress ignored */
} epoch_result;

typedef struct progress {
    int64_t step;   /* of the next batch */
    double loss;    /* sum over the batches of the epoch so far */
    double seconds; /* of all calls; not part of what is the same twice */
    int32_t epochs; /* finished */
    epoch_result results[MAX_EPOCHS];
} progress;

typedef struct training_state {
    char recipe[MAX_RECIPE]; /* every option that the result depends on */
    network *network;
    adam adam;
    progress progress;
} training_state;

/* 0 on failure, after a message on stderr; the file at path is then as it was. */
int checkpoint_save(const char *path, const training_state *s);
/* 1: loaded. -1: there is no such file, nothing changed. 0: it cannot be used, or belongs to another recipe, after a message
 * on stderr. */
int checkpoint_load(const char *path, training_state *s);

/* The network alone, in 16 bits, for g2p. */
int checkpoint_export(const char *path, const training_state *s);

#endif
