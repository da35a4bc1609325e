/* run_file.c: runs one GRU of a file over numbers from standard input, for the tests of the converter.
 *
 *     run_file FILE PREFIX T N [separate]     x [T][N][I] as float32 -> y [T][N][D], then hT of every sublayer, as float32
 *
 * separate: the last layer's directions stay apart, y of the second follows y of the first. */
#include <gru/import.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SUBLAYERS = 64 };

typedef struct program {
    gru_context *context;
    gru_file *file;
    gru_stack *stack;
    int64_t T, N, I, D;
    int separate;
    int32_t sublayers;
    int64_t widths[SUBLAYERS];
} program;

static gru_status open_file(program *p, const char *path, const char *prefix) {
    gru_context_config context_config = GRU_INIT;
    gru_load_options options = GRU_INIT;
    context_config.backend = GRU_BACKEND_CPU;
    options.prefix = prefix;
    gru_status status = gru_context_create(&context_config, &p->context);
    if (status == GRU_OK) status = gru_file_open(path, &p->file);
    if (status == GRU_OK) status = gru_stack_load(p->context, p->file, &options, &p->stack);
    if (status != GRU_OK) return status;
    p->sublayers = gru_stack_sublayers(p->stack);
    p->I = gru_stack_inputs(p->stack), p->D = gru_stack_outputs(p->stack);
    for (int32_t k = 0; k < p->sublayers && k < SUBLAYERS && status == GRU_OK; k++) {
        gru_layer_config sublayer = GRU_INIT;
        status = gru_stack_sublayer(p->stack, k, &sublayer, NULL);
        p->widths[k] = sublayer.hidden;
    }
    return status;
}

static void close_file(program *p) {
    gru_stack_release(p->stack);
    gru_file_close(p->file);
    gru_context_release(p->context);
}

static void view(gru_view *y, float *data, const program *p) {
    y->data = data, y->time_stride = p->N * p->D, y->batch_stride = p->D;
}

/* x to out: y, y_reverse if it is separate, hT of each sublayer, one after the other. */
static gru_status run(const program *p, const float *x, float *out) {
    gru_sizes sizes = GRU_INIT;
    gru_stack_run run = GRU_INIT;
    void *states[SUBLAYERS];
    const int64_t outputs = p->T * p->N * p->D;
    float *next = out + outputs * (p->separate ? 2 : 1);
    for (int32_t k = 0; k < p->sublayers; next += p->N * p->widths[k], k++) states[k] = next;
    gru_status status = gru_stack_sizes(p->stack, p->T, p->N, &sizes);
    if (status == GRU_OK) status = gru_allocate(p->context, sizes.workspace, &run.data.workspace);
    run.data.workspace_size = sizes.workspace;
    run.data.T = p->T, run.data.N = p->N;
    run.data.x.data = x, run.data.x.time_stride = p->N * p->I, run.data.x.batch_stride = p->I;
    view(&run.data.y, out, p);
    if (p->separate) view(&run.y_reverse, out + outputs, p);
    run.hT = states;
    if (status == GRU_OK) status = gru_stack_forward(p->stack, &run);
    gru_free(p->context, run.data.workspace);
    return status;
}

/* Reads x, writes what comes of it; 0 if all went well. */
static int answer(const program *p) {
    const size_t inputs = (size_t)(p->T * p->N * p->I);
    size_t results = (size_t)(p->T * p->N * p->D) * (p->separate ? 2 : 1);
    if (p->sublayers > SUBLAYERS) return 1;
    for (int32_t k = 0; k < p->sublayers; k++) results += (size_t)(p->N * p->widths[k]);
    float *x = calloc(inputs + 1, sizeof *x), *out = calloc(results + 1, sizeof *out);
    const int good = x && out && fread(x, sizeof *x, inputs, stdin) == inputs && run(p, x, out) == GRU_OK &&
                     fwrite(out, sizeof *out, results, stdout) == results;
    free(x);
    free(out);
    return !good;
}

int main(int count, char **words) {
    program p = {0};
    if (count < 5) return 2;
    p.T = strtoll(words[3], NULL, 10), p.N = strtoll(words[4], NULL, 10);
    p.separate = count > 5 && strcmp(words[5], "separate") == 0;
    const int failed = open_file(&p, words[1], words[2]) != GRU_OK || answer(&p);
    if (failed) fprintf(stderr, "%s\n", gru_last_error());
    close_file(&p);
    return failed;
}
