/* ceilings.c: the fastest multiplying and reading that this processor's vectors reach.  SPDX-License-Identifier: Apache-2.0 */
#include "ceilings.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "host_info.h"
#include "pinned_threads.h"

/* Four floats that any compiler knows; a rounded product and a rounded sum where there is no fused one. */
typedef float four __attribute__((vector_size(16)));

static four load_four(const float *from) {
    four value;
    memcpy(&value, from, sizeof value);
    return value;
}

#define NAME(word) word##_plain
#define TARGET
#define VECTOR four
#define WIDTH 4
#define LOAD(p) load_four(p)
#define STORE(p, v) memcpy(p, &(v), sizeof(four))
#define SPLAT(f) ((four){f, f, f, f})
#define ADD(a, b) ((a) + (b))
#if defined __aarch64__
#include <arm_neon.h>
#define FMA(a, b, c) ((four)vfmaq_f32((float32x4_t)(c), (float32x4_t)(a), (float32x4_t)(b)))
#else
#define FMA(a, b, c) ((a) * (b) + (c))
#endif
#include "ceilings.inl"

#if defined __x86_64__
#include <immintrin.h>
#define NAME(word) word##_avx2
#define TARGET __attribute__((target("avx2,fma")))
#define VECTOR __m256
#define WIDTH 8
#define LOAD(p) _mm256_loadu_ps(p)
#define STORE(p, v) _mm256_storeu_ps(p, v)
#define SPLAT(f) _mm256_set1_ps(f)
#define ADD(a, b) _mm256_add_ps(a, b)
#define FMA(a, b, c) _mm256_fmadd_ps(a, b, c)
#include "ceilings.inl"

#define NAME(word) word##_avx512
#define TARGET __attribute__((target("avx512f")))
#define VECTOR __m512
#define WIDTH 16
#define LOAD(p) _mm512_loadu_ps(p)
#define STORE(p, v) _mm512_storeu_ps(p, v)
#define SPLAT(f) _mm512_set1_ps(f)
#define ADD(a, b) _mm512_add_ps(a, b)
#define FMA(a, b, c) _mm512_fmadd_ps(a, b, c)
#include "ceilings.inl"
#endif

typedef struct vectors {
    const char *name;
    double (*multiply)(int64_t rounds, float *sink);
    void (*read[2])(const float *from, int64_t count, float *sink); /* in one stream, in four */
} vectors;

#define VECTORS(name, word)                                  \
    {                                                        \
        name, multiply_##word, {                             \
            read_one_stream_##word, read_four_streams_##word \
        }                                                    \
    }

/* Narrowest first; *count of them. */
static const vectors *usable_vectors(int *count) {
    static const vectors all[] = {
        VECTORS("128-bit", plain),
#if defined __x86_64__
        VECTORS("AVX2", avx2),
        VECTORS("AVX-512", avx512),
#endif
    };
    *count = 1;
#if defined __x86_64__
    __builtin_cpu_init();
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) *count = 2;
    if (*count == 2 && __builtin_cpu_supports("avx512f")) *count = 3;
#endif
    return all;
}

static const vectors *widest(void) {
    int count;
    const vectors *all = usable_vectors(&count);
    return &all[count - 1];
}

const char *bench_ceiling_vectors(void) {
    return widest()->name;
}

/* ---- the peak --------------------------------------------------------------------------------------------------- */

enum { LINE = 16 }; /* floats of a cache line: each thread's results apart */

typedef struct peak_task {
    const vectors *vectors;
    double operations[BENCH_PINNED_THREADS];
    float sinks[BENCH_PINNED_THREADS * LINE];
} peak_task;

static void multiply(void *argument, int index) {
    enum { ROUNDS = 200000 }; /* some 1 ms */
    peak_task *task = argument;
    task->operations[index] = task->vectors->multiply(ROUNDS, task->sinks + index * LINE);
}

double bench_ceiling_peak(int threads) {
    enum { ATTEMPTS = 60 };
    int count;
    const vectors *all = usable_vectors(&count);
    double peak = 0;
    for (int i = 0; i < count; i++) {
        peak_task task = {.vectors = &all[i]};
        const bench_pinned_work work = {.run = multiply, .argument = &task};
        const double seconds = bench_pinned_best(threads, ATTEMPTS, &work);
        const double rate = seconds > 0 ? task.operations[0] * threads / seconds : 0;
        if (rate > peak) peak = rate;
    }
    return peak;
}

/* ---- reading ---------------------------------------------------------------------------------------------------- */

/* numbers[count], count a multiple of LINE. Each page is written to, so that it has memory of its own. */
static float *make_numbers(size_t bytes, int64_t *count) {
    const size_t whole = (bytes + 63) / 64 * 64;
    float *numbers = aligned_alloc(64, whole);
    if (numbers) memset(numbers, 0, whole);
    *count = (int64_t)(whole / sizeof(float));
    return numbers;
}

typedef struct read_task {
    void (*read)(const float *from, int64_t count, float *sink);
    const float *numbers; /* [count] */
    int64_t count, rounds;
    int threads;
    float sinks[BENCH_PINNED_THREADS * LINE];
} read_task;

static void read_slice(void *argument, int index) {
    read_task *task = argument;
    const int64_t lines = task->count / LINE;
    const int64_t begin = lines * index / task->threads * LINE,
                  end = lines * (index + 1) / task->threads * LINE;
    for (int64_t round = 0; round < task->rounds; round++)
        task->read(task->numbers + begin, end - begin, task->sinks + index * LINE);
}

static void read_all(void *argument, int index) {
    read_task *task = argument;
    task->read(task->numbers, task->count, task->sinks + index * LINE);
}

/* More than the last-level cache holds; lives as long as the program. NULL: no memory. */
static read_task *eviction_reader(void) {
    static read_task evicting;
    if (!evicting.numbers) evicting.numbers = make_numbers(2 * bench_host_last_cache(), &evicting.count);
    evicting.read = widest()->read[1];
    return evicting.numbers ? &evicting : NULL;
}

static void evict(void *argument, int index) {
    (void)argument;
    read_all(eviction_reader(), index);
}

/* Shortest time of one round. Each attempt lasts some 0.2 ms, to which the clock and the start of the threads add
 * little; cold it is one round. */
static double best_round(read_task *task, int cold, double seconds) {
    enum { MINIMUM = 5, MAXIMUM = 100 };
    const bench_pinned_work work = {cold ? evict : NULL, read_slice, task};
    task->rounds = 1;
    const double once = bench_pinned_best(task->threads, 1, &work);
    if (!(once > 0)) return 0;
    if (!cold) task->rounds = (int64_t)(2e-4 / once) + 1;
    const double attempts = seconds / (once * (double)task->rounds);
    const double best = bench_pinned_best(task->threads,
                                          attempts < MINIMUM   ? MINIMUM
                                          : attempts > MAXIMUM ? MAXIMUM
                                                               : (int)attempts,
                                          &work);
    return best / (double)task->rounds;
}

double bench_ceiling_read(size_t bytes, int threads, int cold, double seconds) {
    int count;
    const vectors *all = usable_vectors(&count);
    read_task task = {.threads = threads};
    double best = 0;
    if (cold && !eviction_reader()) return 0;
    float *numbers = make_numbers(bytes, &task.count);
    task.numbers = numbers;
    for (int i = 0; numbers && i < 2 * count; i++) {
        task.read = all[i / 2].read[i % 2];
        const double round = best_round(&task, cold, seconds / (2 * count));
        if (round > 0 && (best == 0 || round < best)) best = round;
    }
    free(numbers);
    return best;
}

int bench_ceiling_evict(int threads) {
    return eviction_reader() && bench_pinned_run(threads, evict, NULL);
}
