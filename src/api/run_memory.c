/* run_memory.c: the workspace and reserve of a run, allocated together. */
#include "run_memory.h"

#include "core/error.h"

gru_status gru_run_check_empty(const gru_run *run) {
    if (!run) return gru_fail(GRU_BAD_ARGUMENT, "run is NULL");
    if (run->workspace || run->reserve)
        return gru_fail(GRU_BAD_ARGUMENT, "run.%s is given, expected NULL: gru_run_free frees it",
                        run->workspace ? "workspace" : "reserve");
    if (run->mode < GRU_INFERENCE || run->mode > GRU_TRAIN_RECOMPUTE)
        return gru_fail(GRU_BAD_ARGUMENT, "run.mode is %d, expected 0 to %d", run->mode, GRU_TRAIN_RECOMPUTE);
    return GRU_OK;
}

gru_status gru_run_allocate(gru_context *context, const gru_sizes *sizes, gru_run *run) {
    const int training = run->mode != GRU_INFERENCE;
    const int backward = training && sizes->backward_workspace > sizes->workspace;
    gru_run filled = *run;
    filled.workspace_size = backward ? sizes->backward_workspace : sizes->workspace;
    filled.reserve_size = run->mode == GRU_TRAIN             ? sizes->reserve
                          : run->mode == GRU_TRAIN_RECOMPUTE ? sizes->reserve_recompute
                                                             : 0;
    GRU_TRY(gru_allocate(context, filled.workspace_size, &filled.workspace));
    const gru_status status = training ? gru_allocate(context, filled.reserve_size, &filled.reserve) : GRU_OK;
    if (status == GRU_OK)
        *run = filled;
    else
        gru_free(context, filled.workspace);
    return status;
}

void gru_run_free(gru_context *context, gru_run *run) {
    if (!run) return;
    gru_free(context, run->workspace);
    gru_free(context, run->reserve);
    run->workspace = run->reserve = NULL;
    run->workspace_size = run->reserve_size = 0;
}
