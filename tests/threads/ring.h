/* ring.h: work in phases whose result depends on every end of a phase, for tests of threads. */
#ifndef RING_H
#define RING_H

#include <stdatomic.h>
#include <string.h>

#include "cpu/cpu_threads.h"

enum { RING_MOST = 8, RING_STEPS = 40 };

/* A recurrence over a ring of values: at each step part i needs what its neighbour made a step earlier. */
typedef struct ring {
    gru_phases phases;
    gru_phase_claims claims[RING_MOST];
    int32_t count;
    uint32_t value[2][RING_MOST];
    int32_t ran[RING_MOST]; /* how often each part ran */
    atomic_int members;     /* tasks that were started */
} ring;

/* One thread. */
typedef struct ring_member {
    ring *r;
    gru_phase_member member;
    int step;
} ring_member;

static inline uint32_t ring_step(const uint32_t *before, int32_t count, int32_t index) {
    return before[index] * 1664525u + before[(index + 1) % count] + 1013904223u;
}

static inline void ring_start(ring *r, int32_t count, uint32_t seed) {
    memset(r, 0, sizeof *r);
    gru_phases_start(&r->phases, r->claims, count);
    r->count = count;
    for (int32_t i = 0; i < count; i++) r->value[0][i] = seed + (uint32_t)i * 77u;
}

static inline void ring_part(void *work, int32_t part) {
    const ring_member *m = work;
    ring *r = m->r;
    r->ran[part]++;
    r->value[(m->step + 1) % 2][part] = ring_step(r->value[m->step % 2], r->count, part);
}

static inline void ring_task(void *argument, int32_t index) {
    ring *r = argument;
    ring_member m = {.r = r, .member = gru_phase_member_of(&r->phases, index)};
    atomic_fetch_add(&r->members, 1);
    for (m.step = 0; m.step < RING_STEPS; m.step++) gru_phase_run(&m.member, ring_part, &m);
}

static inline void ring_alone(ring *r) {
    for (int step = 0; step < RING_STEPS; step++)
        for (int32_t i = 0; i < r->count; i++)
            r->value[(step + 1) % 2][i] = ring_step(r->value[step % 2], r->count, i);
}

/* 0 when all is right. ran: each part ran exactly so often. */
static inline int ring_wrong(const ring *r, uint32_t seed, int32_t ran) {
    ring expected;
    ring_start(&expected, r->count, seed);
    ring_alone(&expected);
    int wrong = memcmp(r->value[RING_STEPS % 2], expected.value[RING_STEPS % 2], sizeof r->value[0]) != 0;
    for (int32_t i = 0; i < r->count; i++) wrong |= r->ran[i] != ran;
    return wrong;
}

/* Runs a ring on the context's threads, or alone when they are refused. 0 when all is right. */
static inline int ring_run_wrong(const gru_context *context, int32_t count, uint32_t seed, int *accepted) {
    ring r;
    ring_start(&r, count, seed);
    *accepted = gru_pool_run(context, &r.phases, ring_task, &r);
    if (!*accepted) ring_alone(&r);
    return ring_wrong(&r, seed, *accepted ? RING_STEPS : 0);
}

#endif
