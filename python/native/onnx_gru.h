/* onnx_gru.h: a GRU node of ONNX, computed by libgru. Knows nothing of ONNX Runtime. */
#ifndef LIBGRU_ONNX_GRU_H
#define LIBGRU_ONNX_GRU_H

#include <gru/import.h>

/* What the node's attributes say; config.inputs is 0, and direction is the first one's. */
typedef struct onnx_gru_config {
    gru_layer_config directions[2]; /* [1] only if there are two */
    int32_t count;                  /* of directions */
    int32_t batch_first;            /* the attribute layout */
    int32_t constant;               /* W, R and B are the same in each run: they are packed once */
    int32_t threads;
} onnx_gru_config;

/* Tensors of one run, f32 and dense, with ONNX's shapes. D directions, T steps, N sequences. */
typedef struct onnx_gru_run {
    int64_t T, N, I;
    const float *x;         /* [T][N][I], batch_first: [N][T][I] */
    const float *W;         /* [D][3H][I], gates z r n */
    const float *R;         /* [D][3H][H] */
    const float *B;         /* [D][6H]; NULL: zeros */
    const int32_t *lengths; /* [N]; NULL: all T */
    const float *h0;        /* [D][N][H], batch_first: [N][D][H]; NULL: zeros */
    float *y;               /* [T][D][N][H], batch_first: [N][T][D][H]; NULL: not wanted */
    float *hT;              /* shape of h0; NULL: not wanted */
} onnx_gru_run;

typedef struct onnx_gru onnx_gru;

/* Any number of threads may run one node at once. Failures are told by gru_last_error(). */
gru_status onnx_gru_create(const onnx_gru_config *config, onnx_gru **gru);
void onnx_gru_release(onnx_gru *gru); /* NULL: nothing */
gru_status onnx_gru_forward(onnx_gru *gru, const onnx_gru_run *run);
const onnx_gru_config *onnx_gru_described(const onnx_gru *gru);

#endif
