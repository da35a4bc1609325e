/* network_runs.c: the calls of the two layers over one batch, which both passes make. */
#include "network_internal.h"

/* What the calls of both layers have alike. */
static gru_run training_run(const network_internal *m) {
    gru_run run = GRU_INIT;
    run.mode = GRU_TRAIN;
    run.N = m->N;
    run.workspace = m->workspace, run.workspace_size = m->workspace_size;
    return run;
}

gru_run network_decoder_run(const network_internal *m) {
    gru_run run = training_run(m);
    run.T = m->U;
    run.x.data = m->sounds.engine;
    run.h0 = m->state.engine;
    run.y.data = m->outputs.engine;
    run.lengths = m->sound_counts.engine;
    run.reserve = m->decoder_reserve, run.reserve_size = m->decoder_reserve_size;
    return run;
}

gru_run network_encoder_run(const network_internal *m) {
    gru_run run = training_run(m);
    run.T = m->T;
    run.x.data = m->letters.engine;
    run.lengths = m->letter_counts.engine;
    run.reserve = m->encoder_reserve, run.reserve_size = m->encoder_reserve_size;
    return run;
}
