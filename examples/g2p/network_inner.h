/* network_inner.h: what the two files of the network share: its buffers, and which tensor is which. */
#ifndef G2P_NETWORK_INNER_H
#define G2P_NETWORK_INNER_H

#include <gru/stack.h>

#include "network.h"
#include "product.h"
#include "shared.h"

enum {
    ENCODER = 0,
    REVERSE = 4,
    DECODER = 8,
    GRU_TENSORS = 12
};                     /* the first of the four tensors of each GRU */
enum { W, R, BW, BR }; /* behind that */
enum { ENC_EMB = GRU_TENSORS, DEC_EMB, FC_W, FC_B };
enum { MAX_STEPS = MAX_PHONEMES + 1 /* the end sign */ };
/* Columns of a table of scores: those past the phonemes stay zero. */
enum { SCORES = (PHONEMES + PRODUCT_COLUMNS - 1) / PRODUCT_COLUMNS * PRODUCT_COLUMNS };

/* A batch has N words, T letters in the longest and U sounds, both with the end sign. E, H as configured, D = 2H. */
typedef struct network_inner {
    network_config config;
    crew *crew;
    gru_context *context;
    gru_stack *encoder;
    gru_layer *decoder;
    void *workspace; /* of one run at a time */
    size_t workspace_size;
    void *encoder_reserve, *decoder_reserve;
    size_t encoder_reserve_size, decoder_reserve_size;
    shared gradients;                   /* of the GRUs' tensors, which come first */
    shared letters, d_letters;          /* [T][N][E] embedded; their gradients */
    shared sounds, d_sounds;            /* [U][N][E] */
    shared state, d_state;              /* [N][D] from the encoder to the decoder */
    shared d_last[2];                   /* [N][H] d_state's halves: the encoder's directions */
    shared outputs, d_outputs;          /* [U][N][D] of the decoder */
    shared letter_counts, sound_counts; /* int32_t [N] with the end sign */
    float *dropped;                     /* [U][N][D] outputs after dropout */
    float *scores;                      /* [U][N][SCORES], then their gradients */
    float *fc_w;                        /* [D][SCORES] transposed */
    double *losses;                     /* [U][N] */
    const word *const *words;           /* [N] the batch */
    int32_t T, U, N;
    float share;  /* of one sound in the loss */
    uint64_t key; /* of the dropout's masks */
} network_inner;

static inline float *network_parameter(const network *n, int tensor) {
    return n->parameters + n->tensors[tensor].offset;
}

static inline float *network_gradient(const network *n, int tensor) {
    return n->gradients + n->tensors[tensor].offset;
}

#endif
