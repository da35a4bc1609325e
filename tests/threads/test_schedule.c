/* test_schedule.c: the schedule of a call: more threads only where they are faster, chunks within their limit. */
#include "cpu/cpu_schedule.h"
#include "support/tester.h"

TEST(schedule, one_thread_for_what_is_short) {
    CHECK(gru_cpu_schedule_for(1, 1, 16, 16, 2).threads == 1, "a streaming step of 16 units got two threads");
    CHECK(gru_cpu_schedule_for(1, 1, 128, 128, 4).threads == 1, "a streaming step of 128 units got threads");
    CHECK(gru_cpu_schedule_for(100, 1, 96, 96, 2).threads == 1,
          "a sequence of 96 units, N = 1, got two threads");
    CHECK(gru_cpu_schedule_for(0, 5, 64, 64, 2).threads == 1, "no steps got two threads");
    CHECK(gru_cpu_schedule_for(5, 0, 64, 64, 2).threads == 1, "no rows got two threads");
}

TEST(schedule, units_are_split_where_rows_are_few) {
    const gru_cpu_schedule schedule = gru_cpu_schedule_for(100, 1, 512, 512, 2);
    CHECK(schedule.threads == 2 && !schedule.by_rows, "got %d threads, by_rows %d", schedule.threads,
          schedule.by_rows);
    CHECK(gru_cpu_schedule_for(100, 8, 512, 512, 64).threads <= 32, "more threads than panels of 16 units");
}

TEST(schedule, rows_are_split_where_they_are_many) {
    const gru_cpu_schedule schedule = gru_cpu_schedule_for(100, 64, 128, 128, 2);
    CHECK(schedule.threads == 2 && schedule.by_rows, "got %d threads, by_rows %d", schedule.threads,
          schedule.by_rows);
    CHECK(gru_cpu_schedule_for(100, 24, 128, 128, 64).threads == 3, "expected 8 rows for each thread");
}

/* Whatever the sizes: the schedule fits the memory that was asked for, and that memory grows with T and N. */
TEST(schedule, chunks_fit_and_grow) {
    static const int32_t units[] = {1, 16, 17, 96, 512, 2816, 1 << 20};
    int compared = 0;
    for (size_t u = 0; u < sizeof units / sizeof *units; u++)
        for (int64_t T = 1; T <= 1500; T += 1 + T / 3)
            for (int64_t N = 1; N <= 600; N += 1 + N / 3, compared++) {
                const gru_cpu_schedule schedule = gru_cpu_schedule_for(T, N, units[u], units[u], 2);
                const size_t rows = gru_cpu_schedule_rows(T, N, units[u]);
                CHECK(schedule.chunk >= 1 && schedule.chunk <= T && (size_t)(schedule.chunk * N) <= rows,
                      "T %lld N %lld H %d: chunk %lld, memory for %zu rows", (long long)T, (long long)N,
                      units[u], (long long)schedule.chunk, rows);
                CHECK(rows <= gru_cpu_schedule_rows(T + 1, N, units[u]) &&
                          rows <= gru_cpu_schedule_rows(T, N + 1, units[u]),
                      "T %lld N %lld H %d: memory shrinks", (long long)T, (long long)N, units[u]);
            }
    CHECK(compared > 1000, "compared %d plans", compared);
}
