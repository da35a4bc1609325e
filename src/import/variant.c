/* variant.c: the table of a layer's options and their words. */
#include "variant.h"

#include <float.h>
#include <math.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "core/activation.h"
#include "core/error.h"
#include "text.h"

enum { WORDS = 5 };
enum {
    RESET,
    UPDATE,
    GATE,
    CANDIDATE,
    MERGE,
    CLIP,
    HARD_SLOPE,
    GATE_ALPHA,
    GATE_BETA,
    CANDIDATE_ALPHA,
    CANDIDATE_BETA
};

/* CHOICE: one of the words. FUNCTION: a row of the table of activations. NUMBER: from 0. PARAMETER: any number, of a function. */
typedef enum kind { CHOICE, FUNCTION, NUMBER, PARAMETER } kind;

typedef struct option {
    const char *name;
    kind kind;
    int owner;                /* of a parameter: the function; else the field itself */
    size_t offset;            /* in gru_layer_config, but of merge */
    const char *words[WORDS]; /* by value */
} option;

#define CONFIG(member) offsetof(gru_layer_config, member)

static const option options[GRU_VARIANT_FIELDS] = {
    [RESET] = {"reset", CHOICE, RESET, CONFIG(reset_mode), {"after", "before", "all"}},
    [UPDATE] = {"update", CHOICE, UPDATE, CONFIG(update), {"keep", "write"}},
    [GATE] = {"gate", FUNCTION, GATE, CONFIG(gate), {NULL}},
    [CANDIDATE] = {"candidate", FUNCTION, CANDIDATE, CONFIG(candidate), {NULL}},
    [MERGE] = {"merge", CHOICE, MERGE, 0, {"concat", "sum", "separate", "average", "multiply"}},
    [CLIP] = {"clip", NUMBER, CLIP, CONFIG(clip), {NULL}},
    [HARD_SLOPE] = {"hard_slope", NUMBER, HARD_SLOPE, CONFIG(hard_slope), {NULL}},
    [GATE_ALPHA] = {"gate_alpha", PARAMETER, GATE, CONFIG(gate_alpha), {NULL}},
    [GATE_BETA] = {"gate_beta", PARAMETER, GATE, CONFIG(gate_beta), {NULL}},
    [CANDIDATE_ALPHA] = {"candidate_alpha", PARAMETER, CANDIDATE, CONFIG(candidate_alpha), {NULL}},
    [CANDIDATE_BETA] = {"candidate_beta", PARAMETER, CANDIDATE, CONFIG(candidate_beta), {NULL}},
};

const char *gru_variant_field(int field) {
    return options[field].name;
}

int gru_variant_find(const char *name) {
    for (int field = 0; field < GRU_VARIANT_FIELDS; field++)
        if (strcmp(name, options[field].name) == 0) return field;
    return -1;
}

int gru_variant_owner(int field) {
    return options[field].owner;
}

int gru_variant_is_of_direction(int field) {
    return field != MERGE;
}

/* ---- functions ---- */

static int32_t row_of(const gru_layer_config *config, int owner) {
    return owner == GATE ? gru_gate_row(config->gate) : gru_candidate_row(config->candidate);
}

/* The default of a function's number; NaN: it has none. */
static float standard_of(const gru_layer_config *config, int field) {
    const gru_activation_facts *facts = gru_activation_facts_of(row_of(config, options[field].owner));
    return field == GATE_ALPHA || field == CANDIDATE_ALPHA ? facts->alpha : facts->beta;
}

/* A function of the table; the gates' hard sigmoid by the constant whose alpha is hard_slope. */
static gru_status read_function(gru_layer_config *config, int field, const gru_metadata *line) {
    for (int32_t row = 0; row < GRU_ACTIVATIONS; row++) {
        if (strcmp(gru_activation_facts_of(row)->word, line->text) != 0) continue;
        const int32_t value = GRU_ACTIVATION_FIRST + row;
        if (field == GATE) {
            config->gate = row == GRU_ROW_OF_HARD_SIGMOID ? GRU_GATE_HARD_SIGMOID : value;
            config->gate_alpha = config->gate_beta = 0;
        } else {
            config->candidate = value;
            config->candidate_alpha = config->candidate_beta = 0;
        }
        return GRU_OK;
    }
    return gru_fail(GRU_BAD_DATA,
                    "%s: metadata \"%s\" is \"%s\", expected a function such as sigmoid or tanh",
                    line->source, line->key, line->text);
}

/* ---- numbers ---- */

/* A finite number that single precision does not round to 0. */
static gru_status read_any(const gru_metadata *line, const char *expected, double least, float *number) {
    double wide;
    if (!gru_number_read(line->text, &wide) || !(wide >= least && fabs(wide) <= (double)FLT_MAX))
        return gru_fail(GRU_BAD_DATA, "%s: metadata \"%s\" is \"%s\", expected %s", line->source, line->key,
                        line->text, expected);
    if (wide != 0 && (float)wide == 0)
        return gru_fail(GRU_BAD_DATA, "%s: metadata \"%s\" is \"%s\", which single precision rounds to 0",
                        line->source, line->key, line->text);
    *number = (float)wide;
    return GRU_OK;
}

gru_status gru_variant_number(const gru_metadata *line, float *number) {
    return read_any(line, "a number, 0 or more", 0, number);
}

/* In the configuration 0 stands for a default, which is another number. */
static gru_status refuse_zero(const gru_metadata *line, const char *expected) {
    return gru_fail(GRU_BAD_DATA, "%s: metadata \"%s\" is \"%s\", expected %s", line->source, line->key,
                    line->text, expected);
}

static gru_status read_number(const gru_layer_config *config, int field, const gru_metadata *line,
                              float *number) {
    if (options[field].kind == NUMBER) {
        GRU_TRY(gru_variant_number(line, number));
        return field == HARD_SLOPE && *number == 0 ? refuse_zero(line, "a number above 0") : GRU_OK;
    }
    const float standard = standard_of(config, field);
    GRU_TRY(read_any(line, "a number", -(double)FLT_MAX, number));
    return *number == 0 && standard != 0 && !isnan(standard)
               ? refuse_zero(line, "another number than 0, which the library takes for the default")
               : GRU_OK;
}

/* ---- fields ---- */

void gru_variant_write(const gru_layer_config *config, int32_t merge, int field,
                       char text[GRU_VARIANT_TEXT]) {
    const option *o = &options[field];
    const char *place = field == MERGE ? (const char *)&merge : (const char *)config + o->offset;
    int32_t value;
    float number;
    memcpy(&value, place, sizeof value);
    memcpy(&number, place, sizeof number);
    text[0] = '\0';
    if (o->kind == CHOICE) strcpy(text, o->words[value]);
    if (o->kind == FUNCTION) strcpy(text, gru_activation_facts_of(row_of(config, field))->word);
    if (o->kind == NUMBER) gru_number_write(number, text);
    if (o->kind != PARAMETER || isnan(standard_of(config, field))) return;
    const int hard = o->owner == GATE && row_of(config, GATE) == GRU_ROW_OF_HARD_SIGMOID;
    const int usual =
        hard && (field == GATE_ALPHA || config->gate == GRU_GATE_HARD_SIGMOID); /* hard_slope, 0.5 */
    if (!usual) gru_number_write(number, text);
}

gru_status gru_variant_read(gru_layer_config *config, int32_t *merge, int field, const gru_metadata *line) {
    const option *o = &options[field];
    char *place = field == MERGE ? (char *)merge : (char *)config + o->offset;
    if (o->kind == FUNCTION) return read_function(config, field, line);
    if (o->kind != CHOICE) {
        float number = 0;
        GRU_TRY(read_number(config, field, line, &number));
        memcpy(place, &number, sizeof number);
        return GRU_OK;
    }
    char expected[64] = "";
    for (int32_t value = 0; value < WORDS && o->words[value]; value++) {
        const size_t used = strlen(expected);
        (void)snprintf(expected + used, sizeof expected - used, "%s%s", value ? ", " : "", o->words[value]);
        if (strcmp(o->words[value], line->text) != 0) continue;
        memcpy(place, &value, sizeof value);
        return GRU_OK;
    }
    return gru_fail(GRU_BAD_DATA, "%s: metadata \"%s\" is \"%s\", expected %s", line->source, line->key,
                    line->text, expected);
}
