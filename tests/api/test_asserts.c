/* test_asserts.c: the library that tests run asserts its invariants. (A release does not: GRU_ASSERTS.) */
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cpu/cpu_threads.h"
#include "support/tester.h"

static void no_task(void *argument, int32_t index) {
    (void)argument, (void)index;
}

/* Breaks an invariant, in a child whose message nobody reads: a run of no tasks. */
static int signal_of_broken_invariant(const gru_context *context) {
    int status = 0;
    const pid_t child = fork();
    if (child == 0) {
        (void)close(STDERR_FILENO);
        (void)signal(SIGABRT, SIG_DFL);
        gru_phases phases;
        gru_phases_start(&phases, NULL, 0);
        (void)gru_pool_run(context, &phases, no_task, NULL);
        _exit(0);
    }
    REQUIRE(child > 0 && waitpid(child, &status, 0) == child, "no child");
    return WIFSIGNALED(status) ? WTERMSIG(status) : 0;
}

TEST(asserts, end_a_program_that_breaks_an_invariant) {
#ifdef GRU_ASSERTS
    gru_context_config config = GRU_INIT;
    gru_context *context;
    config.backend = GRU_BACKEND_CPU;
    config.threads = 1;
    REQUIRE(gru_context_create(&config, &context) == GRU_OK, "%s", gru_last_error());
    CHECK(signal_of_broken_invariant(context) == SIGABRT, "a run of no tasks went on");
    gru_context_release(context);
#else
    (void)signal_of_broken_invariant;
    SKIP("built without GRU_ASSERTS");
#endif
}
