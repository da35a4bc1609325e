/* device_mirror.h: runs in host memory on contexts with device memory, through device copies of the buffers.
 *
 * Every guarded buffer (tester_allocate) that a run points into gets a copy in the context's memory, guards included. Every
 * pointer of the run is moved to the same offset of the copy. After the call all copies, those of inputs too, are copied
 * back, so that checks on the host see every byte that was written. On CPU contexts the run is called as it is, unless
 * GRU_TEST_MIRROR is set in the environment, which tests the mirror itself. */
#ifndef DEVICE_MIRROR_H
#define DEVICE_MIRROR_H

#include "gru/stack.h"

/* gru_layer_forward, gru_layer_backward, gru_stack_forward, gru_stack_backward and gru_layer_pack. End the test if a pointer is in no
 * guarded buffer. */
gru_status device_mirror_forward(const gru_layer *layer, const gru_run *run);
gru_status device_mirror_backward(const gru_layer *layer, const gru_run *run, const gru_gradients *gradients);
gru_status device_mirror_stack_forward(const gru_stack *stack, const gru_stack_run *run);
gru_status device_mirror_stack_backward(const gru_stack *stack, const gru_stack_run *run,
                                        const gru_stack_gradients *gradients);
gru_status device_mirror_pack(const gru_layer *layer, const gru_weights *weights, void *packed);

/* The same in steps, for tests that call, record or replay themselves. device_mirror_open sets *there to the run over the
 * copies and sends their contents. device_mirror_run and device_mirror_gradients do so for further arguments, over the same
 * or other buffers. send and receive copy all buffers; receive also waits. */
typedef struct device_mirror device_mirror;
device_mirror *device_mirror_open(gru_context *context, const gru_run *run, gru_run *there);
gru_run device_mirror_run(device_mirror *mirror, const gru_run *run);
gru_gradients device_mirror_gradients(device_mirror *mirror, const gru_gradients *gradients);
void device_mirror_send(const device_mirror *mirror);
void device_mirror_receive(const device_mirror *mirror);
void device_mirror_close(device_mirror *mirror); /* frees the copies */

#endif
