/* cpu_phases.h: shares a call among threads, none of which waits for one that has not started.
 *
 * A call is a sequence of phases, a phase a number of parts that do not depend on each other. Each part is run once, by the
 * thread that claims it; a phase ends when all its parts have run. A thread that is late, or never comes, has claimed
 * nothing: the others run its parts. So one thread is enough for all of the call. Which thread runs a part changes no bit. */
#ifndef GRU_CPU_PHASES_H
#define GRU_CPU_PHASES_H

#include <stdatomic.h>
#include <stdint.h>

/* How many phases have seen this part claimed: a line of its own, which its usual thread keeps in its cache. */
typedef struct gru_phase_claims {
    _Alignas(64) atomic_uint_least64_t count;
} gru_phase_claims;

/* What the threads of a call share. */
typedef struct gru_phases {
    _Alignas(64) atomic_uint_least64_t done; /* parts of all phases */
    atomic_uint sleepers;
    atomic_int alone; /* member 0 has dismissed the others */
    int32_t parts;
    gru_phase_claims *claims; /* [parts] */
    int64_t slept;            /* nanoseconds that member 0 has slept in all, once its task has returned */
} gru_phases;

/* One thread of a call. */
typedef struct gru_phase_member {
    gru_phases *phases; /* NULL: it is alone, and a phase has one part */
    int32_t index;      /* of the part that it claims first */
    uint64_t phase;     /* the number of its next phase */
    int eager;    /* the others were late in the last phase: it does not wait before it takes their parts */
    int patience; /* spins of a wait before it sleeps */
    int64_t began, slept; /* a time, and nanoseconds */
} gru_phase_member;

/* Before the threads start. claims [parts] is memory of the call. */
void gru_phases_start(gru_phases *phases, gru_phase_claims *claims, int32_t parts);

/* phases NULL: alone. Each index from 0 to parts - 1 is that of one thread at most. */
gru_phase_member gru_phase_member_of(gru_phases *phases, int32_t index);

/* Runs parts of the next phase and returns when all have run; all that they wrote is then seen. Each thread calls it for the
 * same phases in the same order. When member 0 has slept for so long that it would have been faster alone, because the
 * others have no processor, it dismisses them: it then runs all parts, and they return at once, without waiting. */
void gru_phase_run(gru_phase_member *member, void (*run)(void *work, int32_t part), void *work);

#endif
