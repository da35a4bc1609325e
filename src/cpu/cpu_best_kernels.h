/* cpu_best_kernels.h: kernels for work that no engine was chosen for, such as packing weights. */
#ifndef GRU_CPU_BEST_KERNELS_H
#define GRU_CPU_BEST_KERNELS_H

#include "cpu_kernels.h"

/* The kernels of the best instruction set that this processor has and that is not hidden. */
const gru_cpu_kernels *gru_cpu_best_kernels(void);

#endif
