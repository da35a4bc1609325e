/* check_range.h: the check that packing turns no finite weight into infinity. */
#ifndef GRU_CHECK_RANGE_H
#define GRU_CHECK_RANGE_H

#include "layer.h"

/* GRU_BAD_DATA with the first finite number of checked weights in host memory that the packed type cannot hold. It reads them,
 * so a backend calls it once it knows that they are where weights->on_device says. */
gru_status gru_check_weights_range(const gru_layer_config *config, const gru_weights *weights);

/* The same of any array of a float type; who names it. */
gru_status gru_check_range(const char *who, const void *data, int32_t type, size_t count, int32_t narrow);

#endif
