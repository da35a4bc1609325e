/* step.h: a layer's step of one row with everything fixed that does not change from step to step. */
#ifndef GRU_STEP_H
#define GRU_STEP_H

/* own: of the gru_step. x [I] and y [H] or NULL: io_type. h and next: the states before and after the step, state_type, in
 * blocks of GRU_STEP_UNITS units and aligned to 64 bytes; what lies past H in h is ignored. workspace: as for a forward call of
 * this layer with T = N = 1. No two overlap. */
typedef void (*gru_step_run)(const void *own, const void *x, const void *h, void *next, void *y,
                             void *workspace);

enum { GRU_STEP_UNITS = 16, GRU_STEP_BYTES = 192 };

/* Valid as long as the layer, also after gru_layer_update(). */
typedef struct gru_step {
    gru_step_run run;
    _Alignas(8) unsigned char own[GRU_STEP_BYTES]; /* the engine's own struct */
} gru_step;

#endif
