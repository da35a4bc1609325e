/* print_predictions.c: prints what the cost model expects of one step on an H200, cell by cell: engine, tile, microseconds.
 *
 * Not a measurement: the same arithmetic that chooses tiles (src/cuda/run/cuda_cost_model.c), for a device with 132 multiprocessors
 * of compute capability 9.0. usage: emulated_predictions */
#include <math.h>
#include <stdio.h>

#include "cuda/run/cuda_cost_model.h"

/* Two blocks of the fused step kernel fit a multiprocessor (103 registers, 256 threads); clusters of 2, 4 and 8 blocks, one a
 * multiprocessor, are placed 66, 30 and 15 times on an H100 (published, not measured here). */
static const gru_cuda_occupancy occupancy = {2 * 132, 2 * 15, {{132, 66, 30, 15}, {132, 66, 30, 15}}};

static const gru_cuda_device h200 = {
    .multiprocessors = 132, .capability = 90, .shared_bytes = 227 * 1024, .clock = 1.755e9};
static const char *const math_names[] = {"f32", "tf32", "f16", "bf16"};
static const int32_t hidden[] = {64, 128, 256, 512, 1024, 2048, 4096};
static const int64_t batches[] = {1, 8, 16, 32, 64, 128, 256};

enum { HIDDEN = sizeof hidden / sizeof *hidden, BATCHES = sizeof batches / sizeof *batches };

/* "7.3 2x1": stepwise with tiles of 2 unit octets x 1 batch octet; "10.7 128/4": tiles of 128 rows, split over 4 blocks. */
static void print_cell(const gru_cuda_size *size) {
    const gru_cuda_choice stepwise = gru_cuda_choose_step(&h200, size, &occupancy);
    const int before = size->reset_mode == GRU_RESET_BEFORE;
    const gru_cuda_choice other = before ? gru_cuda_choose_step_fused(&h200, size, &occupancy)
                                         : gru_cuda_choose_step_large(&h200, size, &occupancy);
    char how[24];
    if (stepwise.seconds <= other.seconds)
        (void)snprintf(how, sizeof how, "%dx%d", stepwise.tile.unit_octets, stepwise.tile.batch_octets);
    else if (before)
        (void)snprintf(how, sizeof how, "%s", other.cluster ? "cluster" : "grid");
    else
        (void)snprintf(how, sizeof how, "%d/%d", other.tile.batch_octets * 8, other.tile.split);
    const double seconds = stepwise.seconds <= other.seconds ? stepwise.seconds : other.seconds;
    printf("  %5.1f %7s", seconds * 1e6, how);
}

/* The same of a backward step, and how many times the forward step's time that is. */
static void print_swept_cell(const gru_cuda_size *size) {
    const int before = size->reset_mode == GRU_RESET_BEFORE;
    const gru_cuda_choice small = gru_cuda_choose_backward_step(&h200, size, &occupancy);
    const gru_cuda_choice other = before ? gru_cuda_choose_step_fused(&h200, size, &occupancy)
                                         : gru_cuda_choose_backward_step_large(&h200, size, &occupancy);
    const gru_cuda_choice stepwise = gru_cuda_choose_step(&h200, size, &occupancy);
    const gru_cuda_choice forward = before ? other : gru_cuda_choose_step_large(&h200, size, &occupancy);
    const double seconds = fmin(small.seconds, other.seconds);
    printf("  %5.1f %6.2fx", seconds * 1e6, seconds / fmin(stepwise.seconds, forward.seconds));
}

static void print_table(gru_cuda_compute_type compute_type, int32_t reset,
                        void (*print)(const gru_cuda_size *)) {
    printf("\n%s, reset %s: microseconds of one step%s, in the middle of a sequence\n     H ",
           math_names[compute_type], reset == GRU_RESET_BEFORE ? "BEFORE" : "AFTER",
           print == print_cell ? ", recurrence only" : " of the backward recurrence, and in forward steps");
    for (int n = 0; n < BATCHES; n++) printf("      N = %5lld", (long long)batches[n]);
    for (int h = 0; h < HIDDEN; h++) {
        printf("\n%6d ", hidden[h]);
        for (int n = 0; n < BATCHES; n++) {
            const gru_cuda_size size = {compute_type, batches[n], hidden[h], reset, 1};
            print(&size);
        }
    }
    printf("\n");
}

/* A call of one step, I = H: in one launch in place and apart, and in three launches. */
static void print_streaming_table(gru_cuda_compute_type compute_type) {
    static const int64_t rows[] = {1, 8};
    printf("\n%s, reset AFTER: microseconds of a call of one step, I = H: one launch, hT in place of h0; one "
           "launch, hT apart; three launches\n     H ",
           math_names[compute_type]);
    for (int n = 0; n < 2; n++) printf("                N = %5lld", (long long)rows[n]);
    for (int h = 0; h < HIDDEN; h++) {
        printf("\n%6d ", hidden[h]);
        for (int n = 0; n < 2; n++) {
            const gru_cuda_size size = {compute_type, rows[n], hidden[h], GRU_RESET_AFTER, 1};
            printf("  %7.1f %7.1f %7.1f", gru_cuda_streaming_seconds(&h200, &size, hidden[h], 1) * 1e6,
                   gru_cuda_streaming_seconds(&h200, &size, hidden[h], 0) * 1e6,
                   gru_cuda_separate_seconds(&h200, &size, hidden[h]) * 1e6);
        }
    }
    printf("\n");
}

int main(void) {
    static const gru_cuda_compute_type compute_types[] = {GRU_CUDA_BF16, GRU_CUDA_TF32, GRU_CUDA_F32};
    printf("PREDICTED, not measured: what the cost model expects of an H200 (emulated_predictions).\n"
           "AxB: cuda_stepwise, tiles of A octets of units x B of rows. R/S: cuda_large_batch, R rows, k "
           "split over "
           "S blocks.\n"
           "cluster, grid: cuda_fused_before. f16 is as bf16.\n");
    for (int i = 0; i < 3; i++) print_table(compute_types[i], GRU_RESET_AFTER, print_cell);
    for (int i = 0; i < 3; i++) print_table(compute_types[i], GRU_RESET_BEFORE, print_cell);
    for (int i = 0; i < 3; i++) print_table(compute_types[i], GRU_RESET_AFTER, print_swept_cell);
    for (int i = 0; i < 3; i++) print_table(compute_types[i], GRU_RESET_BEFORE, print_swept_cell);
    for (int i = 0; i < 3; i++) print_streaming_table(compute_types[i]);
    return 0;
}
