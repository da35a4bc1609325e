/* cuda_gemm_report.c: looks through the products of a layer for what cuBLASLt does not serve as asked. */
#include "cuda_gemm_report.h"

#include <stdio.h>
#include <string.h>

#include "cuda_gemm_describe.h"
#include "cuda_layer.h"

static int runs_in_pieces(const gru_cuda_gemm *gemm) {
    for (int32_t i = 0; i < gemm->buckets; i++)
        if (!gemm->algorithm_table[i].served) return 1;
    return 0;
}

static const char *lack_of(const gru_cuda_gemm *gemm) {
    if (gemm->buckets == 0) return "has no algorithm: the layer has no backward pass";
    if (runs_in_pieces(gemm)) return "has no algorithm for some numbers of rows: they run in pieces";
    if (gemm->adds_bias != gemm->shape.adds_bias)
        return "has no algorithm that adds the bias: the steps add it";
    return NULL;
}

void gru_cuda_report(const gru_layer *layer, char *text, size_t bytes) {
    const gru_cuda_layer *prepared = gru_cuda_layer_of(layer);
    size_t used = 0;
    text[0] = '\0';
    if (prepared->fixed_rows && !gru_cuda_device_of(layer->context)->invariant)
        (void)snprintf(text, bytes, "cuBLASLt: has no algorithm for few rows: products have %d rows\n",
                       prepared->fixed_rows);
    for (int i = 0; i < GRU_CUDA_GEMMS; i++) {
        const char *lack = prepared->gemms[i] ? lack_of(prepared->gemms[i]) : NULL;
        used = strlen(text);
        if (lack)
            (void)snprintf(text + used, bytes - used, "cuBLASLt: %s %s\n", prepared->gemms[i]->shape.name,
                           lack);
    }
}
