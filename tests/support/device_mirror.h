/* device_mirror.h: runs in the host's memory on contexts whose memory is elsewhere, through twins of the buffers on that side.
 *
 * Every guarded buffer (tester_allocate) that a run points into gets a twin of the context's memory, guards included, and
 * every pointer of the run moves to the same place of the twin. After the call the twins come back into the buffers, those
 * of inputs too: whatever was written where, the checks on the host see it. On contexts of the CPU the run is called as it
 * is, unless GRU_TEST_MIRROR is set in the environment, with which the mirror itself is tested. */
#ifndef DEVICE_MIRROR_H
#define DEVICE_MIRROR_H

#include "gru/stack.h"

/* gru_layer_forward, gru_layer_backward, gru_stack_forward, gru_stack_backward and gru_layer_pack. End the test if a pointer lies in no
 * guarded buffer. */
gru_status device_mirror_forward(const gru_layer *layer, const gru_run *run);
gru_status device_mirror_backward(const gru_layer *layer, const gru_run *run, const gru_gradients *gradients);
gru_status device_mirror_stack_forward(const gru_stack *stack, const gru_stack_run *run);
gru_status device_mirror_stack_backward(const gru_stack *stack, const gru_stack_run *run,
                                        const gru_stack_gradients *gradients);
gru_status device_mirror_pack(const gru_layer *layer, const gru_weights *weights, void *packed);

/* The same in pieces, for tests that call, record or replay by themselves. device_mirror_open fills in *there, the run over the twins,
 * whose contents it sends; device_mirror_run and device_mirror_gradients do so with further ones, over the same buffers or others; send and receive
 * copy all buffers, and receive waits. */
typedef struct device_mirror device_mirror;
device_mirror *device_mirror_open(gru_context *context, const gru_run *run, gru_run *there);
gru_run device_mirror_run(device_mirror *mirror, const gru_run *run);
gru_gradients device_mirror_gradients(device_mirror *mirror, const gru_gradients *gradients);
void device_mirror_send(const device_mirror *mirror);
void device_mirror_receive(const device_mirror *mirror);
void device_mirror_close(device_mirror *mirror); /* gives the twins back */

#endif
