/* device_check.h: whether a device computes what the reference computes. */
#ifndef GRU_DEVICE_CHECK_H
#define GRU_DEVICE_CHECK_H

#include "core/context.h"

/* Runs small layers forward and backward by each engine of the open context's backend, in each arithmetic, and compares them
 * with the reference. The answer is kept for the process: later calls for the same device return it at once. A backend in host
 * memory is not checked. GRU_DEVICE_FAILED with a sentence: a result is wrong. Any other failure is not kept. */
gru_status gru_check_device(const gru_context *context);
/* For tests: no device was checked yet. */
void gru_forget_device_checks(void);

#endif
