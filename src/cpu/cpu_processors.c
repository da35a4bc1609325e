/* cpu_processors.c: the affinity of a thread, and the files of control groups that limit processor time.
 *
 * A quota is rounded down: threads that use up the quota of a period all stand still until the next one. */
#define _GNU_SOURCE /* sched_getaffinity */
#include "cpu_processors.h"

#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { PATH_BYTES = 4096, LINE_BYTES = 4200 };

int32_t gru_processors(void) {
    cpu_set_t set;
    if (sched_getaffinity(0, sizeof set, &set) == 0) return CPU_COUNT(&set);
    const long online = sysconf(_SC_NPROCESSORS_ONLN); /* the set of a machine with more than CPU_SETSIZE */
    return online < 1 ? 1 : online > CPU_SETSIZE ? CPU_SETSIZE : (int32_t)online;
}

/* Reads the first line of FOLDER/NAME. 0: there is none. */
static int read_line(const char *folder, const char *name, char line[64]) {
    char path[PATH_BYTES];
    if (snprintf(path, sizeof path, "%s/%s", folder, name) >= (int)sizeof path) return 0;
    FILE *file = fopen(path, "re");
    if (!file) return 0;
    const int found = fgets(line, 64, file) != NULL;
    (void)fclose(file);
    return found;
}

/* Whole processors in quota microseconds of each period; "max" and -1 are no limit. */
static int32_t whole(const char *quota, const char *period) {
    const long long q = strtoll(quota, NULL, 10), p = strtoll(period, NULL, 10);
    if (q <= 0 || p <= 0 || q / p >= INT32_MAX) return INT32_MAX;
    return q < p ? 1 : (int32_t)(q / p);
}

/* The limit of one group. */
static int32_t limit_of(const char *folder) {
    char quota[64], period[64];
    if (read_line(folder, "cpu.max", quota)) { /* version 2: both numbers in a line */
        const char *second = strchr(quota, ' ');
        return second ? whole(quota, second) : INT32_MAX;
    }
    if (!read_line(folder, "cpu.cfs_quota_us", quota) || !read_line(folder, "cpu.cfs_period_us", period))
        return INT32_MAX;
    return whole(quota, period);
}

/* The lowest limit of the group and of those around it. In a container some of them have no folder. */
static int32_t lowest_limit(const char *root, const char *mount, const char *group) {
    char folder[PATH_BYTES];
    const int top = snprintf(folder, sizeof folder, "%s%s", root, mount);
    if (top >= (int)sizeof folder || strstr(group, "/..")) return INT32_MAX;
    if (snprintf(folder + top, sizeof folder - (size_t)top, "%s", group) >= (int)sizeof folder - top)
        return INT32_MAX;
    int32_t lowest = INT32_MAX;
    for (;;) {
        const int32_t limit = limit_of(folder);
        if (limit < lowest) lowest = limit;
        char *last = strrchr(folder + top, '/');
        if (!last) return lowest;
        *last = '\0';
    }
}

/* Whether a list such as "cpu,cpuacct" names the controller of processor time. */
static int has_cpu(const char *controllers) {
    for (const char *at = controllers; at; at = strchr(at, ',') ? strchr(at, ',') + 1 : NULL)
        if (strcspn(at, ",") == 3 && strncmp(at, "cpu", 3) == 0) return 1;
    return 0;
}

/* A line of /proc/self/cgroup: number:controllers:group. Version 2 has no controllers. */
static int32_t limit_in_line(const char *root, char *line) {
    char *controllers = strchr(line, ':'), *group = controllers ? strchr(controllers + 1, ':') : NULL;
    if (!group) return INT32_MAX;
    *group++ = '\0';
    group[strcspn(group, "\n")] = '\0';
    if (!*++controllers) return lowest_limit(root, "/sys/fs/cgroup", group);
    return has_cpu(controllers) ? lowest_limit(root, "/sys/fs/cgroup/cpu", group) : INT32_MAX;
}

int32_t gru_processor_quota(const char *root) {
    char line[LINE_BYTES];
    int32_t lowest = INT32_MAX;
    if (snprintf(line, sizeof line, "%s/proc/self/cgroup", root) >= (int)sizeof line) return lowest;
    FILE *file = fopen(line, "re");
    while (file && fgets(line, sizeof line, file)) {
        const int32_t limit = limit_in_line(root, line);
        if (limit < lowest) lowest = limit;
    }
    if (file) (void)fclose(file);
    return lowest;
}
