/* cuda_fixture.h: a small training problem that has run forward on a CUDA engine, and its gradients in the device's memory.
 *
 *     study s = open_study(&sweep_forms[i], math, variant, study_options, 0);
 *     run_gradient_call(s.p, &s.r, &s.call, &gradients);
 *     close_study(&s);
 */
#ifndef CUDA_FIXTURE_H
#define CUDA_FIXTURE_H

#include "gradient_call.h"
#include "support/device_mirror.h"

/* Two octets of rows, two of units and a tail; x that cuBLASLt could read as it is. */
enum { T = 4, N = 9, I = 8, H = 19, MATHS = 4 };

/* Options of a problem: all that has gradients of its own. */
extern const uint32_t study_options;

typedef struct study {
    gru_context *context;
    problem *p;
    result r;
    gradient_call call; /* of the form, and nothing else */
} study;

/* variant: modulo 6, resets and directions; a reset that the form has not becomes another. flags: of gru_context_config. */
study open_study(const form *f, int math, int variant, uint32_t options, uint32_t flags);
void close_study(study *s);
gru_layer_config study_config(const form *f, int math, int variant);
gru_context *study_context(const form *f, int math, uint32_t flags);

/* The study's run and all its gradients on the device, for tests that call by themselves. */
typedef struct lent {
    device_mirror *m;
    gru_run run, backward; /* with the workspace of each */
    gru_gradients gradients;
    gradients here;
    float *scale; /* loss scale, here: 2 */
} lent;

lent lend(study *s);
void take_back(lent *l);

#endif
