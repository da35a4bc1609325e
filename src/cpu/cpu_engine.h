/* cpu_engine.h: the CPU engines. */
#ifndef GRU_CPU_ENGINE_H
#define GRU_CPU_ENGINE_H

#include "core/engine.h"

extern const gru_engine gru_engine_cpu_reference;
extern const gru_engine gru_engine_cpu_scalar;
extern const gru_engine gru_engine_cpu_avx2;
extern const gru_engine gru_engine_cpu_avx512;
extern const gru_engine gru_engine_cpu_neon;

#endif
