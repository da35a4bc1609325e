/* client_ragged.c: a translator's encoder: loads a saved two-layer bidirectional GRU and runs it over a batch-major batch
 * of sentences of different lengths. Checks itself: against the outputs saved in the file, and each sentence alone. */
#include <gru/import.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct encoder {
    gru_context *context;
    gru_file *file;
    gru_stack *stack;
    int64_t T, N, I, D;
} encoder;

/* x [T][N][I] is in the file, as are its outputs y [T][N][D]. */
static gru_status encoder_open(encoder *e, const char *path, gru_tensor *x, gru_tensor *y) {
    gru_context_config context_config = GRU_INIT;
    gru_load_options options = GRU_INIT;
    context_config.backend = GRU_BACKEND_CPU;
    options.prefix = "encoder.gru.";
    gru_status status = gru_context_create(&context_config, &e->context);
    if (status == GRU_OK) status = gru_file_open(path, &e->file);
    if (status == GRU_OK) status = gru_stack_load(e->context, e->file, &options, &e->stack);
    if (status == GRU_OK) status = gru_file_tensor(e->file, "expected.x", x);
    if (status == GRU_OK) status = gru_file_tensor(e->file, "expected.y", y);
    if (status != GRU_OK) return status;
    e->T = x->shape[0], e->N = x->shape[1];
    e->I = gru_stack_inputs(e->stack), e->D = gru_stack_outputs(e->stack);
    return GRU_OK;
}

static void encoder_close(encoder *e) {
    gru_stack_release(e->stack);
    gru_file_close(e->file);
    gru_context_release(e->context);
}

/* x [N][T][I], y [N][T][D] */
static gru_status encode(const encoder *e, int64_t T, int64_t N, const float *x, const int32_t *lengths,
                         float *y) {
    gru_sizes sizes = GRU_INIT;
    gru_stack_run run = GRU_INIT;
    gru_status status = gru_stack_sizes(e->stack, T, N, &sizes);
    if (status == GRU_OK) status = gru_allocate(e->context, sizes.workspace, &run.data.workspace);
    run.data.workspace_size = sizes.workspace;
    run.data.T = T, run.data.N = N;
    run.data.lengths = lengths;
    run.data.x.data = x, run.data.x.time_stride = e->I, run.data.x.batch_stride = T * e->I;
    run.data.y.data = y, run.data.y.time_stride = e->D, run.data.y.batch_stride = T * e->D;
    if (status == GRU_OK) status = gru_stack_forward(e->stack, &run);
    gru_free(e->context, run.data.workspace);
    return status;
}

/* [T][N][row] to [N][T][row] */
static void swap_time_and_batch(int64_t T, int64_t N, int64_t row, const float *from, float *to) {
    for (int64_t t = 0; t < T; t++)
        for (int64_t n = 0; n < N; n++)
            memcpy(to + (n * T + t) * row, from + (t * N + n) * row, (size_t)row * sizeof *to);
}

/* The whole batch at full length, against double precision elsewhere. */
static int check_saved(const encoder *e, const float *y, const double *saved) {
    double worst = 0;
    for (int64_t n = 0; n < e->N; n++)
        for (int64_t t = 0; t < e->T; t++)
            for (int64_t i = 0; i < e->D; i++) {
                const double difference =
                    fabs((double)y[(n * e->T + t) * e->D + i] - saved[(t * e->N + n) * e->D + i]);
                worst = difference > worst || isnan(difference) ? difference : worst;
            }
    printf("largest difference from the saved outputs: %g\n", worst);
    return worst < 1e-5; /* some hundred roundings of 2^-24, each near 1 */
}

/* Sentence n of the ragged batch, against the same sentence alone at its own length: the same bits, and zeros past it. */
static int check_sentence(const encoder *e, int64_t n, const float *x, const float *y, int32_t length) {
    const float *batch = y + n * e->T * e->D;
    float *single = calloc((size_t)(e->T * e->D), sizeof *single);
    int same = single && encode(e, length, 1, x + n * e->T * e->I, NULL, single) == GRU_OK;
    same = same && memcmp(single, batch, (size_t)(e->T * e->D) * sizeof *single) == 0;
    if (!same)
        printf("sentence %d of %d steps differs from itself alone: %s\n", (int)n, length, gru_last_error());
    free(single);
    return same;
}

static int check_all(const encoder *e, const gru_tensor *saved_x, const gru_tensor *saved_y) {
    const size_t rows = (size_t)(e->T * e->N);
    float *x = malloc(rows * (size_t)e->I * sizeof *x), *y = malloc(rows * (size_t)e->D * sizeof *y);
    int32_t *lengths = malloc((size_t)e->N * sizeof *lengths);
    int good = x && y && lengths;
    if (good) {
        swap_time_and_batch(e->T, e->N, e->I, saved_x->data, x);
        good = encode(e, e->T, e->N, x, NULL, y) == GRU_OK && check_saved(e, y, saved_y->data);
        for (int64_t n = 0; n < e->N; n++) lengths[n] = (int32_t)(e->T - n * 2 % (e->T + 1));
        lengths[e->N - 1] = 0; /* an empty sentence is one, too */
        good = good && encode(e, e->T, e->N, x, lengths, y) == GRU_OK;
        for (int64_t n = 0; n < e->N && good; n++) good = check_sentence(e, n, x, y, lengths[n]);
    }
    free(lengths);
    free(y);
    free(x);
    return good;
}

int main(int count, char **arguments) {
    encoder e = {0};
    gru_tensor x, y;
    if (count != 2) {
        fprintf(stderr, "usage: %s FILE.safetensors\n", arguments[0]);
        return 2;
    }
    const int good = encoder_open(&e, arguments[1], &x, &y) == GRU_OK && check_all(&e, &x, &y);
    if (!good) fprintf(stderr, "%s\n", gru_last_error());
    encoder_close(&e);
    return good ? 0 : 1;
}
