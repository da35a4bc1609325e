/* cpu_reference_step.h: one step of one row, which both passes of the reference engine compute. */
#ifndef GRU_CPU_REFERENCE_STEP_H
#define GRU_CPU_REFERENCE_STEP_H

#include "core/layer.h"
#include "core/timeline.h"

/* What a call works on. Vectors of one row; 3H means gates r, z, n one after the other. */
typedef struct reference {
    const gru_layer_config *config;
    const gru_run *run;
    gru_timeline timeline;       /* set by the caller of gru_reference_over */
    const void *W, *R, *bW, *bR; /* in the packed weights */
    const float *sW, *sR;        /* scales of int8 */
    int32_t weight_type, bias_type, state_type;
    size_t I, H;
    double *x;         /* [I] */
    double *h;         /* [H] the state that enters the step */
    double *a, *c;     /* [3H] W x + bW, R h + bR; candidate part of c with BEFORE: R (r h) + bR */
    double *v;         /* [3H] pre-activations, before the clip */
    double *r, *z, *n; /* [H] gates and candidate; z before attention */
    double *next;      /* [H] the state that leaves */
} reference;

enum { REFERENCE_VECTORS = 14 }; /* of H numbers: a, c, v 3 each; r, z, n, next, h */

/* Points the vectors into memory of gru_reference_scratch bytes. */
reference gru_reference_over(const gru_layer *layer, const gru_run *run, double *memory);
size_t gru_reference_scratch(const gru_layer_config *config);

/* Elements of the weights, gate g, unit j. */
double gru_reference_W(const reference *ref, int g, size_t j, size_t i);
double gru_reference_R(const reference *ref, int g, size_t j, size_t k);

double gru_reference_clip(const gru_layer_config *config, double v);
/* The attention weight of step t of row n; 0 without attention. */
double gru_reference_attention(const reference *ref, int64_t t, int64_t n);
/* The update gate after attention. */
double gru_reference_attended(const gru_layer_config *config, double z, double w);

/* From ref->h and the inputs of (t, n) to ref->next, leaving everything between for backward. */
void gru_reference_step(reference *ref, int64_t t, int64_t n);

#endif
