/* orders.c: moves weights between other libraries' arrays and native weights.
 *
 * Every order is one row of a table, from which locate() says where each gate of W, R and the two biases lies: which array,
 * where it starts, how far the next unit and the next column are. Import and export are then the same walk. */
#include <stdio.h>

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

/* Numbers of one struct: arrays, or W, R, bW, bR. */
typedef struct numbers {
    const char *who; /* "source" */
    int32_t type;
    int of_order; /* data: arrays of an order, not parts */
    const void *const *data;
} numbers;

static gru_status check_type(const numbers *n) {
    if (n->type >= GRU_F32 && n->type <= GRU_F64) return GRU_OK;
    return gru_fail(GRU_BAD_ARGUMENT, "%s.type is %s (%d), expected f32, f16, bf16 or f64", n->who,
                    gru_type_name(n->type), n->type);
}

/* Arrays of a struct. A bias may be missing, a matrix only if it has no numbers. */
static gru_status check_arrays(const plan *p, const numbers *n, const size_t counts[ARRAYS]) {
    const char *const who = n->who;
    const void *const *arrays = n->data;
    GRU_TRY(check_type(n));
    const size_t element = gru_type_bytes(n->type);
    for (int a = 0; a < ARRAYS; a++) {
        if (!arrays[a] && p->counts[a] > 0 && holds_matrix(p, a))
            return gru_fail(GRU_BAD_ARGUMENT, "%s.arrays[%d] is NULL, expected %zu numbers of %s", who, a,
                            p->counts[a], p->order->name);
        if ((uintptr_t)arrays[a] % element)
            return gru_fail(GRU_BAD_ARGUMENT, "%s.arrays[%d] is %p, expected a multiple of %zu", who, a,
                            arrays[a], element);
        if (counts[a] != p->counts[a] && (arrays[a] || counts[a] != 0))
            return gru_fail(GRU_BAD_ARGUMENT,
                            "%s.counts[%d] is %zu, expected %zu for %s with I %zu and H %zu", who, a,
                            counts[a], p->counts[a], p->order->name, p->I, p->H);
    }
    return GRU_OK;
}

/* W, R, bW and bR of a struct. */
static gru_status check_parts(const plan *p, const numbers *n, int need_biases) {
    const char *const who = n->who;
    const void *const *parts = n->data;
    GRU_TRY(check_type(n));
    const size_t element = gru_type_bytes(n->type);
    for (int part = PART_W; part < PARTS; part++) {
        const size_t count = GATES * p->H * columns_of(p, part);
        if (!parts[part] && count > 0 && (part <= PART_R || need_biases))
            return gru_fail(GRU_BAD_ARGUMENT, "%s.%s is NULL, expected %zu numbers", who, part_names[part],
                            count);
        if ((uintptr_t)parts[part] % element)
            return gru_fail(GRU_BAD_ARGUMENT, "%s.%s is %p, expected a multiple of %zu", who,
                            part_names[part], parts[part], element);
    }
    return GRU_OK;
}

static void add_regions(gru_regions *regions, const plan *p, const numbers *n, int written) {
    static const char *const arrays[2] = {"source.arrays[]", "target.arrays[]"};
    static const char *const parts[2][PARTS] = {{"source.W", "source.R", "source.bW", "source.bR"},
                                                {"target.W", "target.R", "target.bW", "target.bR"}};
    for (int i = 0; i < (n->of_order ? ARRAYS : PARTS); i++) {
        const size_t count = n->of_order ? p->counts[i] : GATES * p->H * columns_of(p, i);
        gru_region *region =
            gru_regions_add(regions, n->of_order ? arrays[written] : parts[written][i], n->data[i],
                            gru_size_times(count, gru_type_bytes(n->type)), written);
        if (region) region->index = i;
    }
}

/* No conversion works in place: a number may be written before another is read from there. */
static gru_status check_apart(const plan *p, const numbers *source, const numbers *target) {
    gru_regions regions;
    regions.count = 0;
    add_regions(&regions, p, source, 0);
    add_regions(&regions, p, target, 1);
    return gru_regions_check(&regions);
}

/* ---- the walk ---- */

/* 1 - f(v) = f(-v) for both gate functions: what one convention calls z, the other calls 1 - z. */
static double sign_of(int gate, int convert) {
    return convert && gate == GATE_Z ? -1.0 : 1.0;
}

/* How a number of one struct becomes one of the other. All are read as f64, which is exact, and rounded once (to 16 bits
 * through f32). */
typedef struct conversion {
    const plan *p;
    const numbers *source, *target;
    int convert; /* KEEP to WRITE or back */
} conversion;

/* Calls visit for every number of a part, gate by gate. index: in the part. */
typedef gru_status (*visitor)(const conversion *c, int part, int gate, size_t index, place at);

static gru_status visit_all(const conversion *c, visitor visit) {
    const size_t H = c->p->H;
    for (int part = PART_W; part < PARTS; part++)
        for (int gate = 0; gate < GATES; gate++) {
            place at = locate(c->p, part, gate);
            const size_t columns = columns_of(c->p, part), first = at.start;
            for (size_t j = 0; j < H; j++)
                for (size_t k = 0; k < columns; k++) {
                    at.start = first + j * at.unit + k * at.column;
                    GRU_TRY(visit(c, part, gate, ((size_t)gate * H + j) * columns + k, at));
                }
        }
    return GRU_OK;
}

static gru_status too_large(const conversion *c, const char *what, size_t index, double number) {
    return gru_fail(GRU_BAD_DATA, "source.%s[%zu] is %g, which %s cannot hold", what, index, number,
                    gru_type_name(c->target->type));
}

/* ---- import ---- */

gru_status gru_order_counts(int32_t order, const gru_layer_config *shape, size_t counts[8]) {
    plan p;
    if (!counts) return gru_fail(GRU_BAD_ARGUMENT, "counts is NULL, expected a place for 8 counts");
    GRU_TRY(make_plan(order, shape, &p));
    for (int a = 0; a < ARRAYS; a++) counts[a] = p.counts[a];
    return GRU_OK;
}

static double number_of_order(const conversion *c, int gate, place at) {
    const void *array = at.array == NONE ? NULL : c->source->data[at.array];
    return array ? sign_of(gate, c->convert) * gru_load_double(array, c->source->type, at.start) : 0.0;
}

static gru_status check_import(const conversion *c, int part, int gate, size_t index, place at) {
    (void)part, (void)index;
    const double number = number_of_order(c, gate, at);
    char name[32];
    if (!gru_overflows(number, c->target->type)) return GRU_OK;
    (void)snprintf(name, sizeof name, "arrays[%d]", at.array);
    return too_large(c, name, at.start, number);
}

static gru_status import_number(const conversion *c, int part, int gate, size_t index, place at) {
    void *to = (void *)(uintptr_t)c->target->data[part];
    gru_store_double(to, c->target->type, index, number_of_order(c, gate, at));
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
    const void *const parts[PARTS] = {target->W, target->R, target->bW, target->bR};
    const numbers from = {"source", source->type, 1, source->arrays}, to = {"target", target->type, 0, parts};
    conversion c = {&p, &from, &to, 0};
    GRU_TRY(check_updates(source->update, shape, &c.convert));
    GRU_TRY(check_arrays(&p, &from, source->counts));
    GRU_TRY(check_parts(&p, &to, 1));
    GRU_TRY(check_apart(&p, &from, &to));
    if (from.type != to.type) GRU_TRY(visit_all(&c, check_import));
    return visit_all(&c, import_number);
}

/* ---- export ---- */

/* The number at index of a part, with what only acts together with it. */
static double number_of_part(const conversion *c, int part, int gate, size_t index) {
    const numbers *from = c->source;
    const int with_bR = part == PART_BW && locate(c->p, PART_BR, gate).array == NONE;
    double number = from->data[part] ? gru_load_double(from->data[part], from->type, index) : 0.0;
    if (with_bR && from->data[PART_BR]) number += gru_load_double(from->data[PART_BR], from->type, index);
    return sign_of(gate, c->convert) * number;
}

static gru_status check_export(const conversion *c, int part, int gate, size_t index, place at) {
    const double number = number_of_part(c, part, gate, index);
    if (at.array == NONE || !gru_overflows(number, c->target->type)) return GRU_OK;
    return too_large(c, part_names[part], index, number);
}

static gru_status export_number(const conversion *c, int part, int gate, size_t index, place at) {
    void *array = at.array == NONE ? NULL : (void *)(uintptr_t)c->target->data[at.array];
    if (array) gru_store_double(array, c->target->type, at.start, number_of_part(c, part, gate, index));
    return GRU_OK;
}

/* Every bias that source has must find an array. */
static gru_status check_biases_fit(const conversion *c) {
    for (int part = PART_BW; part < PARTS; part++) {
        if (!c->source->data[part]) continue;
        for (int gate = 0; gate < GATES; gate++) {
            place to = locate(c->p, part, gate);
            if (to.array == NONE) to = locate(c->p, PART_BW, gate);
            if (!c->target->data[to.array])
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
    if (source->on_device)
        return gru_fail(GRU_BAD_ARGUMENT, "source.on_device is %d, expected 0", source->on_device);
    GRU_TRY(gru_check_reserved("source", source->reserved, 4));
    const void *const parts[PARTS] = {source->W, source->R, source->bW, source->bR};
    const numbers from = {"source", source->type, 0, parts};
    const numbers to = {"target", target->type, 1, (const void *const *)target->arrays};
    conversion c = {&p, &from, &to, 0};
    GRU_TRY(check_updates(target->update, shape, &c.convert));
    GRU_TRY(check_parts(&p, &from, 0));
    GRU_TRY(check_arrays(&p, &to, target->counts));
    GRU_TRY(check_biases_fit(&c));
    GRU_TRY(check_apart(&p, &from, &to));
    GRU_TRY(visit_all(&c, check_export)); /* also two biases whose sum is too large */
    return visit_all(&c, export_number);
}
