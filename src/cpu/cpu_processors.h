/* cpu_processors.h: how many processors this process may keep busy. */
#ifndef GRU_CPU_PROCESSORS_H
#define GRU_CPU_PROCESSORS_H

#include <stdint.h>

/* Processors that this thread may run on, 1 or more. */
int32_t gru_processors(void);

/* The limit of processor time that the control groups of this process set (version 1 or 2), in whole processors, 1 or more;
 * INT32_MAX: none. root: before the names of all files that are read: "", or a folder of a test. */
int32_t gru_processor_quota(const char *root);

#endif
