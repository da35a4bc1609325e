/* onednn.h: runs and differentiates a problem's layer in single precision with oneDNN's vanilla_gru (reset
 * BEFORE), lbr_gru (AFTER) and their AUGRU forms (attention). */
#ifndef ONEDNN_H
#define ONEDNN_H

#include "problem.h"

/* p: dense and f32, with biases; reset AFTER or BEFORE, update KEEP, sigmoid, tanh; either direction, with
 * attention forward only. y: [T][N][H]; hT: [N][H]. g: from gradients_make(p), all written; NULL: inference.
 * Ends the test on any failure.
 * No gradients with attention: the AUGRU backward of oneDNN 2.6.3 is not the derivative of its forward (it
 * takes z as it was before attention for the candidate, and attention's has a factor z (1 - z) too many). */
void onednn_run(const problem *p, float *y, float *hT, gradients *g);

#endif
