/* order_case.h: arrays of every weight order, number by number, and native weights of the same layer. */
#ifndef ORDER_CASE_H
#define ORDER_CASE_H

#include <string.h>

#include "gru/import.h"
#include "core/layout.h"
#include "support/tester.h"

enum { ORDERS = GRU_ORDER_FLAX + 1, MOST = 4096 };

/* ---- native weights ---- */

typedef struct native_weights {
    float W[MOST], R[MOST], bW[64], bR[64];
} native_weights;

static inline gru_native_weights target_of(native_weights *native) {
    const gru_native_weights target = {native->W, native->R, native->bW, native->bR, GRU_F32};
    return target;
}

static inline gru_weights weights_of(const native_weights *native) {
    gru_weights weights = GRU_INIT;
    weights.W = native->W, weights.R = native->R, weights.bW = native->bW, weights.bR = native->bR;
    return weights;
}

static inline gru_layer_config shape_of(int32_t I, int32_t H, int32_t reset, int32_t update) {
    gru_layer_config variant = GRU_INIT;
    variant.inputs = I, variant.hidden = H, variant.reset_mode = reset, variant.update = update;
    return variant;
}

static inline void fill(native_weights *native, int32_t I, int32_t H, uint64_t seed) {
    memset(native, 0, sizeof *native);
    tester_fill(native->W, GRU_F32, (size_t)(3 * H * I), 1.0, seed);
    tester_fill(native->R, GRU_F32, (size_t)(3 * H * H), 1.0, seed + 1);
    tester_fill(native->bW, GRU_F32, (size_t)(3 * H), 1.0, seed + 2);
    tester_fill(native->bR, GRU_F32, (size_t)(3 * H), 1.0, seed + 3);
}

/* ---- every number written out ---- */

/* Which recurrent biases the order holds apart. */
enum { RECURRENT_NONE, RECURRENT_N, RECURRENT_ALL };

typedef struct order_case {
    int32_t order, reset_mode, recurrent;
    size_t counts[8];
    float arrays[4][40];
} order_case;

/* I = 3, H = 2. W of gate g (1 r, 2 z, 3 n), unit j, input k is gjk, R is 1gjk, bW is gj, bR is 40 more. */
static const order_case order_cases[] = {
#include "orders.def"
};
enum { ORDER_CASES = sizeof order_cases / sizeof *order_cases, I3 = 3, H2 = 2 };

static inline native_weights expected(const order_case *c) {
    native_weights e;
    memset(&e, 0, sizeof e);
    for (int g = 0; g < GATES; g++)
        for (int j = 0; j < H2; j++) {
            const int row = g * H2 + j, digits = 10 * (g + 1) + j + 1;
            const int has_recurrent =
                c->recurrent == RECURRENT_ALL || (c->recurrent == RECURRENT_N && g == GATE_N);
            for (int k = 0; k < I3; k++) e.W[row * I3 + k] = (float)(10 * digits + k + 1);
            for (int k = 0; k < H2; k++) e.R[row * H2 + k] = (float)(1000 + 10 * digits + k + 1);
            e.bW[row] = (float)digits;
            e.bR[row] = has_recurrent ? (float)(digits + 40) : 0.0f;
        }
    return e;
}

static inline gru_framework_weights foreign_of(const order_case *c) {
    gru_framework_weights source = GRU_INIT;
    source.order = c->order, source.reset_mode = c->reset_mode;
    for (int a = 0; a < 8; a++) {
        source.counts[a] = c->counts[a];
        source.arrays[a] = a < 4 && c->counts[a] ? c->arrays[a] : NULL;
    }
    return source;
}

typedef struct framework_buffer {
    float arrays[4][MOST];
    gru_framework_weights_out target;
} framework_buffer;

/* A target of NaN for this order, with all of its arrays. */
static inline void make_target(framework_buffer *b, int32_t order, const gru_layer_config *variant) {
    const gru_framework_weights_out none = GRU_INIT;
    memset(b->arrays, 0xff, sizeof b->arrays);
    b->target = none;
    b->target.order = order, b->target.reset_mode = variant->reset_mode;
    REQUIRE(gru_order_counts(order, variant, b->target.counts) == GRU_OK, "%s", gru_last_error());
    for (int a = 0; a < 4; a++) b->target.arrays[a] = b->target.counts[a] ? b->arrays[a] : NULL;
}

static inline gru_framework_weights source_of(const framework_buffer *b) {
    gru_framework_weights source = GRU_INIT;
    source.order = b->target.order, source.reset_mode = b->target.reset_mode,
    source.update = b->target.update;
    for (int a = 0; a < 8; a++)
        source.arrays[a] = b->target.arrays[a], source.counts[a] = b->target.counts[a];
    return source;
}

/* The call failed with this status, its sentence has the words, and target is as it was. */
#define CHECK_REFUSED(call, wanted, words)                                                                  \
    do {                                                                                                    \
        const gru_status got_status = (call);                                                               \
        CHECK(got_status == (wanted) && strstr(gru_last_error(), words), "%s: %s: \"%s\", expected \"%s\"", \
              #call, gru_status_name(got_status), gru_last_error(), words);                                 \
    } while (0)

#endif
