/* orders.c: moves weights between other libraries' arrays and native weights.
 *
 * Every order is one row of a table, from which locate() says where each gate of W, R and the two biases lies: which array,
 * where it starts, how far the next unit and the next column are. Import and export are then the same walk. */
#include "api/check_view.h"
#include "core/activation.h"
#include "core/error.h"
#include "core/layout.h"
#include "gru/import.h"

enum { ARRAYS = 8, NONE = -1 };

enum { PART_W, PART_R, PART_BW, PART_BR, PARTS };
static const char *const part_names[PARTS] = {"W", "R", "bW", "bR"};

/* How the matrices lie. I inputs, H units, K = I + H. */
typedef enum matrices {
    ROWS,         /* [3H][I] and [3H][H] */
    COLUMNS,      /* [I][3H] and [H][3H], which is also [I][3][H] */
    BLOCKS,       /* [3][I][H] and [3][H][H] */
    JOINED,       /* gates [K][2H], candidate [K][H]: rows of x, then of h */
    JOINED_ACROSS /* gates [2H][K], candidate [H][K]: columns of x, then of h */
} matrices;

/* How the biases lie. */
typedef enum biases {
    PAIR,      /* two arrays [3H] */
    ONE,       /* [2][3H]: bW, then bR */
    SUM,       /* [3H]: the sum */
    SUM_OF_RZ, /* [4][H]: sums of r and z, bW of n; then bR of n */
    GATED,     /* [2H] of the gates, [H] of the candidate: sums */
    APART_N    /* [3H] sums of r and z, bW of n; [H] bR of n */
} biases;

typedef struct order_form {
    const char *name;
    int8_t place[GATES]; /* of r, z, n among the three */
    matrices matrices;
    biases biases[2]; /* with reset AFTER, with BEFORE */
    int8_t after, before;
} order_form;

#define RZN \
    { 0, 1, 2 }
#define ZRN \
    { 1, 0, 2 }

static const order_form orders[] = {
    [GRU_ORDER_PYTORCH] = {"GRU_ORDER_PYTORCH", RZN, ROWS, {PAIR, PAIR}, 1, 0},
    [GRU_ORDER_KERAS] = {"GRU_ORDER_KERAS", ZRN, COLUMNS, {ONE, SUM}, 1, 1},
    [GRU_ORDER_ONNX] = {"GRU_ORDER_ONNX", ZRN, ROWS, {ONE, ONE}, 1, 1},
    [GRU_ORDER_CUDNN] = {"GRU_ORDER_CUDNN", RZN, ROWS, {PAIR, PAIR}, 1, 0},
    [GRU_ORDER_ONEDNN] = {"GRU_ORDER_ONEDNN", ZRN, COLUMNS, {SUM, SUM}, 0, 1},
    [GRU_ORDER_ONEDNN_LBR] = {"GRU_ORDER_ONEDNN_LBR", ZRN, COLUMNS, {SUM_OF_RZ, SUM_OF_RZ}, 1, 0},
    [GRU_ORDER_TF1] = {"GRU_ORDER_TF1", RZN, JOINED, {GATED, GATED}, 0, 1},
    [GRU_ORDER_TFLITE] = {"GRU_ORDER_TFLITE", RZN, JOINED_ACROSS, {GATED, GATED}, 0, 1},
    [GRU_ORDER_MIOPEN] = {"GRU_ORDER_MIOPEN", ZRN, ROWS, {PAIR, PAIR}, 1, 0},
    [GRU_ORDER_HASTE] = {"GRU_ORDER_HASTE", ZRN, COLUMNS, {PAIR, PAIR}, 1, 0},
    [GRU_ORDER_FLAX] = {"GRU_ORDER_FLAX", RZN, BLOCKS, {APART_N, APART_N}, 1, 0},
};
enum { ORDERS = sizeof orders / sizeof *orders };

/* An order with the sizes and the variant of one layer. */
typedef struct plan {
    const order_form *order;
    size_t I, H;
    int32_t reset_mode;
    size_t counts[ARRAYS];
} plan;

static biases biases_of(const plan *p) {
    return p->order->biases[p->reset_mode == GRU_RESET_BEFORE];
}

/* ---- where a number lies ---- */

/* Element (unit j, column k) of one gate of one part: arrays[array][start + j * unit + k * column]. */
typedef struct place {
    int array; /* NONE: the order has no such number: zero, or added to the other bias */
    size_t start, unit, column;
} place;

static place locate_matrix(const plan *p, int part, int gate) {
    const size_t I = p->I, H = p->H, K = I + H;
    const size_t columns = part == PART_W ? I : H, first = part == PART_W ? 0 : I;
    const size_t at = (size_t)p->order->place[gate];
    const int array = part == PART_W ? 0 : 1, joined = gate == GATE_N ? 2 : 0;
    const size_t joined_at = gate == GATE_N ? 0 : at, joined_width = gate == GATE_N ? H : 2 * H;
    switch (p->order->matrices) {
    case ROWS:
        return (place){array, at * H * columns, columns, 1};
    case COLUMNS:
        return (place){array, at * H, 1, GATES * H};
    case BLOCKS:
        return (place){array, at * columns * H, 1, H};
    case JOINED:
        return (place){joined, first * joined_width + joined_at * H, 1, joined_width};
    default:
        return (place){joined, joined_at * H * K + first, K, 1};
    }
}

static place locate_bias(const plan *p, int part, int gate) {
    const size_t H = p->H, at = (size_t)p->order->place[gate] * H;
    const int recurrent = part == PART_BR, candidate = gate == GATE_N;
    const place none = {.array = NONE};
    switch (biases_of(p)) {
    case PAIR:
        return (place){recurrent ? 3 : 2, at, 1, 0};
    case ONE:
        return (place){2, at + (recurrent ? GATES * H : 0), 1, 0};
    case SUM:
        return recurrent ? none : (place){2, at, 1, 0};
    case SUM_OF_RZ:
        return !recurrent ? (place){2, at, 1, 0} : candidate ? (place){2, GATES * H, 1, 0} : none;
    case APART_N:
        return !recurrent ? (place){2, at, 1, 0} : candidate ? (place){3, 0, 1, 0} : none;
    default: /* GATED */
        return recurrent ? none : (place){candidate ? 3 : 1, candidate ? 0 : at, 1, 0};
    }
}

static place locate(const plan *p, int part, int gate) {
    return part <= PART_R ? locate_matrix(p, part, gate) : locate_bias(p, part, gate);
}

static size_t columns_of(const plan *p, int part) {
    return part == PART_W ? p->I : part == PART_R ? p->H : 1;
}

/* Which arrays hold matrices, and so may not be NULL. */
static int holds_matrix(const plan *p, int array) {
    for (int part = PART_W; part <= PART_R; part++)
        for (int gate = 0; gate < GATES; gate++)
            if (locate(p, part, gate).array == array) return 1;
    return 0;
}

/* Every number has a place of its own, so an array's count is the number of those that lie in it. */
static void count_arrays(plan *p) {
    for (int a = 0; a < ARRAYS; a++) p->counts[a] = 0;
    for (int part = PART_W; part < PARTS; part++)
        for (int gate = 0; gate < GATES; gate++) {
            const int array = locate(p, part, gate).array;
            if (array != NONE) p->counts[array] += p->H * columns_of(p, part);
        }
}

/* ---- checks ---- */

static const char *reset_name(int32_t reset) {
    return reset == GRU_RESET_AFTER ? "AFTER" : reset == GRU_RESET_BEFORE ? "BEFORE" : "ALL";
}

/* reset and update of the struct called who. */
static gru_status check_variant(const char *who, int32_t reset, int32_t update) {
    if (reset < GRU_RESET_AFTER || reset > GRU_RESET_ALL)
        return gru_fail(GRU_BAD_ARGUMENT, "%s.reset_mode is %d, expected GRU_RESET_AFTER, _BEFORE or _ALL",
                        who, reset);
    if (update != GRU_UPDATE_KEEP && update != GRU_UPDATE_WRITE)
        return gru_fail(GRU_BAD_ARGUMENT, "%s.update is %d, expected GRU_UPDATE_KEEP or _WRITE", who, update);
    return GRU_OK;
}

/* The plan for an order, which must be able to hold weights of shape's reset. */
static gru_status make_plan(int32_t order, const gru_layer_config *shape, plan *p) {
    if (!shape) return gru_fail(GRU_BAD_ARGUMENT, "shape is NULL");
    if (order < 0 || order >= ORDERS)
        return gru_fail(GRU_BAD_ARGUMENT,
                        "order is %d, expected GRU_ORDER_PYTORCH to GRU_ORDER_FLAX (0 to %d)", order,
                        ORDERS - 1);
    if (shape->inputs < 0)
        return gru_fail(GRU_BAD_ARGUMENT, "shape.inputs is %d, expected 0 or more", shape->inputs);
    if (shape->hidden < 1 || shape->hidden > INT32_MAX / 8)
        return gru_fail(GRU_BAD_ARGUMENT, "shape.hidden is %d, expected 1 to %d", shape->hidden,
                        INT32_MAX / 8);
    GRU_TRY(check_variant("shape", shape->reset_mode, shape->update));
    GRU_TRY(gru_check_reserved("shape", shape->reserved, 6));
    *p = (plan){.order = &orders[order],
                .I = (size_t)shape->inputs,
                .H = (size_t)shape->hidden,
                .reset_mode = shape->reset_mode};
    const int held = shape->reset_mode == GRU_RESET_AFTER    ? p->order->after
                     : shape->reset_mode == GRU_RESET_BEFORE ? p->order->before
                                                             : 0;
    if (!held)
        return gru_fail(GRU_UNSUPPORTED, "%s cannot hold weights with the reset gate %s: it means %s",
                        p->order->name, reset_name(shape->reset_mode), p->order->after ? "AFTER" : "BEFORE");
    count_arrays(p);
    return GRU_OK;
}

static gru_status check_resets(int32_t from, int32_t to) {
    if (from == to) return GRU_OK;
    return gru_fail(
        GRU_UNSUPPORTED,
        "weights trained with the reset gate %s cannot be converted to %s: they are different functions",
        reset_name(from), reset_name(to));
}

/* Whether weights change from one update to the other: the gates' function has to allow it. */
static gru_status check_updates(int32_t from, const gru_layer_config *shape, int *convert) {
    *convert = from != shape->update;
    if (!*convert) return GRU_OK;
    const gru_activation_facts *gate = gru_activation_facts_of(gru_gate_row(shape->gate));
    if (!gate)
        return gru_fail(GRU_BAD_ARGUMENT, "shape.gate is %d, expected GRU_GATE_... or GRU_ACTIVATION_...",
                        shape->gate);
    if (gru_gate_is_symmetric(shape)) return GRU_OK;
    return gru_fail(GRU_UNSUPPORTED,
                    "weights of updates KEEP and WRITE cannot be converted into each other where the gates' "
                    "function is %s: 1 - f(v) is not f(-v)",
                    gate->word);
}

/* Arrays of the struct called who. A bias may be missing, a matrix only if it has no numbers. */
static gru_status check_arrays(const plan *p, const char *who, const void *const arrays[ARRAYS],
                               const size_t counts[ARRAYS]) {
    for (int a = 0; a < ARRAYS; a++) {
        if (!arrays[a] && p->counts[a] > 0 && holds_matrix(p, a))
            return gru_fail(GRU_BAD_ARGUMENT, "%s.arrays[%d] is NULL, expected %zu numbers of %s", who, a,
                            p->counts[a], p->order->name);
        if ((uintptr_t)arrays[a] % sizeof(float))
            return gru_fail(GRU_BAD_ARGUMENT, "%s.arrays[%d] is %p, expected a multiple of %zu", who, a,
                            arrays[a], sizeof(float));
        if (counts[a] != p->counts[a] && (arrays[a] || counts[a] != 0))
            return gru_fail(GRU_BAD_ARGUMENT,
                            "%s.counts[%d] is %zu, expected %zu for %s with I %zu and H %zu", who, a,
                            counts[a], p->counts[a], p->order->name, p->I, p->H);
    }
    return GRU_OK;
}

/* W, R, bW and bR of the struct called who. */
static gru_status check_parts(const plan *p, const char *who, const void *const parts[PARTS],
                              int need_biases) {
    for (int part = PART_W; part < PARTS; part++) {
        const size_t count = GATES * p->H * columns_of(p, part);
        if (!parts[part] && count > 0 && (part <= PART_R || need_biases))
            return gru_fail(GRU_BAD_ARGUMENT, "%s.%s is NULL, expected %zu numbers", who, part_names[part],
                            count);
        if ((uintptr_t)parts[part] % sizeof(float))
            return gru_fail(GRU_BAD_ARGUMENT, "%s.%s is %p, expected a multiple of %zu", who,
                            part_names[part], parts[part], sizeof(float));
    }
    return GRU_OK;
}

/* ---- the walk ---- */

/* 1 - f(v) = f(-v) for both gate functions: what one convention calls z, the other calls 1 - z. */
static float sign_of(int gate, int convert) {
    return convert && gate == GATE_Z ? -1.0f : 1.0f;
}

static void read_gate(const plan *p, const gru_framework_weights *source, int part, int gate, float sign,
                      float *to) {
    const place from = locate(p, part, gate);
    const float *array = from.array == NONE ? NULL : source->arrays[from.array];
    const size_t columns = columns_of(p, part);
    to += (size_t)gate * p->H * columns;
    for (size_t j = 0; j < p->H; j++)
        for (size_t k = 0; k < columns; k++)
            to[j * columns + k] = array ? sign * array[from.start + j * from.unit + k * from.column] : 0.0f;
}

/* ---- import ---- */

gru_status gru_order_counts(int32_t order, const gru_layer_config *shape, size_t counts[8]) {
    plan p;
    if (!counts) return gru_fail(GRU_BAD_ARGUMENT, "counts is NULL, expected a place for 8 counts");
    GRU_TRY(make_plan(order, shape, &p));
    for (int a = 0; a < ARRAYS; a++) counts[a] = p.counts[a];
    return GRU_OK;
}

gru_status gru_import(const gru_framework_weights *source, const gru_layer_config *shape,
                      const gru_native_weights *target) {
    plan p;
    if (!source) return gru_fail(GRU_BAD_ARGUMENT, "source is NULL");
    if (!target) return gru_fail(GRU_BAD_ARGUMENT, "target is NULL");
    GRU_TRY(check_variant("source", source->reset_mode, source->update));
    GRU_TRY(gru_check_reserved("source", source->reserved, 4));
    if (shape) GRU_TRY(check_variant("shape", shape->reset_mode, shape->update));
    if (shape) GRU_TRY(check_resets(source->reset_mode, shape->reset_mode));
    GRU_TRY(make_plan(source->order, shape, &p));
    GRU_TRY(check_arrays(&p, "source", (const void *const *)source->arrays, source->counts));
    float *const to[PARTS] = {target->W, target->R, target->bW, target->bR};
    GRU_TRY(check_parts(&p, "target", (const void *const *)to, 1));
    int convert;
    GRU_TRY(check_updates(source->update, shape, &convert));
    for (int part = PART_W; part < PARTS; part++)
        for (int gate = 0; gate < GATES; gate++)
            read_gate(&p, source, part, gate, sign_of(gate, convert), to[part]);
    return GRU_OK;
}

/* ---- export ---- */

/* The number at index of one gate of a part, with what only acts together with it. */
static float number_at(const gru_weights *source, int part, size_t index, int with_bR) {
    const float *const from[PARTS] = {source->W, source->R, source->bW, source->bR};
    const float number = from[part] ? from[part][index] : 0.0f;
    return with_bR && source->bR ? number + from[PART_BR][index] : number;
}

static void write_gate(const plan *p, const gru_weights *source, int part, int gate, float sign,
                       const gru_framework_weights_out *target) {
    const place to = locate(p, part, gate);
    float *array = to.array == NONE ? NULL : target->arrays[to.array];
    const int with_bR = part == PART_BW && locate(p, PART_BR, gate).array == NONE;
    const size_t columns = columns_of(p, part), first = (size_t)gate * p->H * columns;
    if (!array) return;
    for (size_t j = 0; j < p->H; j++)
        for (size_t k = 0; k < columns; k++)
            array[to.start + j * to.unit + k * to.column] =
                sign * number_at(source, part, first + j * columns + k, with_bR);
}

static gru_status check_source(const plan *p, const gru_weights *source) {
    if (source->type != GRU_F32)
        return gru_fail(GRU_BAD_ARGUMENT, "source.type is %s, expected f32", gru_type_name(source->type));
    if (source->on_device)
        return gru_fail(GRU_BAD_ARGUMENT, "source.on_device is %d, expected 0", source->on_device);
    const void *const from[PARTS] = {source->W, source->R, source->bW, source->bR};
    GRU_TRY(check_parts(p, "source", from, 0));
    return gru_check_reserved("source", source->reserved, 4);
}

/* Every bias that source has must find an array. */
static gru_status check_biases_fit(const plan *p, const gru_weights *source,
                                   const gru_framework_weights_out *target) {
    for (int part = PART_BW; part < PARTS; part++) {
        if (!(part == PART_BW ? source->bW : source->bR)) continue;
        for (int gate = 0; gate < GATES; gate++) {
            place to = locate(p, part, gate);
            if (to.array == NONE) to = locate(p, PART_BW, gate);
            if (!target->arrays[to.array])
                return gru_fail(GRU_BAD_ARGUMENT,
                                "target.arrays[%d] is NULL, but source has %s, which belongs there", to.array,
                                part_names[part]);
        }
    }
    return GRU_OK;
}

gru_status gru_export(const gru_weights *source, const gru_layer_config *shape,
                      const gru_framework_weights_out *target) {
    plan p;
    if (!source) return gru_fail(GRU_BAD_ARGUMENT, "source is NULL");
    if (!target) return gru_fail(GRU_BAD_ARGUMENT, "target is NULL");
    GRU_TRY(check_variant("target", target->reset_mode, target->update));
    GRU_TRY(gru_check_reserved("target", target->reserved, 4));
    if (shape) GRU_TRY(check_variant("shape", shape->reset_mode, shape->update));
    if (shape) GRU_TRY(check_resets(shape->reset_mode, target->reset_mode));
    GRU_TRY(make_plan(target->order, shape, &p));
    GRU_TRY(check_source(&p, source));
    GRU_TRY(check_arrays(&p, "target", (const void *const *)target->arrays, target->counts));
    GRU_TRY(check_biases_fit(&p, source, target));
    int convert;
    GRU_TRY(check_updates(target->update, shape, &convert));
    for (int part = PART_W; part < PARTS; part++)
        for (int gate = 0; gate < GATES; gate++)
            write_gate(&p, source, part, gate, sign_of(gate, convert), target);
    return GRU_OK;
}
