/* network_batch.c: one batch: its sizes, and the order of the passes. */
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

int network_gradients(network *n, const word *const *words, int32_t count, uint64_t key, double *loss) {
    begin_batch(n->internal, words, count, key);
    gru_status status = network_forward(n, loss);
    if (status == GRU_OK) status = network_backward(n);
    if (status != GRU_OK) fprintf(stderr, "g2p_train: run: %s\n", gru_last_error());
    return status == GRU_OK;
}
