/* network.h: the network while it learns: its numbers, and the gradients of a batch of words.
 *
 *   letters -> enc_emb -> dropout -> encoder GRU, both directions -> both last states, side by side
 *                                                                              |
 *   sounds, a step late -> dec_emb -> dropout -> decoder GRU <-----------------+  its first state
 *                                                     |
 *                                          dropout -> fc -> softmax -> cross-entropy with the sounds */
#ifndef G2P_NETWORK_H
#define G2P_NETWORK_H

#include <stddef.h>

#include "worker_pool.h"
#include "../text.h"

typedef struct network_config {
    int32_t embedding; /* numbers for a letter or a sound: a multiple of 16 */
    int32_t
        hidden; /* units of the encoder in each direction: a multiple of 16; the decoder has twice as many */
    int32_t batch;      /* the most words at once */
    int32_t letters;    /* the most letters of a word */
    float dropout;      /* 0 <= dropout < 1 */
    uint64_t seed;      /* of the first numbers */
    const char *engine; /* its name, or "cpu" or "cuda"; NULL: the fastest */
} network_config;

/* One tensor of the network: numbers offset to offset + count - 1 of all. Those of GRUs have PyTorch's names and
 * shapes. */
typedef struct network_tensor {
    const char *name;
    int32_t rank;
    int64_t shape[2];
    size_t offset, count;
} network_tensor;

enum { NETWORK_TENSORS = 16 };

typedef struct network {
    network_tensor tensors[NETWORK_TENSORS];
    size_t count;      /* of all numbers */
    float *parameters; /* [count] drawn from the seed; after a change: network_update */
    float *gradients;  /* [count] */
    struct network_internal *internal;
} network;

/* NULL on failure, after a message on stderr. The threads must live as long. */
network *network_open(const network_config *config, worker_pool *threads);
void network_close(network *n); /* NULL: nothing */

/* Mean cross-entropy (nats a sound) over the words, and its gradients: set, not added. key: of the dropout's masks. 0 on
 * failure, after a message on stderr. */
int network_gradients(network *n, const word *const *words, int32_t count, uint64_t key, double *loss);

/* Gives the engine parameters that have changed. 0 on failure, after a message on stderr. */
int network_update(network *n);

/* Static. */
const char *network_engine(const network *n);

#endif
