/* network_batch.c: one batch: its sizes, the runs of the two layers, and the order of the passes. */
#include "network_internal.h"

static void begin_batch(network_internal *m, const word *const *words, int32_t count, uint64_t key) {
    int32_t *letters = m->letter_counts.host, *sounds = m->sound_counts.host, total = 0;
    m->words = words, m->N = count, m->key = key;
    m->T = m->U = 0;
    for (int32_t i = 0; i < count; i++) {
        letters[i] = words[i]->length + 1, sounds[i] = words[i]->sounds + 1;
        if (letters[i] > m->T) m->T = letters[i];
        if (sounds[i] > m->U) m->U = sounds[i];
        total += sounds[i];
    }
    m->share = 1 / (float)total;
}

gru_run network_decoder_run(const network_internal *m) {
    gru_run run = GRU_INIT;
    run.mode = GRU_TRAIN;
    run.T = m->U, run.N = m->N;
    run.x.data = m->sounds.engine;
    run.h0 = m->state.engine;
    run.y.data = m->outputs.engine;
    run.lengths = m->sound_counts.engine;
    run.workspace = m->workspace, run.workspace_size = m->workspace_size;
    run.reserve = m->decoder_reserve, run.reserve_size = m->decoder_reserve_size;
    return run;
}

gru_run network_encoder_run(const network_internal *m) {
    gru_run run = GRU_INIT;
    run.mode = GRU_TRAIN;
    run.T = m->T, run.N = m->N;
    run.x.data = m->letters.engine;
    run.lengths = m->letter_counts.engine;
    run.workspace = m->workspace, run.workspace_size = m->workspace_size;
    run.reserve = m->encoder_reserve, run.reserve_size = m->encoder_reserve_size;
    return run;
}

int network_gradients(network *n, const word *const *words, int32_t count, uint64_t key, double *loss) {
    begin_batch(n->internal, words, count, key);
    gru_status status = network_forward(n, loss);
    if (status == GRU_OK) status = network_backward(n);
    if (status != GRU_OK) fprintf(stderr, "g2p_train: run: %s\n", gru_last_error());
    return status == GRU_OK;
}
