/* test_forks.c: contexts with threads in forked children. */
#define _GNU_SOURCE /* _Fork */
#include <pthread.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "ring.h"
#include "support/tester.h"

/* What a child does with its parent's context: it runs alone, and is released. 0 when all is right. */
static int inherited_wrong(gru_context *context) {
    int accepted;
    if (gru_pool_threads(context) != 1) return 1;
    if (ring_run_wrong(context, 2, 3, &accepted) || accepted) return 2;
    if (ring_run_wrong(context, 1, 3, &accepted) || !accepted) return 3;
    gru_context_release(context);
    return 0;
}

/* A context that the child makes has threads of its own. */
static int own_wrong(gru_context *inherited) {
    gru_context_config config = GRU_INIT;
    gru_context *own = NULL;
    int accepted;
    config.backend = GRU_BACKEND_CPU;
    config.threads = 2;
    if (gru_context_create(&config, &own) != GRU_OK) return 1;
    if (ring_run_wrong(own, 2, 3, &accepted) || !accepted) return 2;
    gru_context_release(own);
    gru_context_release(inherited);
    return 0;
}

static void fork_and_check(gru_context *context, pid_t (*make_child)(void),
                           int (*child_wrong)(gru_context *context)) {
    const pid_t child = make_child();
    int status = -1;
    REQUIRE(child >= 0, "no fork");
    if (child == 0) {
        (void)alarm(300); /* a child that hangs ends by a signal, one on a busy machine does not */
        _exit(child_wrong(context));
    }
    REQUIRE(waitpid(child, &status, 0) == child, "lost the child");
    CHECK(WIFEXITED(status), "the child ended by signal %d", WTERMSIG(status));
    CHECK(!WIFEXITED(status) || WEXITSTATUS(status) == 0, "the child failed at %d", WEXITSTATUS(status));
}

TEST(forks, a_child_runs_alone) {
    gru_context *context = tester_context(NULL, 2);
    int accepted;
    CHECK(!ring_run_wrong(context, 2, 1, &accepted) && accepted, "the call before the fork");
    fork_and_check(context, fork, inherited_wrong);
    CHECK(!ring_run_wrong(context, 2, 2, &accepted) && accepted, "the call after the fork");
    gru_context_release(context);
}

TEST(forks, a_child_makes_its_own) {
#if defined(__SANITIZE_THREAD__)
    SKIP("the thread sanitizer allows no new threads in the child of a process that has some");
#endif
    gru_context *context = tester_context(NULL, 2);
    fork_and_check(context, fork, own_wrong);
    gru_context_release(context);
}

/* Whether a child finds a page empty that was to be wiped: not under qemu-user, nor before Linux 4.14. */
static int system_wipes_pages(void) {
    const size_t bytes = (size_t)sysconf(_SC_PAGESIZE);
    int end = -1;
    char *page = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    REQUIRE(page != MAP_FAILED, "no page");
    *page = 1;
    if (madvise(page, bytes, MADV_WIPEONFORK) == 0) {
        const pid_t child = _Fork();
        if (child == 0) _exit(*page);
        REQUIRE(child > 0 && waitpid(child, &end, 0) == child, "no child");
    }
    (void)munmap(page, bytes);
    return end == 0;
}

/* _Fork calls no handlers. */
TEST(forks, without_handlers) {
#if defined(__SANITIZE_THREAD__)
    SKIP("the thread sanitizer does not follow _Fork");
#endif
    if (!system_wipes_pages()) SKIP("this system wipes no page in a child");
    gru_context *context = tester_context(NULL, 2);
    int accepted;
    CHECK(!ring_run_wrong(context, 2, 1, &accepted) && accepted, "the call before the fork");
    fork_and_check(context, _Fork, inherited_wrong);
    fork_and_check(context, _Fork, own_wrong);
    CHECK(!ring_run_wrong(context, 2, 2, &accepted) && accepted, "the call after the fork");
    gru_context_release(context);
}

/* A child of a child is neither of them. */
static int grandchild_wrong(gru_context *inherited) {
    gru_context *own = tester_context(NULL, 2);
    int end = -1;
    const pid_t child = fork();
    if (child == 0) _exit(gru_pool_threads(inherited) != 1 || inherited_wrong(own));
    if (child < 0 || waitpid(child, &end, 0) != child || end != 0) return 1;
    return gru_pool_threads(own) != 2;
}

TEST(forks, of_a_child) {
#if defined(__SANITIZE_THREAD__)
    SKIP("the thread sanitizer allows no new threads in the child of a process that has some");
#endif
    gru_context *context = tester_context(NULL, 2);
    fork_and_check(context, fork, grandchild_wrong);
    gru_context_release(context);
}

typedef struct background {
    const gru_context *context;
    atomic_int stop;
    int wrong;
} background;

static void *call_until_stopped(void *argument) {
    background *b = argument;
    for (uint32_t seed = 0; !atomic_load(&b->stop); seed++) {
        int accepted;
        b->wrong += ring_run_wrong(b->context, 2, seed, &accepted) || !accepted;
    }
    return NULL;
}

TEST(forks, in_the_middle_of_a_run) {
    gru_context *context = tester_context(NULL, 2);
    background b = {.context = context};
    pthread_t thread;
    REQUIRE(pthread_create(&thread, NULL, call_until_stopped, &b) == 0, "no thread");
    for (int i = 0; i < 10; i++) fork_and_check(context, fork, inherited_wrong);
    atomic_store(&b.stop, 1);
    (void)pthread_join(thread, NULL);
    CHECK(b.wrong == 0, "%d calls beside the forks are wrong", b.wrong);
    gru_context_release(context);
}
