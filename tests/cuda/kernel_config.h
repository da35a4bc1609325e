/* kernel_config.h: every form in which CUDA kernels can run a step: an engine, and the tile or the hop that its plan is made to take.
 *
 *     gru_context *context = form_context(&forms[i], 0);
 *     form_force(&forms[i], math, reset);     the plans of the runs that follow, until form_free_choice
 */
#ifndef KERNEL_CONFIG_H
#define KERNEL_CONFIG_H

#include "cuda/run/cuda_cost_model.h"

typedef struct form {
    const char *name, *engine;
    int32_t tile; /* stepwise: which of the tiles that the arithmetic has, modulo their number */
    gru_cuda_force force;
} form;

enum { FORMS = 15 };
extern const form forms[FORMS];

/* The same of the sweep, which every engine has: tile counts its tiles. */
enum { SWEEP_FORMS = 10 };
extern const form sweep_forms[SWEEP_FORMS];

/* Puts the form's name behind a text for failures. */
void form_name(const form *f, char *text, size_t size);
/* Whether it is this one's turn: a third of them for each of three seeds, where all would take too long. */
int form_has_turn(int i);
int form_has_reset(const form *f, int32_t reset);
/* A context with the form's engine; flags of gru_context_config. Ends the test if there is none. */
gru_context *form_context(const form *f, uint32_t flags);
void form_force(const form *f, gru_cuda_math math, int32_t reset);
/* As form_force, but for what is forced of chunks. */
void form_force_sweep(const form *f, gru_cuda_math math);
void form_free_choice(void);
/* Whether a run of this layer with N rows takes the form that was forced last. */
int form_was_taken(const form *f, const gru_layer *layer, int64_t N);
int form_sweep_was_taken(const form *f, const gru_layer *layer, int64_t N);

#endif
