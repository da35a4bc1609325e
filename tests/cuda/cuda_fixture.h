/* cuda_fixture.h: a small training problem that has run forward on a CUDA engine, and its gradients in the device's memory.
 *
 *     cuda_fixture s = open_fixture(&backward_kernel_configs[i], compute_type, variant, fixture_options, 0);
 *     run_gradient_call(s.p, &s.r, &s.call, &gradients);
 *     close_fixture(&s);
 */
#ifndef CUDA_FIXTURE_H
#define CUDA_FIXTURE_H

#include "gradient_call.h"
#include "support/device_mirror.h"

/* Two octets of rows, two of units and a tail; x that cuBLASLt could read as it is. */
enum { T = 4, N = 9, I = 8, H = 19, COMPUTE_TYPES = 4 };

/* Options of a problem: all that has gradients of its own. */
extern const uint32_t fixture_options;

typedef struct cuda_fixture {
    gru_context *context;
    problem *p;
    result r;
    gradient_call call; /* of the kernel configuration, and nothing else */
} cuda_fixture;

/* variant: modulo 6, resets and directions; a reset that the kernel configuration has not becomes another. flags: of gru_context_config. */
cuda_fixture open_fixture(const kernel_config *f, int compute_type, int variant, uint32_t options,
                          uint32_t flags);
void close_fixture(cuda_fixture *s);
gru_layer_config fixture_config(const kernel_config *f, int compute_type, int variant);
gru_context *fixture_context(const kernel_config *f, int compute_type, uint32_t flags);

/* The fixture's run and all its gradients on the device, for tests that call by themselves. */
typedef struct uploaded {
    device_mirror *m;
    gru_run run, backward; /* with the workspace of each */
    gru_gradients gradients;
    gradients here;
    float *scale; /* loss scale, here: 2 */
} uploaded;

uploaded upload(cuda_fixture *s);
void download(uploaded *l);

#endif
