/* cpu_schedule.h: the threads and chunks of a call, computed from its sizes alone. */
#ifndef GRU_CPU_SCHEDULE_H
#define GRU_CPU_SCHEDULE_H

#include <stddef.h>
#include <stdint.h>

#include "core/engine.h"

typedef struct gru_cpu_schedule {
    int32_t threads; /* and parts of each phase; 1: the calling thread alone */
    int32_t
        by_rows; /* parts split the batch, and all steps are one phase; else they split the units, and each step is */
    int64_t chunk; /* steps whose input is projected together */
} gru_cpu_schedule;

/* How the CPU engines run a call (gru_plan.own). */
typedef struct gru_cpu_call_plan {
    int32_t streaming;         /* one step of one row, which gru_cpu_streaming_step takes */
    int32_t apart;             /* each of several jobs on a thread of its own */
    gru_cpu_schedule schedule; /* of a job that has all threads */
} gru_cpu_call_plan;

_Static_assert(sizeof(gru_cpu_call_plan) <= GRU_PLAN_BYTES, "a plan has room for the CPU's");

static inline const gru_cpu_call_plan *gru_cpu_plan_of(const gru_plan *plan) {
    return (const gru_cpu_call_plan *)(const void *)plan->own;
}

/* The schedule of a job that runs apart. */
static inline gru_cpu_schedule gru_cpu_one_thread(gru_cpu_schedule schedule) {
    schedule.threads = schedule.by_rows = 1;
    return schedule;
}

/* threads: the most that there are. */
gru_cpu_schedule gru_cpu_schedule_for(int64_t T, int64_t N, int32_t inputs, int32_t hidden, int32_t threads);

/* Whether the call is long enough to be worth another thread. */
int gru_cpu_worth_thread(int64_t T, int64_t N, int32_t inputs, int32_t hidden);

/* Whether each of several jobs is long enough for a thread of its own, and there are threads for all. */
int gru_cpu_worth_jobs(const gru_job *jobs, int32_t count);

/* Rows of projected input that any such schedule keeps at a time: chunk * N at most, monotone in T and N. */
size_t gru_cpu_schedule_rows(int64_t T, int64_t N, int32_t hidden);

#endif
