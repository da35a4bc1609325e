/* peer_cudnn.c: cuDNN's GRU and LSTM by its C API, one row for each of its algorithms, in a stream and as a graph.
 *
 * Math is equal by type: f32 with fused multiply-adds, TF32 as PyTorch asks for it, 16 bits on tensor cores with sums
 * in f32. The recurrence alone is CUDNN_SKIP_INPUT. SPDX-License-Identifier: Apache-2.0 */
#include <cuda_runtime_api.h>
#include <stdio.h>
#include <stdlib.h>

#include <gru/gru.h>

#include "../bench_stream.h"
#include "cudnn_library.h"
#include "../candidate.h"

enum { X, Y, H0, HT, LENGTHS, WEIGHTS, WORKSPACE, RESERVE, DX, DY, DH0, DWEIGHTS, BUFFERS };

typedef struct cudnn_layer {
    const cudnn_library *cudnn;
    const bench_problem *problem;
    cudnnHandle_t handle;
    cudnnDropoutDescriptor_t dropout;
    cudnnRNNDescriptor_t rnn;
    cudnnRNNDataDescriptor_t x, y;
    cudnnTensorDescriptor_t h, matrix, bias;
    void *buffers[BUFFERS]; /* device memory */
    size_t bytes[BUFFERS];
    void *stream, *graph;
    cudnnStatus_t status; /* of the last run */
} cudnn_layer;

static const cudnnDataType_t type_of[BENCH_TYPES] = {CUDNN_DATA_FLOAT, CUDNN_DATA_FLOAT, CUDNN_DATA_HALF,
                                                     CUDNN_DATA_BFLOAT16};
static const cudnnMathType_t math_of[BENCH_TYPES] = {CUDNN_FMA_MATH, CUDNN_DEFAULT_MATH, CUDNN_TENSOR_OP_MATH,
                                                     CUDNN_TENSOR_OP_MATH};

static void release(void *opaque) {
    cudnn_layer *l = opaque;
    const cudnn_library *cudnn = l->cudnn;
    bench_graph_release(l->graph);
    for (int i = 0; i < BUFFERS; i++) (void)cudaFree(l->buffers[i]);
    if (l->bias) (void)cudnn->DestroyTensorDescriptor(l->bias);
    if (l->matrix) (void)cudnn->DestroyTensorDescriptor(l->matrix);
    if (l->h) (void)cudnn->DestroyTensorDescriptor(l->h);
    if (l->y) (void)cudnn->DestroyRNNDataDescriptor(l->y);
    if (l->x) (void)cudnn->DestroyRNNDataDescriptor(l->x);
    if (l->rnn) (void)cudnn->DestroyRNNDescriptor(l->rnn);
    if (l->dropout) (void)cudnn->DestroyDropoutDescriptor(l->dropout);
    if (l->handle) (void)cudnn->Destroy(l->handle);
    bench_stream_release(l->stream);
    free(l);
}

#define TRY(call)                                                  \
    do {                                                           \
        const cudnnStatus_t try_status = (call);                   \
        if (try_status != CUDNN_STATUS_SUCCESS) return try_status; \
    } while (0)

/* ---- descriptors ----------------------------------------------------------------------------------------------- */

static cudnnStatus_t describe_rows(const cudnn_layer *l, cudnnRNNDataDescriptor_t *rows, int64_t width) {
    const bench_shape shape = l->problem->shape;
    float zero = 0;
    int *lengths = malloc((size_t)shape.N * sizeof *lengths);
    if (!lengths) return CUDNN_STATUS_ALLOC_FAILED;
    for (int64_t n = 0; n < shape.N; n++) lengths[n] = (int)shape.T;
    cudnnStatus_t status = l->cudnn->CreateRNNDataDescriptor(rows);
    if (status == CUDNN_STATUS_SUCCESS)
        status = l->cudnn->SetRNNDataDescriptor(*rows, type_of[l->problem->type],
                                                CUDNN_RNN_DATA_LAYOUT_SEQ_MAJOR_UNPACKED, (int)shape.T,
                                                (int)shape.N, (int)width, lengths, &zero);
    free(lengths);
    return status;
}

/* Padded rows, as PyTorch asks for: the layout is the same where all sequences are of one length. */
static cudnnStatus_t describe(cudnn_layer *l, cudnnRNNAlgo_t algorithm) {
    const cudnn_library *cudnn = l->cudnn;
    const bench_problem *p = l->problem;
    const int H = (int)p->shape.H, dims[3] = {1, (int)p->shape.N, H},
              strides[3] = {(int)p->shape.N * H, H, 1};
    TRY(cudnn->Create(&l->handle));
    TRY(cudnn->SetStream(l->handle, l->stream));
    TRY(cudnn->CreateDropoutDescriptor(&l->dropout));
    TRY(cudnn->SetDropoutDescriptor(l->dropout, l->handle, 0, NULL, 0, 0));
    TRY(cudnn->CreateRNNDescriptor(&l->rnn));
    TRY(cudnn->SetRNNDescriptor_v8(l->rnn, algorithm, p->layer == BENCH_LSTM ? CUDNN_LSTM : CUDNN_GRU,
                                   CUDNN_RNN_DOUBLE_BIAS, CUDNN_UNIDIRECTIONAL,
                                   p->stage == BENCH_RECURRENCE ? CUDNN_SKIP_INPUT : CUDNN_LINEAR_INPUT,
                                   type_of[p->type], CUDNN_DATA_FLOAT, math_of[p->type], (int)p->shape.I, H,
                                   H, 1, l->dropout, CUDNN_RNN_PADDED_IO_ENABLED));
    TRY(describe_rows(l, &l->x, p->shape.I));
    TRY(describe_rows(l, &l->y, H));
    TRY(cudnn->CreateTensorDescriptor(&l->matrix));
    TRY(cudnn->CreateTensorDescriptor(&l->bias));
    TRY(cudnn->CreateTensorDescriptor(&l->h));
    TRY(cudnn->SetTensorNdDescriptor(l->h, type_of[p->type], 3, dims, strides));
    if (algorithm != CUDNN_RNN_ALGO_PERSIST_DYNAMIC) return CUDNN_STATUS_SUCCESS;
    return cudnn->BuildRNNDynamic(l->handle, l->rnn, (int)p->shape.N);
}

/* ---- memory ---------------------------------------------------------------------------------------------------- */

static cudnnForwardMode_t mode_of(const bench_problem *problem) {
    return problem->dy || problem->stage == BENCH_TRAIN ? CUDNN_FWD_MODE_TRAINING : CUDNN_FWD_MODE_INFERENCE;
}

/* All bytes 0xFF: NaN in every type, until something is written. */
static cudnnStatus_t allocate(cudnn_layer *l) {
    const bench_problem *p = l->problem;
    const size_t number = bench_type_bytes(p->type), rows = (size_t)(p->shape.T * p->shape.N);
    const size_t H = (size_t)p->shape.H, N = (size_t)p->shape.N;
    l->bytes[X] = rows * (size_t)p->shape.I * number, l->bytes[Y] = rows * H * number;
    l->bytes[H0] = l->bytes[HT] = N * H * number, l->bytes[LENGTHS] = N * sizeof(int32_t);
    TRY(l->cudnn->GetRNNWeightSpaceSize(l->handle, l->rnn, &l->bytes[WEIGHTS]));
    TRY(l->cudnn->GetRNNTempSpaceSizes(l->handle, l->rnn, mode_of(p), l->x, &l->bytes[WORKSPACE],
                                       &l->bytes[RESERVE]));
    if (p->dy) {
        l->bytes[DX] = l->bytes[X], l->bytes[DY] = l->bytes[Y], l->bytes[DH0] = l->bytes[H0];
        l->bytes[DWEIGHTS] = l->bytes[WEIGHTS];
    }
    for (int i = 0; i < BUFFERS; i++)
        if (l->bytes[i] && (cudaMalloc(&l->buffers[i], l->bytes[i]) != cudaSuccess ||
                            cudaMemset(l->buffers[i], 0xff, l->bytes[i]) != cudaSuccess))
            return CUDNN_STATUS_ALLOC_FAILED;
    return CUDNN_STATUS_SUCCESS;
}

static cudnnStatus_t put(const cudnn_layer *l, const float *numbers, int64_t count, void *memory) {
    const size_t bytes = (size_t)count * bench_type_bytes(l->problem->type);
    void *narrow = malloc(bytes);
    if (!narrow) return CUDNN_STATUS_ALLOC_FAILED;
    bench_type_narrow(numbers, count, l->problem->type, narrow);
    const cudaError_t status = cudaMemcpy(memory, narrow, bytes, cudaMemcpyHostToDevice);
    free(narrow);
    return status == cudaSuccess ? CUDNN_STATUS_SUCCESS : CUDNN_STATUS_EXECUTION_FAILED;
}

/* cuDNN says where a gate's numbers belong: r, z, n or i, f, g, o of the input, then of the state. matrix:
 * [gates H][columns], bias [gates H]. */
static cudnnStatus_t put_gates(const cudnn_layer *l, int first, const float *matrix, int64_t columns,
                               const float *bias) {
    const int64_t H = l->problem->shape.H;
    for (int gate = 0; gate < bench_problem_gates(l->problem); gate++) {
        void *matrix_at = NULL, *bias_at = NULL;
        TRY(l->cudnn->GetRNNWeightParams(l->handle, l->rnn, 0, l->bytes[WEIGHTS], l->buffers[WEIGHTS],
                                         first + gate, l->matrix, &matrix_at, l->bias, &bias_at));
        if (matrix_at) TRY(put(l, matrix + gate * H * columns, H * columns, matrix_at));
        if (bias_at) TRY(put(l, bias + gate * H, H, bias_at));
    }
    return CUDNN_STATUS_SUCCESS;
}

static cudnnStatus_t fill(const cudnn_layer *l) {
    const bench_problem *p = l->problem;
    const bench_shape shape = p->shape;
    int32_t *lengths = malloc(l->bytes[LENGTHS]);
    if (!lengths) return CUDNN_STATUS_ALLOC_FAILED;
    for (int64_t n = 0; n < shape.N; n++) lengths[n] = (int32_t)shape.T;
    const cudaError_t copied =
        cudaMemcpy(l->buffers[LENGTHS], lengths, l->bytes[LENGTHS], cudaMemcpyHostToDevice);
    free(lengths);
    if (copied != cudaSuccess) return CUDNN_STATUS_EXECUTION_FAILED;
    TRY(put_gates(l, 0, p->W, shape.I, p->bW));
    TRY(put_gates(l, (int)bench_problem_gates(p), p->R, shape.H, p->bR));
    TRY(put(l, p->x, shape.T * shape.N * shape.I, l->buffers[X]));
    if (p->dy) TRY(put(l, p->dy, shape.T * shape.N * shape.H, l->buffers[DY]));
    return put(l, p->h0, shape.N * shape.H, l->buffers[H0]);
}

/* ---- running --------------------------------------------------------------------------------------------------- */

static cudnnStatus_t run_forward(const cudnn_layer *l) {
    void *const *b = l->buffers;
    return l->cudnn->RNNForward(l->handle, l->rnn, mode_of(l->problem), b[LENGTHS], l->x, b[X], l->y, b[Y],
                                l->h, b[H0], b[HT], l->h, NULL, NULL, l->bytes[WEIGHTS], b[WEIGHTS],
                                l->bytes[WORKSPACE], b[WORKSPACE], l->bytes[RESERVE], b[RESERVE]);
}

/* Weight gradients are added to what is there: there is no other mode. */
static cudnnStatus_t run_backward(const cudnn_layer *l) {
    void *const *b = l->buffers;
    TRY(l->cudnn->RNNBackwardData_v8(l->handle, l->rnn, b[LENGTHS], l->y, b[Y], b[DY], l->x, b[DX], l->h,
                                     b[H0], NULL, b[DH0], l->h, NULL, NULL, NULL, l->bytes[WEIGHTS],
                                     b[WEIGHTS], l->bytes[WORKSPACE], b[WORKSPACE], l->bytes[RESERVE],
                                     b[RESERVE]));
    if (cudaMemsetAsync(b[DWEIGHTS], 0, l->bytes[DWEIGHTS], l->stream) != cudaSuccess)
        return CUDNN_STATUS_EXECUTION_FAILED;
    return l->cudnn->RNNBackwardWeights_v8(l->handle, l->rnn, CUDNN_WGRAD_MODE_ADD, b[LENGTHS], l->x, b[X],
                                           l->h, b[H0], l->y, b[Y], l->bytes[DWEIGHTS], b[DWEIGHTS],
                                           l->bytes[WORKSPACE], b[WORKSPACE], l->bytes[RESERVE], b[RESERVE]);
}

static void enqueue(void *opaque) {
    cudnn_layer *l = opaque;
    l->status = run_forward(l);
    if (l->status == CUDNN_STATUS_SUCCESS && l->problem->dy) l->status = run_backward(l);
}

static void run(void *opaque) {
    const cudnn_layer *l = opaque;
    if (l->graph)
        bench_graph_replay(l->graph, l->stream);
    else
        enqueue(opaque);
}

static void wait(void *opaque) {
    const cudnn_layer *l = opaque;
    (void)cudaStreamSynchronize(l->stream);
}

/* A failure leaves the NaN of bench_problem_clear_outputs. */
static void get(const cudnn_layer *l, const void *memory, int64_t count, float *numbers) {
    const size_t bytes = (size_t)count * bench_type_bytes(l->problem->type);
    void *narrow = malloc(bytes);
    if (narrow && cudaMemcpy(narrow, memory, bytes, cudaMemcpyDeviceToHost) == cudaSuccess)
        bench_type_widen(narrow, count, l->problem->type, numbers);
    free(narrow);
}

/* As put_gates. */
static void get_gates(const cudnn_layer *l, int first, float *matrix, int64_t columns, float *bias) {
    const int64_t H = l->problem->shape.H;
    for (int gate = 0; gate < bench_problem_gates(l->problem); gate++) {
        void *matrix_at = NULL, *bias_at = NULL;
        if (l->cudnn->GetRNNWeightParams(l->handle, l->rnn, 0, l->bytes[DWEIGHTS], l->buffers[DWEIGHTS],
                                         first + gate, l->matrix, &matrix_at, l->bias,
                                         &bias_at) != CUDNN_STATUS_SUCCESS)
            return;
        if (matrix_at) get(l, matrix_at, H * columns, matrix + gate * H * columns);
        if (bias_at) get(l, bias_at, H, bias + gate * H);
    }
}

static void collect_gradients(const cudnn_layer *l) {
    const bench_shape shape = l->problem->shape;
    float *const *g = l->problem->gradients;
    get(l, l->buffers[DX], shape.T * shape.N * shape.I, g[BENCH_DX]);
    get(l, l->buffers[DH0], shape.N * shape.H, g[BENCH_DH0]);
    get_gates(l, 0, g[BENCH_DW], shape.I, g[BENCH_DBW]);
    get_gates(l, (int)bench_problem_gates(l->problem), g[BENCH_DR], shape.H, g[BENCH_DBR]);
}

static void collect(void *opaque) {
    const cudnn_layer *l = opaque;
    const bench_shape shape = l->problem->shape;
    get(l, l->buffers[Y], shape.T * shape.N * shape.H, l->problem->y);
    get(l, l->buffers[HT], shape.N * shape.H, l->problem->hT);
    if (l->problem->dy) collect_gradients(l);
}

static const char *note(const void *opaque) {
    const cudnn_layer *l = opaque;
    return l->problem->stage == BENCH_RECURRENCE ? "SKIP_INPUT: reads H inputs, not 3H" : NULL;
}

/* An algorithm that cannot do this shape may say so as late as in the first run. */
static cudnnStatus_t try_once(cudnn_layer *l) {
    enqueue(l);
    TRY(l->status);
    return cudaStreamSynchronize(l->stream) == cudaSuccess ? CUDNN_STATUS_SUCCESS
                                                           : CUDNN_STATUS_EXECUTION_FAILED;
}

/* NaN again, so that the check sees what the row itself writes. */
static cudnnStatus_t clear_outputs(const cudnn_layer *l) {
    static const int written[] = {Y, HT, DX, DH0, DWEIGHTS};
    for (size_t i = 0; i < sizeof written / sizeof *written; i++)
        if (l->bytes[written[i]] &&
            cudaMemset(l->buffers[written[i]], 0xff, l->bytes[written[i]]) != cudaSuccess)
            return CUDNN_STATUS_EXECUTION_FAILED;
    return CUDNN_STATUS_SUCCESS;
}

static void explain(const cudnn_layer *l, cudnnStatus_t status, char *why) {
    char more[300] = "";
    l->cudnn->GetLastErrorString(more, sizeof more);
    for (char *at = more; *at; at++)
        if (*at == '\n') *at = ' ';
    (void)snprintf(why, BENCH_WHY, "%s: %s", l->cudnn->GetErrorString(status), more);
}

/* Why this problem is none for cuDNN; NULL: it may be one. */
static const char *refusal(const bench_problem *problem) {
    if (!*bench_device()) return ""; /* a machine without a GPU never claimed to have one */
    if (problem->reset_mode != GRU_RESET_AFTER) return "cuDNN computes reset AFTER only";
    if (problem->type == BENCH_F64) return "it is compared in f32 and in types of 16 bits";
    if (problem->stage == BENCH_BACKWARD) return "its backward pass overwrites what the forward pass kept";
    if (problem->stage == BENCH_RECURRENCE && problem->shape.I != problem->shape.H)
        return "CUDNN_SKIP_INPUT needs I = H";
    return NULL;
}

static cudnnStatus_t make(cudnn_layer *l, cudnnRNNAlgo_t algorithm) {
    TRY(describe(l, algorithm));
    TRY(allocate(l));
    TRY(fill(l));
    return try_once(l);
}

static int get_ready(cudnn_layer *l, const bench_candidate *self, char *why) {
    l->stream = bench_stream_create(why, BENCH_WHY);
    if (!l->stream) return 0;
    cudnnStatus_t status = make(l, (cudnnRNNAlgo_t)self->variant);
    if (status == CUDNN_STATUS_SUCCESS && self->recorded) {
        l->graph = bench_graph_record(l->stream, enqueue, l, why, BENCH_WHY);
        if (!l->graph) return 0;
    }
    if (status == CUDNN_STATUS_SUCCESS) status = clear_outputs(l);
    if (status != CUDNN_STATUS_SUCCESS) explain(l, status, why);
    return status == CUDNN_STATUS_SUCCESS;
}

static void *prepare(const bench_candidate *self, const bench_problem *problem, char *why) {
    const char *refused = refusal(problem);
    if (refused) {
        (void)snprintf(why, BENCH_WHY, "%s", refused);
        return NULL;
    }
    const cudnn_library *cudnn = cudnn_load(why, BENCH_WHY);
    if (!cudnn) return NULL;
    cudnn_layer *l = calloc(1, sizeof *l);
    if (!l) {
        (void)snprintf(why, BENCH_WHY, "out of memory");
        return NULL;
    }
    l->cudnn = cudnn, l->problem = problem;
    if (get_ready(l, self, why)) return l;
    release(l);
    return NULL;
}

#define ROW(NAME, ALGORITHM, RECORDED)                                                                      \
    {                                                                                                       \
        .name = NAME, .prepare = prepare, .run = run, .release = release, .wait = wait, .collect = collect, \
        .note = note, .device = BENCH_GPU, .variant = CUDNN_RNN_ALGO_##ALGORITHM, .recorded = (RECORDED),   \
        .has_lstm = 1                                                                                       \
    }
#define ROWS(NAME, ALGORITHM) ROW(NAME, ALGORITHM, 0), ROW(NAME " graph", ALGORITHM, 1)

const bench_candidate bench_peers_cudnn[BENCH_CUDNN_ROWS] = {
    ROWS("cuDNN standard", STANDARD), ROWS("cuDNN static", PERSIST_STATIC),
    ROWS("cuDNN dynamic", PERSIST_DYNAMIC), ROWS("cuDNN small H", PERSIST_STATIC_SMALL_H)};
