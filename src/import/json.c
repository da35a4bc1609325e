/* json.c: reads the parts of JSON that headers of files consist of: objects, strings and sizes. */
#include "json.h"

#include <string.h>

#include "core/error.h"

size_t gru_json_position(const gru_json *json) {
    return (size_t)(json->at - json->begin);
}

gru_status gru_json_refuse(const gru_json *json) {
    return gru_fail(GRU_BAD_DATA, "%s: the header is not JSON from its byte %zu on", json->source,
                    gru_json_position(json));
}

int gru_json_is_blank(uint8_t c) {
    return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

uint8_t gru_json_next(gru_json *json) {
    while (json->at < json->end && gru_json_is_blank(*json->at)) json->at++;
    return json->at < json->end ? *json->at : 0;
}

int gru_json_take(gru_json *json, uint8_t byte) {
    if (gru_json_next(json) != byte) return 0;
    json->at++;
    return 1;
}

/* ---- strings ---- */

/* Four hexadecimal digits; -1 if they are not there. */
static int32_t read_unit(gru_json *json) {
    int32_t unit = 0;
    if (json->end - json->at < 4) return -1;
    for (int i = 0; i < 4; i++) {
        const uint8_t c = *json->at++;
        const int digit = c >= '0' && c <= '9'   ? c - '0'
                          : c >= 'a' && c <= 'f' ? c - 'a' + 10
                          : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                                 : -1;
        if (digit < 0) return -1;
        unit = unit * 16 + digit;
    }
    return unit;
}

static char *put_utf8(char *to, uint32_t letter) {
    const int more = letter < 0x80 ? 0 : letter < 0x800 ? 1 : letter < 0x10000 ? 2 : 3;
    static const uint8_t first[4] = {0, 0xc0, 0xe0, 0xf0};
    *to++ = (char)(first[more] | letter >> 6 * more);
    for (int i = more - 1; i >= 0; i--) *to++ = (char)(0x80 | (letter >> 6 * i & 0x3f));
    return to;
}

/* What follows \u: one unit, or the two of a surrogate pair. */
static gru_status read_letter(gru_json *json, char **to) {
    const size_t start = gru_json_position(json) - 2;
    int32_t letter = read_unit(json);
    if (letter == 0)
        return gru_fail(GRU_BAD_DATA, "%s: the header has a zero character (\\u0000) at its byte %zu",
                        json->source, start);
    if (letter >= 0xd800 && letter < 0xdc00 && json->end - json->at >= 2 && json->at[0] == '\\' &&
        json->at[1] == 'u') {
        json->at += 2;
        const int32_t low = read_unit(json);
        letter = low >= 0xdc00 && low < 0xe000 ? 0x10000 + ((letter - 0xd800) << 10) + (low - 0xdc00) : -1;
    }
    if (letter < 0 || (letter >= 0xd800 && letter < 0xe000)) return gru_json_refuse(json);
    *to = put_utf8(*to, (uint32_t)letter);
    return GRU_OK;
}

static gru_status read_escape(gru_json *json, char **to) {
    static const char letters[] = "\"\\/bfnrt", meant[] = "\"\\/\b\f\n\r\t";
    const uint8_t c = json->at < json->end ? *json->at++ : 0;
    if (c == 'u') return read_letter(json, to);
    const char *found = c ? strchr(letters, c) : NULL;
    if (!found) return gru_json_refuse(json);
    *(*to)++ = meant[found - letters];
    return GRU_OK;
}

/* No string is longer than its form in JSON, so that all find room. */
gru_status gru_json_string(gru_json *json, const char **string) {
    char *to = json->strings + json->used;
    *string = to;
    if (!gru_json_take(json, '"')) return gru_json_refuse(json);
    while (json->at < json->end && *json->at != '"') {
        const uint8_t c = *json->at++;
        if (c == '\\') {
            GRU_TRY(read_escape(json, &to));
            continue;
        }
        if (c < 0x20)
            return gru_fail(GRU_BAD_DATA, "%s: the header has the control character %d at its byte %zu",
                            json->source, c, gru_json_position(json) - 1);
        *to++ = (char)c;
    }
    *to = '\0';
    return gru_json_take(json, '"') ? GRU_OK : gru_json_refuse(json);
}

uint32_t gru_json_keep(gru_json *json) {
    const uint32_t kept = json->used;
    json->used += (uint32_t)strlen(json->strings + kept) + 1;
    return kept;
}

/* ---- objects and numbers ---- */

gru_status gru_json_object(gru_json *json, gru_json_member visit, void *user) {
    const char *name;
    if (!gru_json_take(json, '{')) return gru_json_refuse(json);
    if (gru_json_take(json, '}')) return GRU_OK;
    do {
        GRU_TRY(gru_json_string(json, &name));
        if (!gru_json_take(json, ':')) return gru_json_refuse(json);
        GRU_TRY(visit(json, name, user));
    } while (gru_json_take(json, ','));
    return gru_json_take(json, '}') ? GRU_OK : gru_json_refuse(json);
}

int gru_json_size(gru_json *json, size_t *size) {
    const uint8_t first = gru_json_next(json);
    if (first < '0' || first > '9') return 0;
    const uint8_t *begin = json->at;
    for (*size = 0; json->at < json->end && *json->at >= '0' && *json->at <= '9'; json->at++) {
        *size = *size * 10 + (size_t)(*json->at - '0');
        if (*size >= GRU_JSON_TOO_LARGE || (first == '0' && json->at > begin)) return 0;
    }
    return json->at == json->end || !strchr(".eE", *json->at);
}
