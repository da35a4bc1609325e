/* ceilings.c: picks the widest vectors of this processor and measures them.  SPDX-License-Identifier: Apache-2.0 */
#include "ceilings.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "thread_pool.h"
#include "host_info.h"

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
    void (*read)(const float *from, int64_t count, float *sink);
} vectors;

static const vectors *widest(void) {
#if defined __x86_64__
    static const vectors avx512 = {"AVX-512", multiply_avx512, read_avx512};
    static const vectors avx2 = {"AVX2", multiply_avx2, read_avx2};
    __builtin_cpu_init();
    if (__builtin_cpu_supports("avx512f")) return &avx512;
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) return &avx2;
#endif
    static const vectors plain = {"128-bit", multiply_plain, read_plain};
    return &plain;
}

const char *bench_ceiling_vectors(void) {
    return widest()->name;
}

/* ---- the peak --------------------------------------------------------------------------------------------------- */

enum { LINE = 16, MAX_THREADS = 64 }; /* floats of a cache line: each thread's results apart */

typedef struct peak_task {
    int64_t rounds;
    double operations;
    float sinks[MAX_THREADS * LINE];
} peak_task;

static void multiply(void *argument, int index) {
    peak_task *task = argument;
    const double operations = widest()->multiply(task->rounds, task->sinks + index * LINE);
    if (index == 0) task->operations = operations;
}

double bench_peak(int threads) {
    enum { TRIES = 100, ROUNDS = 200000 }; /* some 1 ms each, long against waking the workers */
    peak_task task = {.rounds = ROUNDS};
    bench_crew *crew = bench_crew_create(threads < MAX_THREADS ? threads : MAX_THREADS);
    double best = 0;
    for (int i = 0; crew && i < TRIES; i++) {
        const double start = bench_now();
        bench_crew_run(crew, multiply, &task);
        const double rate = task.operations * threads / (bench_now() - start);
        if (rate > best) best = rate;
    }
    bench_crew_release(crew);
    return best;
}

/* ---- reading ---------------------------------------------------------------------------------------------------- */

struct bench_reader {
    bench_crew *crew;
    float *numbers; /* [count] */
    int64_t count;  /* a multiple of LINE */
    int threads;
    float sinks[MAX_THREADS * LINE];
};

bench_reader *bench_reader_create(size_t bytes, int threads) {
    bench_reader *reader = calloc(1, sizeof *reader);
    if (!reader) return NULL;
    const size_t whole = (bytes + 63) / 64 * 64;
    reader->threads = threads < MAX_THREADS ? threads : MAX_THREADS;
    reader->count = (int64_t)(whole / sizeof(float));
    reader->numbers = aligned_alloc(64, whole);
    reader->crew = bench_crew_create(reader->threads);
    if (!reader->numbers || !reader->crew) {
        bench_reader_release(reader);
        return NULL;
    }
    memset(reader->numbers, 0, whole); /* touched, so that every page is its own */
    return reader;
}

static void read_share(void *argument, int index) {
    bench_reader *reader = argument;
    const int64_t lines = reader->count / LINE, threads = reader->threads;
    const int64_t begin = lines * index / threads * LINE, end = lines * (index + 1) / threads * LINE;
    widest()->read(reader->numbers + begin, end - begin, reader->sinks + index * LINE);
}

void bench_reader_run(void *opaque) {
    bench_reader *reader = opaque;
    if (reader->threads == 1)
        read_share(reader, 0);
    else
        bench_crew_run(reader->crew, read_share, reader);
}

void bench_reader_release(void *opaque) {
    bench_reader *reader = opaque;
    if (!reader) return;
    bench_crew_release(reader->crew);
    free(reader->numbers);
    free(reader);
}

/* ---- eviction --------------------------------------------------------------------------------------------------- */

static void read_all(void *argument, int index) {
    bench_reader *reader = argument;
    widest()->read(reader->numbers, reader->count, reader->sinks + index * LINE);
}

int bench_evict(int threads) {
    static bench_reader *walk; /* lives as long as the program */
    if (walk && walk->threads < threads) {
        bench_reader_release(walk);
        walk = NULL;
    }
    if (!walk) walk = bench_reader_create(2 * bench_last_cache(), threads);
    if (!walk) return 0;
    bench_crew_run(walk->crew, read_all, walk);
    return 1;
}
