// A matrix product of the stand-in for cuBLASLt: what its descriptors say, and the product itself.
#ifndef EMU_MATMUL_H
#define EMU_MATMUL_H
#include "include/cublasLt.h"

struct emu_matrix_layout {
    cudaDataType type;
    cublasLtOrder_t order;
    uint64_t rows, columns;
    int64_t ld;
};
struct emu_matmul_desc {
    cublasComputeType_t compute;
    cudaDataType scale, bias_type;
    bool bias_typed; // bias_type was set; else it is the type of D
    cublasOperation_t transpose_a, transpose_b;
    cublasLtEpilogue_t epilogue;
    const void *bias;
};
namespace emu {
struct Product {
    emu_matmul_desc desc;
    emu_matrix_layout a, b, c, d;
    const void *A, *B, *C;
    void *D;
    float alpha, beta;
    void *workspace;
    size_t workspace_bytes; // that it uses
    unsigned chains;        // of additions, one behind the other in the end
};
size_t matmul_size(cudaDataType); // of an element; 0: a type that it does not know
void matmul_run(const Product &); // in stream order
} // namespace emu
#endif
