/* reserve.h: what a training run saves for backward: one layout for all devices.
 *
 * A header, then the state that enters each step s of each row, [T][N][H], f32 (f64 with io f64): all that backward needs
 * besides the inputs. Steps past the length of a row are not written. After the states an engine may save activations that it
 * would otherwise recompute; other engines do not read them. */
#ifndef GRU_RESERVE_H
#define GRU_RESERVE_H

#include "layer.h"
#include "number.h"

typedef struct gru_reserve_header {
    uint64_t magic; /* of the layer's configuration: gru_reserve_magic */
    int64_t T, N;
    uint64_t weights; /* GRU_CHECK_WEIGHTS: the sum over the packed weights of the run; 0: none was made */
    uint64_t backend; /* GRU_BACKEND_...: whose packed layout the sum is of */
    uint64_t
        has_saved; /* 1: saved activations follow the states, in the layout of the CPU engines (cpu_kernels.h) */
    uint64_t reserved[2]; /* 0 */
} gru_reserve_header;

/* The sum over packed weights: word i times an odd number of its own, so that exchanged weights change it too; the top
 * bit set, so that it is never 0. */
GRU_EVERYWHERE uint64_t gru_checksum_term(uint32_t word, uint64_t i) {
    return word * (2 * i + 1);
}

GRU_EVERYWHERE uint64_t gru_checksum_finish(uint64_t sum) {
    return sum | (uint64_t)1 << 63;
}

/* Whether the reserve was certainly made with other weights. */
GRU_EVERYWHERE int gru_checksums_differ(uint64_t saved, uint64_t saved_backend, uint64_t sum,
                                        uint64_t backend) {
    return saved != 0 && saved_backend == backend && saved != sum;
}

/* SIZE_MAX: too large. */
static inline size_t gru_reserve_bytes(const gru_layer_config *config, int64_t T, int64_t N) {
    const size_t state = config->io_type == GRU_F64 ? sizeof(double) : sizeof(float);
    const size_t rows = gru_size_times((size_t)T, (size_t)N);
    return gru_size_plus(sizeof(gru_reserve_header), gru_size_times(rows, (size_t)config->hidden * state));
}

/* Differs between layers whose reserves differ in meaning (FNV-1a over the variant and the sizes). */
static inline uint64_t gru_reserve_magic(const gru_layer_config *config) {
    const int32_t facts[] = {config->inputs,
                             config->hidden,
                             config->reset_mode,
                             config->update,
                             config->gate,
                             config->candidate,
                             config->direction,
                             config->io_type,
                             (int32_t)gru_bits_from_float(config->clip),
                             (int32_t)gru_bits_from_float(config->hard_slope),
                             (int32_t)gru_bits_from_float(config->gate_alpha),
                             (int32_t)gru_bits_from_float(config->gate_beta),
                             (int32_t)gru_bits_from_float(config->candidate_alpha),
                             (int32_t)gru_bits_from_float(config->candidate_beta)};
    uint64_t magic = 0xcbf29ce484222325u;
    for (size_t i = 0; i < sizeof facts / sizeof *facts; i++)
        magic = (magic ^ (uint32_t)facts[i]) * 0x100000001b3u;
    return magic;
}

static inline gru_reserve_header gru_reserve_header_of(const gru_layer_config *config, const gru_run *run) {
    const gru_reserve_header header = {gru_reserve_magic(config), run->T, run->N, 0, 0, 0, {0}};
    return header;
}

/* The states after the header, and the index of the state that enters step s of row n, in elements. */
static inline void *gru_reserve_states(const gru_run *run) {
    return (char *)run->reserve + sizeof(gru_reserve_header);
}

static inline size_t gru_reserve_index(const gru_layer *layer, const gru_run *run, int64_t s, int64_t n) {
    return ((size_t)s * (size_t)run->N + (size_t)n) * (size_t)layer->config.hidden;
}

#endif
