/* test_phases.c: phases among members that are late, slow or absent, and what a pool learns from calls. */
#define _GNU_SOURCE /* usleep */
#include <pthread.h>
#include <unistd.h>

#include "ring.h"
#include "support/tester.h"

/* ---- members that come when they want ---------------------------------------------------------------------------- */

typedef struct late {
    ring *r;
    int32_t index;
    useconds_t delay;
} late;

static void *come_late(void *argument) {
    const late *l = argument;
    if (l->delay) (void)usleep(l->delay);
    ring_task(l->r, l->index);
    return NULL;
}

/* Members from `first` on, the delay of each as told. */
static void run_members(const useconds_t *delays, int32_t first, int32_t count, uint32_t seed) {
    ring r;
    late members[RING_MOST];
    pthread_t ids[RING_MOST];
    ring_start(&r, count, seed);
    for (int32_t i = first; i < count; i++) {
        members[i] = (late){&r, i, delays[i]};
        REQUIRE(pthread_create(&ids[i], NULL, come_late, &members[i]) == 0, "no thread");
    }
    for (int32_t i = first; i < count; i++) (void)pthread_join(ids[i], NULL);
    CHECK(!ring_wrong(&r, seed, RING_STEPS), "%d members from %d on, seed %u", count, first, seed);
}

TEST(phases, members_that_are_late) {
    for (uint32_t seed = 0; seed < 40; seed++) {
        useconds_t delays[RING_MOST];
        for (int i = 0; i < RING_MOST; i++)
            delays[i] = (useconds_t)(tester_random(seed, (uint64_t)i) % 4 * 50);
        run_members(delays, 0, 1 + (int32_t)seed % RING_MOST, seed);
    }
}

TEST(phases, members_that_never_come) {
    static const useconds_t none[RING_MOST];
    for (int32_t first = 0; first < RING_MOST; first++) run_members(none, first, RING_MOST, 3);
}

/* ---- a member that is held up in a part -------------------------------------------------------------------------- */

typedef struct held {
    gru_phases phases;
    gru_phase_claims claims[2];
    atomic_int claimed; /* member 1 is in its part */
    int ran[2], phase;
} held;

typedef struct held_member {
    held *h;
    gru_phase_member member;
    int phase;
} held_member;

/* Part 0 of the first phase waits until the other is in part 1, which takes long: the end is waited for asleep. */
static void held_part(void *work, int32_t part) {
    held_member *m = work;
    held *h = m->h;
    h->ran[part]++;
    if (m->phase) return;
    if (part == 0) {
        while (!atomic_load(&h->claimed)) (void)usleep(100);
    } else {
        atomic_store(&h->claimed, 1);
        (void)usleep(30000);
    }
}

static void *run_held(void *argument) {
    held_member *m = argument;
    for (m->phase = 0; m->phase < 100; m->phase++) gru_phase_run(&m->member, held_part, m);
    return NULL;
}

TEST(phases, a_slow_member_is_waited_for_asleep) {
    held h = {.ran = {0}};
    pthread_t other;
    gru_phases_start(&h.phases, h.claims, 2);
    held_member first = {.h = &h, .member = gru_phase_member_of(&h.phases, 0)};
    held_member second = {.h = &h, .member = gru_phase_member_of(&h.phases, 1)};
    REQUIRE(pthread_create(&other, NULL, run_held, &second) == 0, "no thread");
    (void)run_held(&first);
    (void)pthread_join(other, NULL);
    CHECK(h.ran[0] == 100 && h.ran[1] == 100, "parts ran %d and %d times", h.ran[0], h.ran[1]);
    CHECK(h.phases.slept > 0, "member 0 did not sleep");
}

/* ---- what a pool learns ------------------------------------------------------------------------------------------ */

TEST(phases, losses_are_followed_by_calls_on_one_thread) {
    gru_pool_record record = {0};
    gru_pool_note(&record, 2, 1000, 100, 50); /* slept for half of the call: no worse than alone */
    CHECK(atomic_load(&record.alone_until) == 0, "a call without a loss is held against the workers");
    gru_pool_note(&record, 2, 1000, 100, 60);
    CHECK(atomic_load(&record.alone_until) == 1000 + 16 * 60, "until %lld",
          (long long)atomic_load(&record.alone_until));
    gru_pool_note(&record, 2, 5000, 100, 60);
    CHECK(atomic_load(&record.alone_until) == 5000 + 32 * 60, "the second loss: until %lld",
          (long long)atomic_load(&record.alone_until));
    for (int i = 0; i < 20; i++) gru_pool_note(&record, 2, 6000, 100, 60);
    CHECK(atomic_load(&record.alone_until) == 6000 + 1024 * 60, "there is no limit: %lld",
          (long long)atomic_load(&record.alone_until));
    record = (gru_pool_record){0};
    gru_pool_note(&record, 4, 1000, 100,
                  75); /* four threads: alone it would have taken four times the other quarter */
    CHECK(atomic_load(&record.alone_until) == 0, "a call that was as fast as alone is a loss");
    gru_pool_note(&record, 4, 1000, 100, 76);
    CHECK(atomic_load(&record.alone_until) == 1000 + 16 * 76, "until %lld",
          (long long)atomic_load(&record.alone_until));
    for (int i = 0; i < 20; i++) gru_pool_note(&record, 2, 7000, 100, 0);
    gru_pool_note(&record, 2, 8000, 100, 60);
    CHECK(atomic_load(&record.alone_until) == 8000 + 16 * 60, "calls without a loss do not count: %lld",
          (long long)atomic_load(&record.alone_until));
}
