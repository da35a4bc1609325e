/* stream_stack.c: loads a stack and a linear layer behind it (a head) from a file, and streams numbers through both.
 * usage: stream_stack FILE PREFIX HEAD_WEIGHT HEAD_BIAS      reads steps from standard input, prints one line a step */
#include <gru/import.h>
#include <gru/stream.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void check(gru_status status) {
    if (status == GRU_OK) return;
    fprintf(stderr, "%s: %s\n", gru_status_name(status), gru_last_error());
    exit(1);
}

/* A tensor of the file, of which this program reads f32 only. */
static gru_tensor tensor_of(const gru_file *file, const char *name, int32_t rank) {
    gru_tensor tensor;
    check(gru_file_tensor(file, name, &tensor));
    if (tensor.type == GRU_F32 && tensor.rank == rank) return tensor;
    fprintf(stderr, "%s has type %d and %d dimensions, expected f32 and %d\n", name, tensor.type, tensor.rank,
            rank);
    exit(1);
}

/* The tensor's numbers in memory of their own, because a file may hold them unaligned. */
static float *numbers_of(const gru_tensor *tensor) {
    float *numbers = malloc(tensor->bytes + 1); /* an empty tensor gets an address too */
    if (!numbers) return fprintf(stderr, "out of memory\n"), exit(1), NULL;
    return memcpy(numbers, tensor->data, tensor->bytes);
}

int main(int count, char **arguments) {
    if (count != 5) return fprintf(stderr, "usage: %s FILE PREFIX HEAD_WEIGHT HEAD_BIAS\n", arguments[0]), 1;
    gru_context *context;
    gru_file *file;
    gru_stack *stack;
    gru_context_config config = GRU_INIT;
    config.backend = GRU_BACKEND_CPU, config.threads = 1;
    const gru_load_options options = {.prefix = arguments[2]};
    check(gru_context_create(&config, &context));
    check(gru_file_open(arguments[1], &file));
    check(gru_stack_load(context, file, &options, &stack));
    const gru_tensor weight = tensor_of(file, arguments[3], 2), bias = tensor_of(file, arguments[4], 1);
    const int32_t inputs = gru_stack_inputs(stack), outputs = gru_stack_outputs(stack);
    if (weight.shape[1] != outputs || bias.shape[0] != weight.shape[0])
        return fprintf(stderr, "the head does not fit\n"), 1;

    gru_stream *stream; /* refuses reverse layers, which start from the last step */
    float *x = calloc((size_t)inputs, sizeof *x), *y = calloc((size_t)outputs, sizeof *y);
    if (!x || !y) return fprintf(stderr, "out of memory\n"), 1;
    check(gru_stream_create_stack(stack, NULL, &stream));

    float *weights = numbers_of(&weight), *biases = numbers_of(&bias);
    for (int32_t i = 0; scanf("%f", &x[i]) == 1; i = (i + 1) % inputs) {
        if (i + 1 < inputs) continue;
        check(gru_stream_step(stream, x, y));
        for (int64_t row = 0; row < weight.shape[0]; row++) {
            float sum = biases[row];
            for (int32_t j = 0; j < outputs; j++) sum += weights[row * outputs + j] * y[j];
            printf("%s%.5f", row ? " " : "", sum);
        }
        printf("\n");
    }

    free(weights), free(biases), free(y), free(x);
    gru_stream_release(stream);
    gru_stack_release(stack);
    gru_file_close(file);
    gru_context_release(context);
    return 0;
}
