/* onednn_pass.h: runs one primitive of oneDNN 2 on row-major arrays, and reorders them to the layouts that it asks for.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef BENCH_ONEDNN_PASS_H
#define BENCH_ONEDNN_PASS_H

#include <oneapi/dnnl/dnnl.h>

enum { ONEDNN_ARGUMENTS = 16 };

/* An array in f32. */
typedef struct onednn_tensor {
    int argument; /* DNNL_ARG_... */
    int rank;
    dnnl_dims_t dims;
    dnnl_format_tag_t tag; /* how its numbers lie */
    float *data;           /* NULL: this pass has no such argument */
    int chooses;           /* the primitive may ask for another layout: numbers then are moved */
    int sums;              /* the primitive adds to it: set to zero before each execution */
} onednn_tensor;

typedef struct onednn_pass {
    dnnl_engine_t engine; /* borrowed, as stream */
    dnnl_stream_t stream;
    dnnl_primitive_t primitive;
    const onednn_tensor *tensors[ONEDNN_ARGUMENTS];
    dnnl_memory_t plain[ONEDNN_ARGUMENTS]; /* NULL: the primitive works in the array itself */
    dnnl_primitive_t move[ONEDNN_ARGUMENTS];
    dnnl_exec_arg_t arguments[ONEDNN_ARGUMENTS]; /* [count], after them the workspace */
    int count, all;
} onednn_pass;

#define ONEDNN_TRY(call)                                   \
    do {                                                   \
        const dnnl_status_t try_status = (call);           \
        if (try_status != dnnl_success) return try_status; \
    } while (0)

/* data of its dims, zeros, to be freed. 0: no memory. */
int onednn_allocate(onednn_tensor *tensor);
/* matrix [gates H][K] -> to [K][gates][H] (ldigo), whose gate g is gate_of[g] of the matrix; and back. */
void onednn_put_gates(const float *matrix, const int *gate_of, int gates, int64_t H, int64_t K, float *to);
void onednn_take_gates(const float *from, const int *gate_of, int gates, int64_t H, int64_t K, float *matrix);

/* As a descriptor of a primitive wants it; all zero without data. */
dnnl_status_t onednn_describe(const onednn_tensor *tensor, dnnl_memory_desc_t *desc);

/* pass: engine and stream set, all else zero. tensors[count] outlive it. workspace: borrowed; NULL: none. */
dnnl_status_t onednn_pass_create(onednn_pass *pass, const_dnnl_primitive_desc_t descriptor,
                                 const onednn_tensor *tensors, int count, dnnl_memory_t workspace);
void onednn_pass_release(onednn_pass *pass);

void onednn_pass_bring(const onednn_pass *pass); /* inputs into the layouts asked for */
void onednn_pass_run(const onednn_pass *pass);   /* returns when it is done */
void onednn_pass_fetch(const onednn_pass *pass); /* outputs back from there */

#endif
