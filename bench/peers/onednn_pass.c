/* onednn_pass.c: reorders made once and executed often.  SPDX-License-Identifier: Apache-2.0 */
#include "onednn_pass.h"

#include <stdlib.h>
#include <string.h>

int onednn_allocate(onednn_tensor *tensor) {
    size_t count = 1;
    for (int i = 0; i < tensor->rank; i++) count *= (size_t)tensor->dims[i];
    tensor->data = calloc(count, sizeof *tensor->data);
    return tensor->data != NULL;
}

void onednn_put_gates(const float *matrix, const int *gate_of, int gates, int64_t H, int64_t K, float *to) {
    for (int64_t k = 0; k < K; k++)
        for (int g = 0; g < gates; g++)
            for (int64_t j = 0; j < H; j++)
                to[(k * gates + g) * H + j] = matrix[(gate_of[g] * H + j) * K + k];
}

void onednn_take_gates(const float *from, const int *gate_of, int gates, int64_t H, int64_t K,
                       float *matrix) {
    for (int64_t k = 0; k < K; k++)
        for (int g = 0; g < gates; g++)
            for (int64_t j = 0; j < H; j++)
                matrix[(gate_of[g] * H + j) * K + k] = from[(k * gates + g) * H + j];
}

dnnl_status_t onednn_describe(const onednn_tensor *tensor, dnnl_memory_desc_t *desc) {
    memset(desc, 0, sizeof *desc);
    if (!tensor->data) return dnnl_success;
    return dnnl_memory_desc_init_by_tag(desc, tensor->rank, tensor->dims, dnnl_f32,
                                        tensor->chooses ? dnnl_format_tag_any : tensor->tag);
}

/* What a primitive adds to, it also writes; nothing else that chooses its layout is written. */
static dnnl_status_t make_move(onednn_pass *pass, int index, const dnnl_memory_desc_t *plain,
                               const dnnl_memory_desc_t *wanted) {
    const int out = pass->tensors[index]->sums;
    dnnl_primitive_desc_t descriptor;
    ONEDNN_TRY(dnnl_reorder_primitive_desc_create(&descriptor, out ? wanted : plain, pass->engine,
                                                  out ? plain : wanted, pass->engine, NULL));
    const dnnl_status_t status = dnnl_primitive_create(&pass->move[index], descriptor);
    (void)dnnl_primitive_desc_destroy(descriptor);
    return status;
}

static dnnl_status_t add(onednn_pass *pass, const_dnnl_primitive_desc_t descriptor, const onednn_tensor *t) {
    const int index = pass->count;
    const dnnl_memory_desc_t *wanted =
        dnnl_primitive_desc_query_md(descriptor, dnnl_query_exec_arg_md, t->argument);
    dnnl_memory_desc_t plain;
    ONEDNN_TRY(dnnl_memory_desc_init_by_tag(&plain, t->rank, t->dims, dnnl_f32, t->tag));
    dnnl_memory_t memory;
    const int same = dnnl_memory_desc_equal(&plain, wanted);
    ONEDNN_TRY(dnnl_memory_create(&memory, wanted, pass->engine, same ? t->data : DNNL_MEMORY_ALLOCATE));
    pass->arguments[index] = (dnnl_exec_arg_t){t->argument, memory};
    pass->tensors[index] = t;
    pass->count++;
    if (same) return dnnl_success;
    ONEDNN_TRY(dnnl_memory_create(&pass->plain[index], &plain, pass->engine, t->data));
    return make_move(pass, index, &plain, wanted);
}

dnnl_status_t onednn_pass_create(onednn_pass *pass, const_dnnl_primitive_desc_t descriptor,
                                 const onednn_tensor *tensors, int count, dnnl_memory_t workspace) {
    for (int i = 0; i < count; i++)
        if (tensors[i].data) ONEDNN_TRY(add(pass, descriptor, &tensors[i]));
    pass->all = pass->count;
    if (workspace) pass->arguments[pass->all++] = (dnnl_exec_arg_t){DNNL_ARG_WORKSPACE, workspace};
    return dnnl_primitive_create(&pass->primitive, descriptor);
}

void onednn_pass_release(onednn_pass *pass) {
    if (pass->primitive) (void)dnnl_primitive_destroy(pass->primitive);
    for (int i = 0; i < pass->count; i++) {
        if (pass->move[i]) (void)dnnl_primitive_destroy(pass->move[i]);
        if (pass->plain[i]) (void)dnnl_memory_destroy(pass->plain[i]);
        (void)dnnl_memory_destroy(pass->arguments[i].memory);
    }
}

static void move_all(const onednn_pass *pass, int out) {
    for (int i = 0; i < pass->count; i++) {
        if (!pass->move[i] || pass->tensors[i]->sums != out) continue;
        const dnnl_memory_t own = pass->arguments[i].memory;
        const dnnl_exec_arg_t arguments[2] = {{DNNL_ARG_FROM, out ? own : pass->plain[i]},
                                              {DNNL_ARG_TO, out ? pass->plain[i] : own}};
        (void)dnnl_primitive_execute(pass->move[i], pass->stream, 2, arguments);
    }
    (void)dnnl_stream_wait(pass->stream);
}

void onednn_pass_bring(const onednn_pass *pass) {
    move_all(pass, 0);
}

void onednn_pass_fetch(const onednn_pass *pass) {
    move_all(pass, 1);
}

static void clear(dnnl_memory_t memory) {
    const dnnl_memory_desc_t *desc;
    void *numbers;
    if (dnnl_memory_get_memory_desc(memory, &desc) == dnnl_success &&
        dnnl_memory_get_data_handle(memory, &numbers) == dnnl_success)
        memset(numbers, 0, dnnl_memory_desc_get_size(desc));
}

void onednn_pass_run(const onednn_pass *pass) {
    for (int i = 0; i < pass->count; i++)
        if (pass->tensors[i]->sums) clear(pass->arguments[i].memory);
    (void)dnnl_primitive_execute(pass->primitive, pass->stream, pass->all, pass->arguments);
    (void)dnnl_stream_wait(pass->stream);
}
