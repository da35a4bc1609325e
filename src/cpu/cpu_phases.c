/* cpu_phases.c: claims, and the wait at the end of a phase. */
#include "cpu_phases.h"

#include "cpu_futex.h"

/* A spin is some 20 to 40 ns. MOST is about what it takes to sleep and to be woken, so a wait costs at most twice as much as
 * the better of the two. LEAST is for threads that share a processor, where each spin delays what it waits for. */
enum { MOST_PATIENCE = 1024, LEAST_PATIENCE = 16 };
/* Nanoseconds of sleep that are no reason yet to dismiss a thread: it may have been woken late. */
enum { LEAST_LOSS = 200000 };
/* Threads that run finish a phase within this many spins of each other. */
enum { SPINS_BEFORE_HELP = 64 };

void gru_phases_start(gru_phases *phases, gru_phase_claims *claims, int32_t parts) {
    atomic_init(&phases->done, 0);
    atomic_init(&phases->sleepers, 0);
    atomic_init(&phases->alone, 0);
    phases->slept = 0;
    phases->parts = parts;
    phases->claims = claims;
    for (int32_t i = 0; i < parts; i++) atomic_init(&claims[i].count, 0);
}

gru_phase_member gru_phase_member_of(gru_phases *phases, int32_t index) {
    return (gru_phase_member){.phases = phases,
                              .index = index,
                              .eager = index == 0,
                              .patience = MOST_PATIENCE,
                              .began = phases ? gru_nanoseconds() : 0};
}

/* Acquire: what the parts of the phase wrote is seen. */
static int has_ended(const gru_phases *phases, uint64_t end) {
    return atomic_load_explicit(&phases->done, memory_order_acquire) >= end;
}

/* Release, and a chain of such additions: whoever sees the last sees what all parts wrote. Sequentially consistent with the
 * sleepers' own order: either this thread sees a sleeper, or the sleeper sees the end. */
static void note_done(gru_phases *phases, uint64_t end) {
    if (atomic_fetch_add(&phases->done, 1) + 1 == end && atomic_load(&phases->sleepers))
        gru_futex_wake((atomic_uint *)(void *)&phases->done); /* its low half: little-endian */
}

/* Relaxed: the end of the phase before has brought all that the part reads. */
static int run_if_free(gru_phase_member *member, int32_t part, void (*run)(void *work, int32_t part),
                       void *work) {
    gru_phases *phases = member->phases;
    uint_least64_t claimed = member->phase;
    if (atomic_load_explicit(&phases->claims[part].count, memory_order_relaxed) != claimed ||
        !atomic_compare_exchange_strong_explicit(&phases->claims[part].count, &claimed, claimed + 1,
                                                 memory_order_relaxed, memory_order_relaxed))
        return 0;
    run(work, part);
    note_done(phases, (member->phase + 1) * (uint64_t)phases->parts);
    return 1;
}

static int spin_to(const gru_phases *phases, uint64_t end, int spins) {
    for (int i = 0; i < spins; i++) {
        if (has_ended(phases, end)) return 1;
        gru_spin_pause();
    }
    return has_ended(phases, end);
}

static int is_dismissed(const gru_phase_member *member) {
    return member->index && atomic_load_explicit(&member->phases->alone, memory_order_relaxed);
}

static void sleep_to(gru_phase_member *member, uint64_t end) {
    gru_phases *phases = member->phases;
    atomic_fetch_add(&phases->sleepers, 1);
    for (uint64_t done; (done = atomic_load(&phases->done)) < end;)
        member->slept += gru_futex_wait((atomic_uint *)(void *)&phases->done, (unsigned)done);
    atomic_fetch_sub(&phases->sleepers, 1);
    if (member->index) return;
    phases->slept = member->slept;
    const int64_t elapsed = gru_nanoseconds() - member->began;
    if (member->slept > LEAST_LOSS && (elapsed - member->slept) * phases->parts < elapsed)
        atomic_store_explicit(&phases->alone, 1, memory_order_relaxed);
}

/* A wait that had to sleep shortens the next spin, one that had not lengthens it. */
static void await_end(gru_phase_member *member, uint64_t end) {
    if (spin_to(member->phases, end, member->patience)) {
        if (member->patience < MOST_PATIENCE) member->patience *= 2;
        return;
    }
    if (member->patience > LEAST_PATIENCE) member->patience /= 2;
    sleep_to(member, end);
}

static void help(gru_phase_member *member, void (*run)(void *work, int32_t part), void *work) {
    const int32_t parts = member->phases->parts;
    member->eager = 0;
    for (int32_t i = 1; i < parts; i++)
        if (run_if_free(member, (member->index + i) % parts, run, work)) member->eager = 1;
}

void gru_phase_run(gru_phase_member *member, void (*run)(void *work, int32_t part), void *work) {
    gru_phases *phases = member->phases;
    if (!phases) {
        run(work, 0);
        return;
    }
    const uint64_t end = (member->phase + 1) * (uint64_t)phases->parts;
    if (!is_dismissed(member) && !has_ended(phases, end)) {
        (void)run_if_free(member, member->index, run, work);
        if (member->eager || !spin_to(phases, end, SPINS_BEFORE_HELP)) help(member, run, work);
        await_end(member, end);
    }
    member->phase++;
}
