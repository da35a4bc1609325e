/* text.c: checks UTF-8, and converts numbers and strings to and from their form in JSON. */
#define _POSIX_C_SOURCE 200809L /* newlocale */
#include "text.h"

#include <locale.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- UTF-8 ---- */

/* Bytes of the character at the start, 0 if it is none. */
static size_t utf8_length(const uint8_t *c, size_t count) {
    const size_t length = c[0] < 0x80   ? 1
                          : c[0] < 0xc2 ? 0
                          : c[0] < 0xe0 ? 2
                          : c[0] < 0xf0 ? 3
                          : c[0] < 0xf5 ? 4
                                        : 0;
    if (length > count) return 0;
    for (size_t i = 1; i < length; i++)
        if ((c[i] & 0xc0) != 0x80) return 0;
    if (c[0] == 0xe0 && c[1] < 0xa0) return 0; /* overlong */
    if (c[0] == 0xed && c[1] > 0x9f) return 0; /* surrogate */
    if (c[0] == 0xf0 && c[1] < 0x90) return 0; /* overlong */
    if (c[0] == 0xf4 && c[1] > 0x8f) return 0; /* above U+10FFFF */
    return length;
}

int gru_utf8_valid(const uint8_t *bytes, size_t count, size_t *where) {
    for (size_t i = 0, length; i < count; i += length) {
        length = utf8_length(bytes + i, count - i);
        if (length == 0) {
            *where = i;
            return 0;
        }
    }
    return 1;
}

/* ---- numbers ---- */

/* Other locales write 0,5. The C locale is a constant of the library: it takes no memory and need not be freed. */
static locale_t use_c_locale(void) {
    return uselocale(newlocale(LC_ALL_MASK, "C", (locale_t)0));
}

void gru_number_write(float number, char text[GRU_NUMBER_TEXT]) {
    const locale_t before = use_c_locale();
    for (int digits = 6; digits <= 9; digits++) { /* 9 are enough for any float */
        (void)snprintf(text, GRU_NUMBER_TEXT, "%.*g", digits, (double)number);
        if ((float)strtod(text, NULL) == number) break;
    }
    (void)uselocale(before);
}

static const char *skip_digits(const char *c) {
    while (*c >= '0' && *c <= '9') c++;
    return c;
}

/* The end of the number at the start, NULL if there is none: -?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)? */
static const char *number_end(const char *c) {
    if (*c == '-') c++;
    const char *digits = c;
    c = skip_digits(c);
    if (c == digits || (*digits == '0' && c > digits + 1)) return NULL;
    if (*c == '.') {
        digits = ++c;
        if ((c = skip_digits(c)) == digits) return NULL;
    }
    if (*c == 'e' || *c == 'E') {
        c += c[1] == '+' || c[1] == '-' ? 2 : 1;
        digits = c;
        if ((c = skip_digits(c)) == digits) return NULL;
    }
    return c;
}

int gru_number_read(const char *text, double *number) {
    const char *end = number_end(text);
    if (!end || *end != '\0') return 0;
    const locale_t before = use_c_locale();
    *number = strtod(text, NULL);
    (void)uselocale(before);
    return 1;
}

/* ---- text that grows ---- */

static void add_bytes(gru_text *text, const char *bytes, size_t count) {
    if (text->to) memcpy(text->to + text->length, bytes, count);
    text->length += count;
}

void gru_text_add(gru_text *text, const char *more) {
    add_bytes(text, more, strlen(more));
}

/* What stands behind a backslash, or 0. */
static char letter_of(char c) {
    static const char named[] = "\"\\\b\f\n\r\t", letters[] = "\"\\bfnrt";
    const char *found = strchr(named, c);
    return found ? letters[found - named] : '\0';
}

static void add_escaped(gru_text *text, const char *string) {
    while (*string) {
        size_t plain = 0;
        while ((uint8_t)string[plain] >= 0x20 && string[plain] != '"' && string[plain] != '\\') plain++;
        add_bytes(text, string, plain);
        string += plain;
        if (!*string) return;
        const char letter = letter_of(*string);
        char escape[8];
        (void)snprintf(escape, sizeof escape, letter ? "\\%c" : "\\u%04x", letter ? letter : *string);
        gru_text_add(text, escape);
        string++;
    }
}

void gru_text_add_string(gru_text *text, const char *first, const char *second) {
    gru_text_add(text, "\"");
    add_escaped(text, first);
    add_escaped(text, second);
    gru_text_add(text, "\"");
}

void gru_text_add_size(gru_text *text, size_t size) {
    char digits[24];
    (void)snprintf(digits, sizeof digits, "%zu", size);
    gru_text_add(text, digits);
}
