/* variant.c: the table of a layer's options and their words. */
#include "variant.h"

#include <cjson/cJSON.h>
#include <errno.h>
#include <float.h>
#include <stddef.h>
#include <string.h>

#include "core/error.h"

enum { WORDS = 3 };

typedef struct option {
    const char *name;
    size_t offset;            /* in gru_stack_layer */
    const char *words[WORDS]; /* by value; none: a number */
} option;

#define CONFIG(member) (offsetof(gru_stack_layer, config) + offsetof(gru_layer_config, member))

static const option options[GRU_VARIANT_FIELDS] = {
    {"reset", CONFIG(reset_mode), {"after", "before", "all"}},
    {"update", CONFIG(update), {"keep", "write"}},
    {"gate", CONFIG(gate), {"sigmoid", "hard_sigmoid"}},
    {"candidate", CONFIG(candidate), {"tanh", "relu", "linear"}},
    {"merge", offsetof(gru_stack_layer, merge), {"concat", "sum", "separate"}},
    {"clip", CONFIG(clip), {NULL}},
    {"hard_slope", CONFIG(hard_slope), {NULL}},
};

const char *gru_variant_field(int field) {
    return options[field].name;
}

/* ---- numbers ---- */

void gru_number_write(double number, char text[GRU_VARIANT_TEXT]) {
    cJSON item = {.type = cJSON_Number};
    (void)cJSON_SetNumberHelper(&item, number);
    (void)cJSON_PrintPreallocated(&item, text, GRU_VARIANT_TEXT,
                                  0); /* a number takes 26 characters at most */
}

gru_status gru_number_read(const gru_metadata *line, float *number) {
    errno = 0;
    cJSON *item = cJSON_ParseWithOpts(line->text, NULL, 1);
    const int full = !item && errno == ENOMEM; /* the reader does not tell it from bad text */
    const int valid = cJSON_IsNumber(item) && item->valuedouble >= 0 && item->valuedouble <= (double)FLT_MAX;
    if (valid) *number = (float)item->valuedouble;
    cJSON_Delete(item);
    if (full) return gru_fail(GRU_OUT_OF_MEMORY, "no memory to read metadata of %s", line->source);
    return valid ? GRU_OK
                 : gru_fail(GRU_BAD_DATA, "%s: metadata \"%s\" is \"%s\", expected a number, 0 or more",
                            line->source, line->key, line->text);
}

/* ---- fields ---- */

static gru_status write_number(const option *o, float number, const char *who, char text[GRU_VARIANT_TEXT]) {
    if (!(number >= 0 && number <= FLT_MAX))
        return gru_fail(GRU_BAD_ARGUMENT, "%s.%s is %g, expected a finite number, 0 or more", who, o->name,
                        (double)number);
    gru_number_write((double)number, text);
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
                        o->words[0], o->words[2] ? 2 : 1);
    strcpy(text, o->words[value]);
    return GRU_OK;
}

gru_status gru_variant_read(gru_stack_layer *layer, int field, const gru_metadata *line) {
    const option *o = &options[field];
    char *place = (char *)layer + o->offset;
    if (!o->words[0]) {
        float number = 0;
        GRU_TRY(gru_number_read(line, &number));
        memcpy(place, &number, sizeof number);
        return GRU_OK;
    }
    for (int32_t value = 0; value < WORDS && o->words[value]; value++) {
        if (strcmp(o->words[value], line->text) != 0) continue;
        memcpy(place, &value, sizeof value);
        return GRU_OK;
    }
    return gru_fail(GRU_BAD_DATA, "%s: metadata \"%s\" is \"%s\", expected %s, %s%s%s", line->source,
                    line->key, line->text, o->words[0], o->words[1], o->words[2] ? ", " : "",
                    o->words[2] ? o->words[2] : "");
}
