/* cpu_backend.h: the CPU backend. */
#ifndef GRU_CPU_BACKEND_H
#define GRU_CPU_BACKEND_H

#include "core/engine.h"

extern const gru_backend gru_backend_cpu;

#endif
