/* text.h: text as files of tensors hold it: UTF-8, and numbers and strings of JSON, whatever the locale. */
#ifndef GRU_TEXT_H
#define GRU_TEXT_H

#include <stddef.h>
#include <stdint.h>

/* Whether the bytes are UTF-8 (RFC 3629: no surrogates, no overlong forms). *where: index of the first wrong one. */
int gru_utf8_valid(const uint8_t *bytes, size_t count, size_t *where);

/* The shortest text that reads back the same float, which is finite. */
enum { GRU_NUMBER_TEXT = 32 };
void gru_number_write(float number, char text[GRU_NUMBER_TEXT]);

/* Reads a text that is one number of JSON and nothing else. Returns 0 if it is not. Too large: infinity. */
int gru_number_read(const char *text, double *number);

/* Text that grows at its end. to NULL: only the length is counted, for a first pass that asks for the room. */
typedef struct gru_text {
    char *to;
    size_t length;
} gru_text;

void gru_text_add(gru_text *text, const char *more);
/* The string first followed by second, in quotes, with escapes where JSON needs them. */
void gru_text_add_string(gru_text *text, const char *first, const char *second);
void gru_text_add_size(gru_text *text, size_t size);

#endif
