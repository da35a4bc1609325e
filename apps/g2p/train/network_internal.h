/* network_internal.h: what the files of the network share: its buffers, which tensor is which, and what is where in a batch. */
#ifndef G2P_NETWORK_INTERNAL_H
#define G2P_NETWORK_INTERNAL_H

#include <gru/stack.h>

#include "network.h"
#include "product.h"
#include "../shared_buffer.h"

/* The first of the four tensors of each GRU, and what follows them; each one's place behind the first. */
enum { ENCODER = 0, REVERSE = 4, DECODER = 8, GRU_TENSORS = 12 };
enum { W, R, BW, BR };
enum { ENC_EMB = GRU_TENSORS, DEC_EMB, FC_W, FC_B };
enum { MAX_STEPS = MAX_PHONEMES + 1 /* the end sign */ };
/* Columns of a table of scores: those past the phonemes stay zero. */
enum { SCORES = (PHONEMES + PRODUCT_COLUMNS - 1) / PRODUCT_COLUMNS * PRODUCT_COLUMNS };

/* A batch has N words, T letters in the longest and U sounds, both with the end sign. E, H as configured, D = 2H. */
typedef struct network_internal {
    network_config config;
    worker_pool *pool;
    gru_context *context;
    gru_stack *encoder;
    gru_layer *decoder;
    void *workspace; /* of one run at a time */
    size_t workspace_size;
    void *encoder_reserve, *decoder_reserve;
    size_t encoder_reserve_size, decoder_reserve_size;
    shared_buffer gradients;                   /* of the GRUs' tensors, which come first */
    shared_buffer letters, d_letters;          /* [T][N][E] embedded; their gradients */
    shared_buffer sounds, d_sounds;            /* [U][N][E] */
    shared_buffer state, d_state;              /* [N][D] from the encoder to the decoder */
    shared_buffer d_last[2];                   /* [N][H] d_state's halves: the encoder's directions */
    shared_buffer outputs, d_outputs;          /* [U][N][D] of the decoder */
    shared_buffer letter_counts, sound_counts; /* int32_t [N] with the end sign */
    float *dropped;                            /* [U][N][D] outputs after dropout */
    float *scores;                             /* [U][N][SCORES], then their gradients */
    float *fc_w;                               /* [D][SCORES] transposed */
    double *losses;                            /* [U][N] */
    const word *const *words;                  /* [N] the batch */
    int32_t T, U, N;
    float share;  /* of one sound in the loss */
    uint64_t key; /* of the dropout's masks */
} network_internal;

static inline float *network_parameter(const network *n, int tensor) {
    return n->parameters + n->tensors[tensor].offset;
}

static inline float *network_gradient(const network *n, int tensor) {
    return n->gradients + n->tensors[tensor].offset;
}

/* The letter of word w at step t, which is at most its length: the end sign. */
static inline size_t letter_at(const word *w, int32_t t) {
    return t < w->length ? (size_t)(w->letters[t] - 'a' + GRAPHEME_A) : GRAPHEME_END;
}

/* What the decoder is to say at step u. */
static inline size_t sound_at(const word *w, int32_t u) {
    return u < w->sounds ? w->phonemes[u] : PHONEME_END;
}

/* What it hears there: what it should have said before. */
static inline size_t heard_at(const word *w, int32_t u) {
    return u == 0 ? PHONEME_START : w->phonemes[u - 1];
}

static inline float *row_of(const shared_buffer *table, int32_t row, int32_t columns) {
    return (float *)table->host + (int64_t)row * columns;
}

/* Bytes of N rows of so many 4-byte numbers. */
static inline size_t network_bytes(const network_internal *m, int32_t steps, int32_t columns) {
    return 4 * (size_t)steps * (size_t)m->N * (size_t)columns;
}

enum { LETTERS, SOUNDS, OUTPUTS }; /* what dropout acts on */

/* Numbers of a row to zero with the configured probability, the others larger by as much; the same ones for the same key and
 * row. count: a multiple of 4. */
void network_drop(const network_internal *m, int what, int32_t row, float *numbers, int32_t count);

/* Deals rows 0 ... count - 1 to the threads. No sum may cross rows but those that one thread takes in order: so the number of
 * threads cannot be seen in the bits. */
typedef void (*network_row_task)(const network *n, int32_t first, int32_t end);
void network_over_rows(const network *n, int32_t count, network_row_task task);

/* The runs of the batch, for forward and backward. */
gru_run network_encoder_run(const network_internal *m);
gru_run network_decoder_run(const network_internal *m);

/* The batch's loss; scores hold its gradients then. */
gru_status network_forward(const network *n, double *loss);
/* From those to the gradients of all tensors. */
gru_status network_backward(const network *n);

#endif
