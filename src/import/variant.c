/* variant.c: the table of a layer's options and their words. */
#include "variant.h"

#include <float.h>
#include <stddef.h>
#include <string.h>

#include "core/error.h"
#include "text.h"

enum { WORDS = 5 };

typedef struct option {
    const char *name;
    size_t offset;            /* in gru_stack_layer */
    const char *words[WORDS]; /* by value; none: a number */
    int above_zero;           /* of a number: 0 would select the default */
} option;

#define CONFIG(member) (offsetof(gru_stack_layer, config) + offsetof(gru_layer_config, member))

static const option options[GRU_VARIANT_FIELDS] = {
    {"reset", CONFIG(reset_mode), {"after", "before", "all"}, 0},
    {"update", CONFIG(update), {"keep", "write"}, 0},
    {"gate", CONFIG(gate), {"sigmoid", "hard_sigmoid"}, 0},
    {"candidate", CONFIG(candidate), {"tanh", "relu", "linear"}, 0},
    {"merge", offsetof(gru_stack_layer, merge), {"concat", "sum", "separate", "average", "multiply"}, 0},
    {"clip", CONFIG(clip), {NULL}, 0},
    {"hard_slope", CONFIG(hard_slope), {NULL}, 1},
};

const char *gru_variant_field(int field) {
    return options[field].name;
}

int gru_variant_is_of_direction(int field) {
    return options[field].offset != offsetof(gru_stack_layer, merge);
}

int gru_variant_find(const char *name) {
    for (int field = 0; field < GRU_VARIANT_FIELDS; field++)
        if (strcmp(name, options[field].name) == 0) return field;
    return -1;
}

/* ---- numbers ---- */

gru_status gru_variant_number(const gru_metadata *line, float *number) {
    double wide;
    if (!gru_number_read(line->text, &wide) || !(wide >= 0 && wide <= (double)FLT_MAX))
        return gru_fail(GRU_BAD_DATA, "%s: metadata \"%s\" is \"%s\", expected a number, 0 or more",
                        line->source, line->key, line->text);
    if (wide > 0 && (float)wide == 0)
        return gru_fail(GRU_BAD_DATA, "%s: metadata \"%s\" is \"%s\", which single precision rounds to 0",
                        line->source, line->key, line->text);
    *number = (float)wide;
    return GRU_OK;
}

static gru_status read_number(const option *o, const gru_metadata *line, float *number) {
    GRU_TRY(gru_variant_number(line, number));
    if (*number > 0 || !o->above_zero) return GRU_OK;
    return gru_fail(GRU_BAD_DATA, "%s: metadata \"%s\" is \"%s\", expected a number above 0", line->source,
                    line->key, line->text);
}

/* ---- fields ---- */

static int word_count(const option *o) {
    int count = 0;
    while (count < WORDS && o->words[count]) count++;
    return count;
}

static gru_status write_number(const option *o, float number, const char *who, char text[GRU_VARIANT_TEXT]) {
    if (!(number >= 0 && number <= FLT_MAX))
        return gru_fail(GRU_BAD_ARGUMENT, "%s.%s is %g, expected a finite number, 0 or more", who, o->name,
                        (double)number);
    gru_number_write(number, text);
    return GRU_OK;
}

gru_status gru_variant_write(const gru_stack_layer *layer, int field, const char *who,
                             char text[GRU_VARIANT_TEXT]) {
    const option *o = &options[field];
    const char *place = (const char *)layer + o->offset;
    int32_t value;
    float number;
    if (!o->words[0]) {
        memcpy(&number, place, sizeof number);
        return write_number(o, number, who, text);
    }
    memcpy(&value, place, sizeof value);
    if (value < 0 || value >= WORDS || !o->words[value])
        return gru_fail(GRU_BAD_ARGUMENT, "%s.%s is %d, expected 0 (%s) to %d", who, o->name, value,
                        o->words[0], word_count(o) - 1);
    strcpy(text, o->words[value]);
    return GRU_OK;
}

gru_status gru_variant_read(gru_stack_layer *layer, int field, const gru_metadata *line) {
    const option *o = &options[field];
    char *place = (char *)layer + o->offset;
    if (!o->words[0]) {
        float number = 0;
        GRU_TRY(read_number(o, line, &number));
        memcpy(place, &number, sizeof number);
        return GRU_OK;
    }
    for (int32_t value = 0; value < WORDS && o->words[value]; value++) {
        if (strcmp(o->words[value], line->text) != 0) continue;
        memcpy(place, &value, sizeof value);
        return GRU_OK;
    }
    char words[GRU_VARIANT_TEXT * WORDS] = "";
    for (int value = 0; value < word_count(o); value++) {
        if (value) strcat(words, ", ");
        strcat(words, o->words[value]);
    }
    return gru_fail(GRU_BAD_DATA, "%s: metadata \"%s\" is \"%s\", expected %s", line->source, line->key,
                    line->text, words);
}
