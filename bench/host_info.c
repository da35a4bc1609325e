/* host_info.c: asks the system for what a reader must know about a number.  SPDX-License-Identifier: Apache-2.0 */
#include "host_info.h"

#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <gru/gru.h>

double bench_host_now(void) {
    struct timespec time;
    (void)clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + 1e-9 * (double)time.tv_nsec;
}

void bench_host_sleep(double seconds) {
    struct timespec time = {.tv_sec = (time_t)seconds};
    time.tv_nsec = (long)((seconds - (double)time.tv_sec) * 1e9);
    (void)nanosleep(&time, NULL);
}

/* From sysfs, as virtual machines mislead sysconf about the third level; 0: unknown or not there. */
static size_t cache(int index) {
    char path[64], unit = 0;
    unsigned long size = 0;
    (void)snprintf(path, sizeof path, "/sys/devices/system/cpu/cpu0/cache/index%d/size", index);
    FILE *file = fopen(path, "r");
    if (!file) return 0;
    if (fscanf(file, "%lu%c", &size, &unit) < 1) size = 0;
    (void)fclose(file);
    return (size_t)size << (unit == 'M' ? 20 : unit == 'K' ? 10 : 0);
}

/* index 0 is the first data cache, 1 the one for code, 2 and 3 the levels of those numbers. */
size_t bench_host_last_cache(void) {
    const size_t third = cache(3), second = cache(2);
    return third ? third : second ? second : (size_t)32 << 20;
}

static void read_model(char *name, size_t size) {
    char line[256];
    FILE *file = fopen("/proc/cpuinfo", "r");
    (void)snprintf(name, size, "unknown processor");
    while (file && fgets(line, sizeof line, file)) {
        const char *value = strchr(line, ':');
        if (strncmp(line, "model name", 10) != 0 || !value) continue;
        (void)snprintf(name, size, "%.*s", (int)strcspn(value + 2, "\n\"\\"), value + 2);
        break;
    }
    if (file) (void)fclose(file);
}

const char *bench_host_processor(void) {
    static char text[256];
    char name[128];
    if (*text) return text;
    read_model(name, sizeof name);
    (void)snprintf(text, sizeof text, "%s, %ld processors, caches of %zu KiB, %zu KiB and %zu MiB", name,
                   sysconf(_SC_NPROCESSORS_ONLN), cache(0) >> 10, cache(2) >> 10, cache(3) >> 20);
    return text;
}

const char *bench_host_date(void) {
    static char text[32];
    const time_t now = time(NULL);
    struct tm parts;
    if (!*text && gmtime_r(&now, &parts)) (void)strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &parts);
    return text;
}

const char *bench_host_compiler(void) {
#if defined __clang__
    return "clang " __clang_version__;
#else
    return "gcc " __VERSION__;
#endif
}

const char *bench_host_commit(void) {
    return BENCH_COMMIT;
}

const char *bench_host_version(void) {
    static char text[32];
    const int32_t version = gru_version();
    (void)snprintf(text, sizeof text, "%d.%d.%d", version / 10000, version / 100 % 100, version % 100);
    return text;
}
