/* cpu_reference_activation.h: the activations in double precision, as the table defines them. */
#ifndef GRU_CPU_REFERENCE_ACTIVATION_H
#define GRU_CPU_REFERENCE_ACTIVATION_H

#include "core/activation.h"

/* The function at pre-activation v; and its derivative there, value being the function's. */
double gru_reference_value(const gru_activation *f, double v);
double gru_reference_slope(const gru_activation *f, double v, double value);

#endif
