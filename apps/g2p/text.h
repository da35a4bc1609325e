/* text.h: words out of text, and the names of their sounds. */
#ifndef G2P_TEXT_H
#define G2P_TEXT_H

#include <stdint.h>
#include <stdio.h>

/* The model's alphabets, as the package g2p-en 2.1.0 numbers them. */
enum {
    GRAPHEMES = 29, /* <pad> <unk> </s> a ... z */
    GRAPHEME_END = 2,
    GRAPHEME_A = 3,
    PHONEMES = 74, /* <pad> <unk> <s> </s> AA0 ... ZH, the ARPAbet of the CMU dictionary */
    PHONEME_START = 2,
    PHONEME_END = 3
};

enum { MAX_LETTERS = 63, MAX_PHONEMES = 20 /* the package stops there too */ };

typedef struct word {
    int32_t length, sounds;
    char letters[MAX_LETTERS + 1];  /* a ... z, ends with 0 */
    uint8_t phonemes[MAX_PHONEMES]; /* [sounds] */
} word;

/* Where text comes from: the strings of arguments (ends with NULL), one after the other, or, when that is
 * NULL, file. The rest starts as zero. */
typedef struct text {
    char *const *arguments;
    FILE *file;
    size_t position; /* in the current argument */
    int kept[2];     /* what was read too early, plus one: a byte, a letter; 0: nothing */
} text;

enum { TEXT_END = 0, TEXT_WORD = 1, TEXT_LINE = 2 /* a line ended before the next word began */ };

/* Reads on to the next word. UTF-8: letters lose case and accents (up to U+00FF), an apostrophe between
 * letters is passed over ("don't" is read as dont), all other bytes separate words. More than MAX_LETTERS
 * letters in a row are read as several words. */
int text_next(text *from, word *next);

/* "AA0" ...; id 0 to PHONEMES - 1. Static. And back: -1 for what is no phoneme's name. */
const char *phoneme_name(int32_t id);
int32_t phoneme_id(const char *name);

#endif
