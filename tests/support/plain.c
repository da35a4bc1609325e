/* plain.c: runs the registered tests one after the other in one process: for static programs under an emulator and
 * hosts without Criterion. An argument that is no option names what to run: all tests with it in suite/name. With
 * GRU_TEST_ENGINES in the environment only tests of engines run, on engines with that in their name. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "tester.h"

enum { MOST_TESTS = 256 };

static struct registered {
    const char *suite, *name;
    void (*test)(void);
    void (*engine_test)(const char *engine);
} tests[MOST_TESTS];
static int test_count;

static jmp_buf out;
static char running[160];
static long failures; /* of the running test */
static int passed, failed, skipped;

void tester_register(const char *suite, const char *name, void (*test)(void),
                     void (*engine_test)(const char *engine)) {
    if (test_count == MOST_TESTS) abort();
    tests[test_count++] = (struct registered){suite, name, test, engine_test};
}

void tester_fail(int leave, const char *file, int line, const char *format, ...) {
    va_list arguments;
    const char *slash = strrchr(file, '/');
    va_start(arguments, format);
    printf("FAIL %s %s:%d: ", running, slash ? slash + 1 : file, line);
    vprintf(format, arguments);
    printf("\n");
    va_end(arguments);
    failures++;
    if (leave) longjmp(out, 1);
}

void tester_skip(const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    printf("SKIP %s: ", running);
    vprintf(format, arguments);
    printf("\n");
    va_end(arguments);
    longjmp(out, 2);
}

static void ask_machine(void) {
    const char *found = tester_device.end ? tester_device.end() : "";
    if (*found) tester_fail(0, __FILE__, __LINE__, "the device found:\n%s", found);
}

static void run_one(const struct registered *test, const char *engine) {
    const char *missing = engine ? tester_engine_missing(engine) : NULL;
    (void)snprintf(running, sizeof running, "%s/%s%s%s", test->suite, test->name, engine ? "/" : "",
                   engine ? engine : "");
    tester_checks = failures = 0;
    if (tester_device.begin) tester_device.begin();
    const int left = setjmp(out); /* 1: REQUIRE failed, 2: skipped */
    if (left == 0) {
        if (missing) tester_skip("%s", missing);
        if (engine)
            test->engine_test(engine);
        else
            test->test();
        if (tester_checks == 0) tester_fail(0, __FILE__, __LINE__, "the test checked nothing");
    }
    ask_machine();
    if (failures)
        failed++;
    else if (left == 2)
        skipped++;
    else
        passed++;
    (void)fflush(stdout);
}

int main(int count, char **arguments) {
    const char *wanted = NULL, *engines = getenv("GRU_TEST_ENGINES");
    for (int i = 1; i < count; i++)
        if (arguments[i][0] != '-') wanted = arguments[i];
    for (int i = 0; i < test_count; i++) {
        char name[160];
        (void)snprintf(name, sizeof name, "%s/%s", tests[i].suite, tests[i].name);
        if (wanted && !strstr(name, wanted)) continue;
        if (engines && tests[i].test) continue;
        if (tests[i].test) {
            run_one(&tests[i], NULL);
            continue;
        }
        for (size_t e = 0; e < tester_engine_count(); e++) {
            const char *engine = gru_engine_at((int32_t)e);
            if (!engines || strstr(engine, engines)) run_one(&tests[i], engine);
        }
    }
    printf("Tested: %d, passed: %d, failed: %d, skipped: %d\n", passed + failed + skipped, passed, failed,
           skipped);
    return failed || passed + skipped == 0;
}
