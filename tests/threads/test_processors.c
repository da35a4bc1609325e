/* test_processors.c: the limits of processor time that control groups set, from files in a folder of the test. */
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cpu/cpu_processors.h"
#include "support/tester.h"

enum { PATH = 512 };
static char root[] = "/tmp/gru_processors_XXXXXX";

/* Writes a file below the root, with its folders. */
static void put(const char *name, const char *text) {
    char path[PATH];
    (void)snprintf(path, sizeof path, "%s/%s", root, name);
    for (char *at = strchr(path + strlen(root) + 1, '/'); at; at = strchr(at + 1, '/')) {
        *at = '\0';
        (void)mkdir(path, 0700);
        *at = '/';
    }
    FILE *file = fopen(path, "w");
    REQUIRE(file && fputs(text, file) >= 0 && fclose(file) == 0, "cannot write %s", path);
}

static void take_away(void) {
    char command[PATH];
    (void)snprintf(command, sizeof command, "rm -rf %s", root);
    CHECK(system(command) == 0, "cannot remove %s", root);
}

static void begin(void) {
    (void)snprintf(root, sizeof root, "/tmp/gru_processors_XXXXXX");
    REQUIRE(mkdtemp(root) != NULL, "no folder");
}

#define GROUP "sys/fs/cgroup/a.slice/b.scope/"

static void expect_v2(const char *limit, int32_t expected) {
    begin();
    put("proc/self/cgroup", "0::/a.slice/b.scope\n");
    put(GROUP "cpu.max", limit);
    CHECK(gru_processor_quota(root) == expected, "cpu.max %s gives %d, expected %d", limit,
          gru_processor_quota(root), expected);
    take_away();
}

TEST(processors, limits_of_version_2) {
    expect_v2("20000 100000\n", 1); /* a fifth of a processor */
    expect_v2("100000 100000\n", 1);
    expect_v2("199999 100000\n", 1);
    expect_v2("200000 100000\n", 2);
    expect_v2("75000 5000\n", 15);
    expect_v2("max 100000\n", INT32_MAX);
    expect_v2("", INT32_MAX);
    expect_v2("50000\n", INT32_MAX);
    expect_v2("50000 0\n", INT32_MAX);
    expect_v2("-5 100000\n", INT32_MAX);
    expect_v2("99999999999999999999999999 1\n", INT32_MAX);
    expect_v2("no number\n", INT32_MAX);
}

TEST(processors, groups_around_a_group_limit_it_too) {
    begin();
    put("proc/self/cgroup", "1:name=systemd:/x\n0::/a.slice/b.scope\n");
    put(GROUP "cpu.max", "800000 100000\n");
    CHECK(gru_processor_quota(root) == 8, "%d", gru_processor_quota(root));
    put("sys/fs/cgroup/a.slice/cpu.max", "300000 100000\n");
    CHECK(gru_processor_quota(root) == 3, "the group around: %d", gru_processor_quota(root));
    put("sys/fs/cgroup/cpu.max", "200000 100000\n");
    CHECK(gru_processor_quota(root) == 2, "the root, as in a container: %d", gru_processor_quota(root));
    take_away();
}

TEST(processors, limits_of_version_1) {
    begin();
    put("proc/self/cgroup", "9:memory:/docker/1\n4:cpuset:/docker/1\n3:cpu,cpuacct:/docker/1\n0::/\n");
    CHECK(gru_processor_quota(root) == INT32_MAX, "no files: %d", gru_processor_quota(root));
    put("sys/fs/cgroup/cpuset/docker/1/cpu.cfs_quota_us", "100000\n"); /* of another controller */
    put("sys/fs/cgroup/cpuset/docker/1/cpu.cfs_period_us", "100000\n");
    CHECK(gru_processor_quota(root) == INT32_MAX, "another controller: %d", gru_processor_quota(root));
    put("sys/fs/cgroup/cpu/cpu.cfs_quota_us", "-1\n");
    put("sys/fs/cgroup/cpu/cpu.cfs_period_us", "100000\n");
    CHECK(gru_processor_quota(root) == INT32_MAX, "no limit: %d", gru_processor_quota(root));
    put("sys/fs/cgroup/cpu/cpu.cfs_quota_us", "250000\n"); /* a container sees its own group as the root */
    CHECK(gru_processor_quota(root) == 2, "in a container: %d", gru_processor_quota(root));
    put("sys/fs/cgroup/cpu/docker/1/cpu.cfs_quota_us", "150000\n");
    put("sys/fs/cgroup/cpu/docker/1/cpu.cfs_period_us", "100000\n");
    CHECK(gru_processor_quota(root) == 1, "its own group: %d", gru_processor_quota(root));
    take_away();
}

TEST(processors, strange_files) {
    static const char *const lines[] = {
        "", "\n", "0\n", "0:\n", "0:cpu\n", "::\n", "0::\n", "0::/../../etc\n", "0::no/slash"};
    char long_name[4100];
    begin();
    CHECK(gru_processor_quota(root) == INT32_MAX, "no file at all");
    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++) {
        put("proc/self/cgroup", lines[i]);
        CHECK(gru_processor_quota(root) == INT32_MAX, "\"%s\" gives %d", lines[i], gru_processor_quota(root));
    }
    memset(long_name, 'a', sizeof long_name);
    memcpy(long_name, "0::/", 4);
    long_name[sizeof long_name - 1] = '\0';
    put("proc/self/cgroup", long_name);
    CHECK(gru_processor_quota(root) == INT32_MAX, "a name that is too long");
    take_away();
}

TEST(processors, the_limit_of_this_process) {
    CHECK(gru_processor_quota("") >= 1 && gru_processors() >= 1, "%d and %d", gru_processor_quota(""),
          gru_processors());
}
