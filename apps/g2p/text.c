/* text.c: finds words in UTF-8 and tells letters from everything else. */
#include "text.h"

#include <string.h>

enum { KEPT_BYTE, KEPT_SYMBOL };

static int next_byte(text *from) {
    if (from->kept[KEPT_BYTE]) {
        const int byte = from->kept[KEPT_BYTE] - 1;
        from->kept[KEPT_BYTE] = 0;
        return byte;
    }
    if (!from->arguments) return getc(from->file);
    if (!*from->arguments) return EOF;
    const int byte = (unsigned char)(*from->arguments)[from->position++];
    if (byte) return byte;
    from->arguments++;
    from->position = 0;
    return ' ';
}

/* The byte if it is the one expected; else it stays to be read, and the answer is 0. */
static int follows(text *from, int expected) {
    const int byte = next_byte(from);
    if (byte == expected) return 1;
    if (byte != EOF) from->kept[KEPT_BYTE] = byte + 1;
    return 0;
}

/* U+00C0 to U+00FF without their accents, where Unicode has a decomposition. */
static int without_accent(text *from) {
    static const char base[] = "aaaaaa ceeeeiiii nooooo  uuuuy  "
                               "aaaaaa ceeeeiiii nooooo  uuuuy y";
    const int byte = next_byte(from);
    if (byte >= 0x80 && byte <= 0xBF) return base[byte - 0x80];
    if (byte != EOF) from->kept[KEPT_BYTE] = byte + 1;
    return ' ';
}

/* A letter a to z, an apostrophe, the end of a line or of the text; a space stands for everything else. */
static int next_symbol(text *from) {
    if (from->kept[KEPT_SYMBOL]) {
        const int symbol = from->kept[KEPT_SYMBOL] - 1;
        from->kept[KEPT_SYMBOL] = 0;
        return symbol;
    }
    const int byte = next_byte(from);
    if (byte >= 'A' && byte <= 'Z') return byte - 'A' + 'a';
    if ((byte >= 'a' && byte <= 'z') || byte == '\'' || byte == '\n' || byte == EOF) return byte;
    if (byte == 0xC3) return without_accent(from);
    if (byte == 0xE2 && follows(from, 0x80) && follows(from, 0x99)) return '\''; /* U+2019 */
    return ' ';
}

static int is_letter(int symbol) {
    return symbol >= 'a' && symbol <= 'z';
}

int text_next(text *from, word *next) {
    int symbol = next_symbol(from);
    while (symbol != EOF && symbol != '\n' && !is_letter(symbol)) symbol = next_symbol(from);
    if (symbol == EOF) return TEXT_END;
    if (symbol == '\n') return TEXT_LINE;
    next->length = next->sounds = 0;
    while (is_letter(symbol) && next->length < MAX_LETTERS) {
        next->letters[next->length++] = (char)symbol;
        symbol = next_symbol(from);
        if (symbol == '\'') symbol = next_symbol(from);
    }
    next->letters[next->length] = '\0';
    if (symbol != EOF) from->kept[KEPT_SYMBOL] = symbol + 1;
    return TEXT_WORD;
}

const char *phoneme_name(int32_t id) {
    static const char names[PHONEMES][6] = {
        "<pad>", "<unk>", "<s>", "</s>", "AA0", "AA1", "AA2", "AE0", "AE1", "AE2", "AH0", "AH1", "AH2",
        "AO0",   "AO1",   "AO2", "AW0",  "AW1", "AW2", "AY0", "AY1", "AY2", "B",   "CH",  "D",   "DH",
        "EH0",   "EH1",   "EH2", "ER0",  "ER1", "ER2", "EY0", "EY1", "EY2", "F",   "G",   "HH",  "IH0",
        "IH1",   "IH2",   "IY0", "IY1",  "IY2", "JH",  "K",   "L",   "M",   "N",   "NG",  "OW0", "OW1",
        "OW2",   "OY0",   "OY1", "OY2",  "P",   "R",   "S",   "SH",  "T",   "TH",  "UH0", "UH1", "UH2",
        "UW",    "UW0",   "UW1", "UW2",  "V",   "W",   "Y",   "Z",   "ZH",
    };
    return names[id];
}

int32_t phoneme_id(const char *name) {
    for (int32_t id = 0; id < PHONEMES; id++)
        if (strcmp(phoneme_name(id), name) == 0) return id;
    return -1;
}
