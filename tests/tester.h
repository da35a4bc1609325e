/* tester.h: what all tests share: the frame (Criterion, or a plain runner where Criterion cannot run), numbers, buffers.
 *
 * TEST(suite, name) { ... }        one test
 * CHECK(condition, format, ...)    goes on after a failure
 * REQUIRE(condition, format, ...)  ends the test
 * SKIP(format, ...)                ends the test as skipped, with the reason
 */
#ifndef TESTER_H
#define TESTER_H

#include <stdint.h>
#include <stdio.h>

#include "gru/gru.h"

#ifdef GRU_TEST_PLAIN
void tester_register(const char *suite, const char *name, void (*test)(void));
void tester_check(int condition, const char *file, int line, const char *format, ...)
    __attribute__((format(printf, 4, 5)));
_Noreturn void tester_leave(int skipped, const char *file, int line, const char *format, ...)
    __attribute__((format(printf, 4, 5)));
#define TEST(suite, name)                                                      \
    static void suite##_##name(void);                                          \
    __attribute__((constructor)) static void register_##suite##_##name(void) { \
        tester_register(#suite, #name, suite##_##name);                        \
    }                                                                          \
    static void suite##_##name(void)
#define CHECK(condition, ...) tester_check((condition) ? 1 : 0, __FILE__, __LINE__, __VA_ARGS__)
#define REQUIRE(condition, ...)                                             \
    do {                                                                    \
        if (!(condition)) tester_leave(0, __FILE__, __LINE__, __VA_ARGS__); \
    } while (0)
#define SKIP(...) tester_leave(1, __FILE__, __LINE__, __VA_ARGS__)
#else
#include <criterion/criterion.h>
#define TEST(suite, name) Test(suite, name)
#define CHECK(condition, ...) cr_expect((condition), __VA_ARGS__)
#define REQUIRE(condition, ...) cr_assert((condition), __VA_ARGS__)
#define SKIP(...) cr_skip_test(__VA_ARGS__)
#endif

#endif
