/* json.h: steps through the text of a header, whose form the caller knows. */
#ifndef GRU_JSON_H
#define GRU_JSON_H

#include <stddef.h>

#include "gru/gru.h"

/* Sizes are below: many readers of JSON are not exact from here on. */
#define GRU_JSON_TOO_LARGE ((size_t)1 << 53)

/* A place in a text that is UTF-8. */
typedef struct gru_json {
    const char *source;              /* the file, for sentences */
    const uint8_t *begin, *at, *end; /* the text, the next byte, past the last */
    char *strings;                   /* as many bytes as the text: room for all its strings */
    uint32_t used;                   /* bytes of them that are kept */
} gru_json;

int gru_json_is_blank(uint8_t c);
/* Bytes before the next one. */
size_t gru_json_position(const gru_json *json);
/* GRU_BAD_DATA: this is not JSON from here on. */
gru_status gru_json_refuse(const gru_json *json);
/* The next byte that is not blank, 0 at the end. */
uint8_t gru_json_next(gru_json *json);
/* Steps over the byte if it is the next that is not blank. */
int gru_json_take(gru_json *json, uint8_t byte);

/* Reads a string to behind the kept ones. The next call overwrites it, unless it was kept. */
gru_status gru_json_string(gru_json *json, const char **string);
/* Keeps the string just read. Returns where it lies in strings. */
uint32_t gru_json_keep(gru_json *json);
/* Reads an integer from 0 to below 2^53, without fraction and exponent. 0: there is none. */
int gru_json_size(gru_json *json, size_t *size);

/* Reads an object: calls visit at the value of each member, which it has to step over. name is not kept yet. */
typedef gru_status (*gru_json_member)(gru_json *json, const char *name, void *user);
gru_status gru_json_object(gru_json *json, gru_json_member visit, void *user);

#endif
