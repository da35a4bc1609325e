/* model_internal.h: the loaded model, as the files that run it see it. */
#ifndef G2P_MODEL_INTERNAL_H
#define G2P_MODEL_INTERNAL_H

#include <gru/stack.h>

#include "g2p_model.h"
#include "shared_buffer.h"

/*   letters -> enc_emb -> encoder GRU -> last state -> decoder GRU, a step per sound -> scores -> best sound
 *                                                          ^                                         |
 *                                                          +-------------- dec_emb <-----------------+
 * The encoder reads in one direction (g2p-en) or in both; then their last states lie side by side. */
struct model {
    gru_context *context;
    gru_stack *encoder, *decoder_stack; /* the latter owns the layer: */
    gru_layer *decoder;
    int32_t I, H, batch; /* H: of the decoder, and of all directions of the encoder together */
    float *enc_emb;      /* [GRAPHEMES][I] */
    float *dec_emb;      /* [PHONEMES][I] */
    float *fc_w,
        *fc_b;       /* [H][PHONEMES], transposed so that the inner loop runs over neighbours; [PHONEMES] */
    shared_buffer x; /* float [MAX_LETTERS + 1][batch][I] */
    shared_buffer state, next; /* float [batch][H]; next: where a search puts the states that follow */
    shared_buffer lengths;     /* int32_t [batch] */
    shared_buffer slots;       /* int32_t [batch] rows of state that a step of the decoder reads */
    void *workspace;
    size_t workspace_size;
};

/* Leaves what the encoder has understood of each word in state's rows, which are also in host memory then. */
gru_status model_encode(model *m, word *const *words, int32_t count);

/* The scores of all sounds after state h. */
void model_scores(const model *m, const float *h, float scores[PHONEMES]);

/* A run of the decoder's next step: from state into state, by slots where given. */
gru_run model_decoder_run(const model *m, int32_t slot_count);

/* What a run reads in row k of x: the sound that was said last, or the sign that none was. */
void model_embed_sound(model *m, int32_t k, const word *w);

#endif
