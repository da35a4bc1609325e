/* kernel_config.h: every kernel configuration in which CUDA kernels can run a step: an engine, and the block tile or the form of a fused step that its plan is made to take.
 *
 *     gru_context *context = kernel_config_context(&kernel_configs[i], 0);
 *     kernel_config_override(&kernel_configs[i], compute type, reset);     the plans of the runs that follow, until kernel_config_clear_override
 */
#ifndef KERNEL_CONFIG_H
#define KERNEL_CONFIG_H

#include "cuda/run/cuda_cost_model.h"

typedef struct kernel_config {
    const char *name, *engine;
    int32_t tile; /* stepwise: which of the tiles that the arithmetic has, modulo their number */
    gru_cuda_test_override override;
} kernel_config;

enum { KERNEL_CONFIGS = 15 };
extern const kernel_config kernel_configs[KERNEL_CONFIGS];

/* The same of the backward steps, which every engine has: tile counts its tiles. */
enum { BACKWARD_KERNEL_CONFIGS = 10 };
extern const kernel_config backward_kernel_configs[BACKWARD_KERNEL_CONFIGS];

/* Puts the kernel configuration's name behind a text for failures. */
void kernel_config_name(const kernel_config *f, char *text, size_t size);
/* Whether it is this one's turn: a third of them for each of three seeds, where all would take too long. */
int kernel_config_is_selected(int i);
int kernel_config_has_reset(const kernel_config *f, int32_t reset);
/* A context with the kernel configuration's engine; flags of gru_context_config. Ends the test if there is none. */
gru_context *kernel_config_context(const kernel_config *f, uint32_t flags);
void kernel_config_override(const kernel_config *f, gru_cuda_compute_type compute_type, int32_t reset);
/* As kernel_config_override, but for what is forced of chunks. */
void kernel_config_override_backward(const kernel_config *f, gru_cuda_compute_type compute_type);
void kernel_config_clear_override(void);
/* Whether a run of this layer with N rows takes the kernel configuration that was forced last. */
int kernel_config_was_used(const kernel_config *f, const gru_layer *layer, int64_t N);
int kernel_config_backward_was_used(const kernel_config *f, const gru_layer *layer, int64_t N);

#endif
