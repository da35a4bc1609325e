/* cuda_packed_layout.c: computes the byte offsets of packed and transposed weights. */
#include "cuda_packed_layout.h"

/* Weights in host memory are copied in pieces of about this many bytes: large compared with the cost of one more copy and
 * launch, small compared with the weights of a layer that needs several. */
enum { STAGING_BYTES = 1 << 20 };

/* Enough for one row of any type with its scale, and not more than a whole matrix. */
static size_t staging_bytes(const gru_layer_config *config) {
    const int32_t longest = config->inputs > config->hidden ? config->inputs : config->hidden;
    const size_t row = ((size_t)longest + 1) * sizeof(double), whole = row * GATES * (size_t)config->hidden;
    return row > STAGING_BYTES ? row : whole < STAGING_BYTES ? whole : STAGING_BYTES;
}

gru_cuda_packed_layout gru_cuda_packed_layout_of(const gru_layer_config *config) {
    const size_t element = gru_type_bytes(config->weight_type);
    const size_t rows = (size_t)gru_cuda_projected_row(config->hidden);
    const size_t pitch = (size_t)gru_cuda_input_pitch(config->inputs, config->weight_type);
    const size_t groups = (size_t)gru_cuda_groups(config->hidden, config->weight_type);
    gru_cuda_packed_layout layout = {0};
    layout.bR = gru_cuda_align(rows * sizeof(float));
    layout.W = 2 * layout.bR;
    layout.R = layout.W + gru_cuda_align(rows * pitch * element);
    layout.staging = layout.R + gru_cuda_align(rows * groups * GRU_CUDA_GROUP_BYTES);
    layout.staging_bytes = gru_cuda_align(staging_bytes(config));
    layout.bytes = layout.staging + layout.staging_bytes;
    return layout;
}

gru_cuda_transposed_layout gru_cuda_transposed_layout_of(const gru_layer_config *config) {
    const size_t element = gru_type_bytes(config->weight_type);
    const size_t units = (size_t)gru_cuda_unit_pitch(config->hidden);
    const size_t pitch = (size_t)gru_cuda_input_pitch(config->inputs, config->weight_type);
    const size_t groups = (size_t)gru_cuda_groups(config->hidden, config->weight_type);
    gru_cuda_transposed_layout layout = {0};
    layout.R = gru_cuda_align(units * GATES * groups * GRU_CUDA_GROUP_BYTES);
    layout.W = layout.R + gru_cuda_align(GATES * units * units * element);
    layout.bytes = layout.W + gru_cuda_align(GATES * units * pitch * element);
    return layout;
}

gru_packed_number gru_cuda_packed_number(const gru_layer_config *config, gru_packed_part part, int32_t gate,
                                         int32_t unit, int32_t k) {
    const gru_cuda_packed_layout layout = gru_cuda_packed_layout_of(config);
    const int is_bias = part == GRU_PACKED_BW || part == GRU_PACKED_BR;
    const size_t starts[] = {layout.W, layout.R, layout.bW, layout.bR};
    const int64_t octet = unit / GRU_CUDA_OCTET, lane = unit % GRU_CUDA_OCTET;
    const int32_t type = is_bias ? GRU_F32 : config->weight_type;
    const size_t element = gru_type_bytes(type);
    const int64_t row = (octet * GATES + gate) * GRU_CUDA_OCTET + lane;
    int64_t index = is_bias ? row : row * gru_cuda_input_pitch(config->inputs, config->weight_type) + k;
    if (part == GRU_PACKED_R) {
        const int32_t group = GRU_CUDA_GROUP_BYTES / (int32_t)element;
        const int64_t tile = (octet * gru_cuda_groups(config->hidden, type) + k / group) * GATES + gate;
        index = (tile * GRU_CUDA_OCTET + lane) * group + k % group;
    }
    return (gru_packed_number){.byte = starts[part] + (size_t)index * element, .type = type};
}
