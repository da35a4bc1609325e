/* check_text.c: what counts as a word in hand-made text, and that no bytes lead out of bounds. */
#include <stdlib.h>
#include <string.h>

#include "text.h"

static const struct example {
    const char *name, *text,
        *words; /* words: what is found, a space behind each, "|" for the end of a line */
} examples[] = {
    {"nothing", "", ""},
    {"plain", "one two", "one two "},
    {"punctuation", "Hello, world! (42)", "hello world "},
    {"lines", "one\n\ntwo\n", "one ||two |"},
    {"apostrophes", "don't rock'n'roll 'tis dogs' a''b", "dont rocknroll tis dogs a b "},
    {"curved apostrophes", "don\xE2\x80\x99t \xE2\x80\x9Cquoted\xE2\x80\x9D", "dont quoted "},
    {"accents",
     "Caf\xC3\xA9 NA\xC3\x8FVE \xC3\x9F \xC3\x97 a\xC3\x97"
     "b",
     "cafe naive a b "},
    {"other letters", "\xCE\xB1\xCE\xB2 na\xC4\x81\xE6\xBC\xA2x", "na x "},
    {"broken UTF-8",
     "a\xC3"
     "b\xE2"
     "c\xE2\x80"
     "d\xFF"
     "e\xE2\xC3\xA9\xC3",
     "a b c d e e "},
    {"63 letters and more", "aaaaaaaaaabbbbbbbbbbccccccccccddddddddddeeeeeeeeeeffffffffffggghhh",
     "aaaaaaaaaabbbbbbbbbbccccccccccddddddddddeeeeeeeeeeffffffffffggg hhh "},
};

/* The words as in struct example; found holds any text of these lengths. */
static void list_words(text *from, char *found) {
    word next;
    int read;
    *found = '\0';
    while ((read = text_next(from, &next)) != TEXT_END) {
        strcat(found, read == TEXT_WORD ? next.letters : "|");
        if (read == TEXT_WORD) strcat(found, " ");
    }
}

static int check_examples(void) {
    int wrong = 0;
    for (size_t i = 0; i < sizeof examples / sizeof *examples; i++) {
        char copy[128], found[256];
        char *const arguments[] = {copy, NULL};
        text from = {.arguments = arguments};
        (void)snprintf(copy, sizeof copy, "%s", examples[i].text);
        list_words(&from, found);
        if (strcmp(found, examples[i].words) == 0) continue;
        fprintf(stderr, "%s: found \"%s\", expected \"%s\"\n", examples[i].name, found, examples[i].words);
        wrong++;
    }
    return wrong;
}

/* Every three bytes, from a file: the reader ends, and no word is empty or holds anything but letters. */
static int check_bytes(void) {
    static const unsigned char bytes[] = {0, '\n', ' ', '\'', 'a', 'Z', 0x80, 0x99, 0xBF, 0xC3, 0xE2, 0xFF};
    enum { COUNT = sizeof bytes };
    int wrong = 0;
    for (int i = 0; i < COUNT * COUNT * COUNT; i++) {
        unsigned char data[3] = {bytes[i % COUNT], bytes[i / COUNT % COUNT], bytes[i / COUNT / COUNT]};
        text from = {.file = fmemopen(data, sizeof data, "r")};
        word next;
        int read;
        if (!from.file) return 1;
        while ((read = text_next(&from, &next)) != TEXT_END)
            if (read == TEXT_WORD && (next.length < 1 || strspn(next.letters, "abcdefghijklmnopqrstuvwxyz") !=
                                                             (size_t)next.length))
                wrong++;
        (void)fclose(from.file);
    }
    if (wrong) fprintf(stderr, "%d words of three bytes are no words\n", wrong);
    return wrong;
}

int main(void) {
    const int wrong = check_examples() + check_bytes();
    if (strcmp(phoneme_name(4), "AA0") != 0 || strcmp(phoneme_name(PHONEMES - 1), "ZH") != 0)
        return fprintf(stderr, "the phonemes do not run from AA0 to ZH\n"), 1;
    return wrong ? 1 : 0;
}
