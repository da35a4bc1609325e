/* print_launches.c: prints launches of step kernels as the model of bench/kernel_cycles runs them, one a line: name, kernel, bytes of
 * its argument in hexadecimal. usage: print_launches
 *
 * The step is one in the middle of a sequence of one direction, reset AFTER, inference or the backward pass of training, or a
 * call of one step, on addresses that nobody reads. */
#include <stdio.h>
#include <string.h>

#include "cuda/kernels/cuda_backward_kernels.h"
#include "cuda/kernels/cuda_streaming_kernels.h"

enum { STEPS = 1000, LARGE = 8 };

typedef struct size {
    gru_cuda_compute_type compute_type;
    int32_t H, N, unit_octets, batch_octets, split; /* unit_octets LARGE: the large kernel */
} size;

static const char *const type_names[] = {"f32", "tf32", "f16", "bf16"};
static const char *const class_names[] = {"3F32", "4Tf32", "3F16", "4Bf16"};

static const size sizes[] = {
    {GRU_CUDA_BF16, 512, 1, 1, 1, 1},         {GRU_CUDA_BF16, 512, 8, 1, 1, 1},
    {GRU_CUDA_BF16, 1024, 1, 1, 1, 1},        {GRU_CUDA_BF16, 1024, 8, 1, 1, 1},
    {GRU_CUDA_BF16, 1024, 8, 2, 1, 1},        {GRU_CUDA_BF16, 2048, 8, 2, 1, 1},
    {GRU_CUDA_BF16, 512, 16, 2, 1, 1},        {GRU_CUDA_BF16, 512, 32, 2, 2, 1},
    {GRU_CUDA_BF16, 512, 64, 2, 2, 1},        {GRU_CUDA_BF16, 512, 64, 2, 4, 1},
    {GRU_CUDA_BF16, 512, 64, LARGE, 8, 8},    {GRU_CUDA_BF16, 1024, 64, 2, 4, 1},
    {GRU_CUDA_BF16, 1024, 64, 2, 8, 1},       {GRU_CUDA_BF16, 1024, 64, LARGE, 8, 2},
    {GRU_CUDA_BF16, 1024, 64, LARGE, 8, 4},   {GRU_CUDA_BF16, 1024, 64, LARGE, 8, 8},
    {GRU_CUDA_BF16, 2048, 64, LARGE, 8, 2},   {GRU_CUDA_BF16, 2048, 64, LARGE, 8, 4},
    {GRU_CUDA_BF16, 2048, 64, LARGE, 8, 8},   {GRU_CUDA_BF16, 1024, 256, LARGE, 16, 1},
    {GRU_CUDA_BF16, 1024, 256, LARGE, 16, 8}, {GRU_CUDA_F32, 512, 1, 1, 1, 1},
    {GRU_CUDA_F32, 512, 8, 1, 1, 1},          {GRU_CUDA_F32, 1024, 1, 1, 1, 1},
    {GRU_CUDA_F32, 1024, 8, 1, 1, 1},         {GRU_CUDA_F32, 2048, 8, 1, 1, 1},
    {GRU_CUDA_F32, 512, 64, 1, 4, 1},         {GRU_CUDA_F32, 1024, 64, LARGE, 8, 8},
};

/* Calls of one step, with as many inputs as units: no tile to choose. */
static const size calls[] = {
    {GRU_CUDA_BF16, 512, 1, 1, 1, 1},  {GRU_CUDA_BF16, 512, 8, 1, 1, 1}, {GRU_CUDA_BF16, 1024, 1, 1, 1, 1},
    {GRU_CUDA_BF16, 1024, 8, 1, 1, 1}, {GRU_CUDA_F32, 512, 1, 1, 1, 1},  {GRU_CUDA_F32, 512, 8, 1, 1, 1},
};

/* An address that is different for each number, aligned like memory of the runtime. */
static void *address(int number) {
    return (void *)(0x700000000000u + ((uintptr_t)number << 32));
}

static void print_bytes(const void *argument, size_t bytes) {
    for (size_t i = 0; i < bytes; i++) (void)printf("%02x", ((const unsigned char *)argument)[i]);
    (void)printf("\n");
}

static void print_name(const size *size, const char *pass) {
    (void)printf("%s-%s-H%d-N%d-", pass, type_names[size->compute_type], (int)size->H, (int)size->N);
    if (size->unit_octets == LARGE)
        (void)printf("%d/%d", (int)size->batch_octets * 8, (int)size->split);
    else
        (void)printf("%dx%d", (int)size->unit_octets, (int)size->batch_octets);
}

/* A part of the kernel's mangled name. */
static void print_kernel(const size *size, const char *prefix) {
    if (size->unit_octets == LARGE)
        (void)printf(" %sstep_large_kernelINS_%sELi%dE ", prefix, class_names[size->compute_type],
                     (int)size->batch_octets * 8);
    else
        (void)printf(" %sstep_kernelINS_%sELi%dELi%dE%s ", prefix, class_names[size->compute_type],
                     (int)size->unit_octets, (int)size->batch_octets,
                     *prefix == '2' ? "" : "L17gru_cuda_gate_set0");
}

static gru_cuda_sequence sequence_of(const size *size) {
    const int32_t weight_type = size->compute_type == GRU_CUDA_BF16  ? GRU_BF16
                                : size->compute_type == GRU_CUDA_F16 ? GRU_F16
                                                                     : GRU_F32;
    gru_cuda_sequence seq = {.T = STEPS, .N = size->N, .H = size->H};
    seq.octets = gru_cuda_unit_octets(size->H);
    seq.groups = gru_cuda_groups(size->H, weight_type);
    seq.hard_slope = 0.2f;
    seq.R = address(1), seq.bR = address(2);
    seq.io_type = seq.state_type = weight_type;
    seq.y =
        (gru_view){.data = address(3), .time_stride = (int64_t)size->N * size->H, .batch_stride = size->H};
    seq.exchange[0] = address(4), seq.exchange[1] = address(5);
    seq.state = address(6);
    return seq;
}

static gru_cuda_input input_of(const size *size) {
    return (gru_cuda_input){
        .data = address(7), .batch_stride = gru_cuda_projected_row(size->H), .type = GRU_F32};
}

static void print_forward(const size *size) {
    struct {
        gru_cuda_step_args step;
        int32_t split;
    } args = {.split = size->split};
    args.step.sequence[0] = sequence_of(size);
    args.step.input[0] = input_of(size);
    args.step.s = STEPS / 2;
    args.step.directions = args.step.depends = args.step.trigger = args.step.default_path = 1;
    print_name(size, "forward");
    print_kernel(size, size->unit_octets == LARGE ? "17" : "11");
    print_bytes(&args, sizeof args);
}

static void print_backward(const size *size) {
    struct {
        gru_cuda_backward_step_args step;
        int32_t split; /* or gate set: all */
    } args = {.split = size->unit_octets == LARGE ? size->split : GRU_CUDA_ALL_GATES};
    gru_cuda_backward_sequence *bwd = &args.step.sequence[0];
    bwd->forward = sequence_of(size);
    bwd->forward.reserve = address(8);
    bwd->R_transposed = address(9);
    bwd->dy = (gru_const_view){
        .data = address(10), .time_stride = (int64_t)size->N * size->H, .batch_stride = size->H};
    bwd->rows = address(11), bwd->direct = address(12);
    bwd->exchange[0] = address(13), bwd->exchange[1] = address(14);
    args.step.input[0] = input_of(size);
    args.step.recurrent[0] = (gru_cuda_input){.data = address(15),
                                              .batch_stride = GATES * gru_cuda_unit_pitch(size->H),
                                              .type = GRU_F32,
                                              .gate_stride = gru_cuda_unit_pitch(size->H),
                                              .bias = address(16)};
    args.step.s = STEPS / 2;
    args.step.directions = args.step.depends = args.step.trigger = args.step.default_path = 1;
    print_name(size, "backward");
    print_kernel(size, size->unit_octets == LARGE ? "26backward_" : "20backward_");
    print_bytes(&args, sizeof args);
}

static void print_streaming(const size *size) {
    const int64_t bytes = size->compute_type == GRU_CUDA_F32 ? 4 : 2;
    gru_cuda_streaming_args args = {.step = {.directions = 1, .last = 1}};
    args.step.sequence[0] = sequence_of(size);
    args.step.sequence[0].T = 1;
    args.step.sequence[0].hT = address(6), args.step.sequence[0].hT_stride = size->H;
    args.side[0] = (gru_cuda_streaming_side){.W = address(17),
                                             .bW = address(18),
                                             .x = {.data = address(19), .batch_stride = size->H},
                                             .inputs = size->H,
                                             .groups = args.step.sequence[0].groups,
                                             .line = (int32_t)(size->H * bytes / 16),
                                             .h0 = address(20),
                                             .h0_stride = size->H};
    (void)printf("streaming-%s-H%d-N%d 16streaming_kernelINS_%sE ", type_names[size->compute_type],
                 (int)size->H, (int)size->N, class_names[size->compute_type]);
    print_bytes(&args, sizeof args);
}

int main(void) {
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) print_forward(&sizes[i]);
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) print_backward(&sizes[i]);
    for (size_t i = 0; i < sizeof calls / sizeof *calls; i++) print_streaming(&calls[i]);
    return 0;
}
