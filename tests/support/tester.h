/* tester.h: what all tests share: the frame (Criterion, or a plain runner where Criterion cannot run), numbers, buffers.
 *
 * TEST(suite, name) { ... }         one test; one that checked nothing fails
 * ENGINE_TEST(suite, name) { ... }  the same once for each engine that runs layers of every kind, its name in `engine`;
 *                                   skipped with the library's reason where this host cannot run it
 * CHECK(condition, format, ...)     goes on after a failure
 * REQUIRE(condition, format, ...)   ends the test
 * SKIP(format, ...)                 ends the test as skipped, with the reason
 */
#ifndef TESTER_H
#define TESTER_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "gru/gru.h"

/* Checks made so far in this process. */
extern long tester_checks;

/* Passing checks stay in the test's own process: Criterion sends a message for each one that it is told of. */
#define CHECK(condition, ...)                            \
    do {                                                 \
        tester_checks++;                                 \
        if (!(condition)) tester_report(0, __VA_ARGS__); \
    } while (0)
#define REQUIRE(condition, ...)                          \
    do {                                                 \
        tester_checks++;                                 \
        if (!(condition)) tester_report(1, __VA_ARGS__); \
    } while (0)

#ifdef GRU_TEST_PLAIN
/* test or engine_test, the other NULL. */
void tester_register(const char *suite, const char *name, void (*test)(void),
                     void (*engine_test)(const char *engine));
void tester_fail(int leave, const char *file, int line, const char *format, ...)
    __attribute__((format(printf, 4, 5)));
_Noreturn void tester_skip(const char *format, ...) __attribute__((format(printf, 1, 2)));

#define TESTER_REGISTER(suite, name, test, engine_test)                        \
    __attribute__((constructor)) static void register_##suite##_##name(void) { \
        tester_register(#suite, #name, test, engine_test);                     \
    }
#define TEST(suite, name)                              \
    static void suite##_##name(void);                  \
    TESTER_REGISTER(suite, name, suite##_##name, NULL) \
    static void suite##_##name(void)
#define ENGINE_TEST(suite, name)                       \
    static void suite##_##name(const char *engine);    \
    TESTER_REGISTER(suite, name, NULL, suite##_##name) \
    static void suite##_##name(const char *engine)
#define tester_report(leave, ...) tester_fail((leave), __FILE__, __LINE__, __VA_ARGS__)
#define SKIP(...) tester_skip(__VA_ARGS__)
#else
#include <criterion/criterion.h>
#include <criterion/parameterized.h>

#define TEST(suite, name)                                         \
    static void suite##_##name(void);                             \
    Test(suite, name) {                                           \
        suite##_##name();                                         \
        cr_expect(tester_checks > 0, "the test checked nothing"); \
    }                                                             \
    static void suite##_##name(void)
#define ENGINE_TEST(suite, name)                                                             \
    static void suite##_##name(const char *engine);                                          \
    ParameterizedTestParameters(suite, name) {                                               \
        return cr_make_param_array(const int, tester_engine_numbers, tester_engine_count()); \
    }                                                                                        \
    ParameterizedTest(const int *number, suite, name) {                                      \
        const char *engine = gru_engine_at(*number);                                         \
        const char *missing = tester_engine_missing(engine);                                 \
        if (missing) SKIP("%s", missing);                                                    \
        suite##_##name(engine);                                                              \
        cr_expect(tester_checks > 0, "the test checked nothing");                            \
    }                                                                                        \
    static void suite##_##name(const char *engine)
#define tester_report(leave, ...)             \
    do {                                      \
        if (leave) cr_assert(0, __VA_ARGS__); \
        cr_expect((leave) != 0, __VA_ARGS__); \
    } while (0)
#define SKIP(...) cr_skip_test(__VA_ARGS__)
#endif

/* ---- engines --------------------------------------------------------------------------------------------------- */

extern const int tester_engine_numbers[]; /* 0, 1, 2 ... */
size_t tester_engine_count(void);
/* NULL, or the library's reason why this host cannot run the engine with every reset mode; valid until the next
 * call. */
const char *tester_engine_missing(const char *engine);
/* Ends the test as skipped on an engine of another backend. */
#define ONLY_ON_THE_CPU(engine)                                             \
    do {                                                                    \
        if (strncmp((engine), "cpu_", 4) != 0)                              \
            SKIP("this test is about CPU engines, not about %s", (engine)); \
    } while (0)
/* Hides GRU_CPU_... beside those of GRU_TEST_HIDE; 0: only those. */
void tester_hide_also(uint32_t features);
/* A context with this engine only (NULL: the best of the CPU); ends the test if there is none. */
gru_context *tester_context(const char *engine, int32_t threads);
/* A context with this engine only and GRU_BATCH_INVARIANT: for tests that compare bits of calls with other numbers of rows. */
gru_context *tester_invariant_context(const char *engine);
/* A context of the first CUDA device with these flags. */
gru_context *tester_device_context(uint32_t flags);

/* What a test program knows of the device under its engines; all zero: nothing. Filled in before main. */
typedef struct tester_device_facts {
    void (*begin)(void);      /* before each test of the plain runner */
    const char *(*end)(void); /* after each: what it found, which fails the test; "" for nothing */
    void *stream;             /* for runs on contexts that have streams */
    int watches; /* new memory is 0xFF, and it finds by itself what is read before it was written, or past its end */
} tester_device_facts;
extern tester_device_facts tester_device;

/* ---- shapes ---------------------------------------------------------------------------------------------------- */

typedef struct shape {
    int64_t T, N;
    int32_t I, H;
    const char *why;
} shape;

extern const shape tester_shapes[]; /* test_shapes.def */
extern const int tester_shape_count;

/* ---- buffers and numbers ----------------------------------------------------------------------------------------- */

/* 64-byte aligned, all bytes 0xFF (NaN in every floating type), guard bytes on both sides. 0 bytes: not NULL. */
void *tester_allocate(size_t bytes);
enum { TESTER_GUARD = 64 }; /* bytes of each guard */
/* The buffer that the address lies in, or ends; NULL if there is none. */
void *tester_buffer(const void *address, size_t *bytes);
/* A copy of memory in a buffer of its own. */
void *tester_copy(const void *memory, size_t bytes);
/* Whether the guards stand. */
int tester_intact(const void *memory);
/* Whether all bytes are still 0xFF. */
int tester_untouched(const void *memory, size_t bytes);
/* Fails the test if a guard was overwritten. NULL: nothing. */
void tester_free(void *memory);

/* Whether the i-th of many drawn cases is to be run: all are, unless GRU_TEST_SHARD="k/n" in the environment asks for the
 * k-th of n shards, where all would take too long. Each value of GRU_EMU_SEED takes the next shard. */
int tester_takes(uint64_t i);
/* Well mixed 64 bits from the two numbers. */
uint64_t tester_random(uint64_t seed, uint64_t i);
/* Uniform in [-1, 1). */
double tester_uniform(uint64_t seed, uint64_t i);
/* count numbers, uniform in [-range, range], rounded to the type; GRU_INT8: whole numbers. */
void tester_fill(void *data, int32_t type, size_t count, double range, uint64_t seed);
/* FNV-1a, to tell whether memory changed. */
uint64_t tester_hash(uint64_t hash, const void *memory, size_t bytes);

#endif
