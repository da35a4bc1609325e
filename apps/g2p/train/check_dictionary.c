/* check_dictionary.c: what a dictionary's lines mean, and that every kind of wrong line is refused by its number and a sentence
 * of its own. */
#define _POSIX_C_SOURCE 200809L /* mkstemp */
#include <stdlib.h>
#include <string.h>

#include "check_messages.h"
#include "dictionary.h"

#define GOOD "(\"read\" v (((r iy d) 1)))\n"

static const struct bad_file {
    const char *text, *sentence; /* behind PATH: */
} bad_files[] = {
    {"", "1: not a compiled lexicon of Festival: the first line is not MNCL"},
    {"mncl\n" GOOD, "1: not a compiled lexicon of Festival: the first line is not MNCL"},
    {"<html>\n", "1: not a compiled lexicon of Festival: the first line is not MNCL"},
    {"MNCL", "1: the file ends inside this line"},
    {"MNCL\n", "2: the file ends before the first word"},
    {"MNCL\n\n", "2: expected (\", found \"\""},
    {"MNCL\nREAD  R IY1 D\n", "2: expected (\", found \"READ  R IY1 D\""},
    {"MNCL\n" GOOD "(read v (((r iy d) 1)))\n", "3: expected (\", found \"(read v (((r iy d) 1)))\""},
    {"MNCL\n(\"\" v (((r iy d) 1)))\n", "2: expected a letter from a to z, found"},
    {"MNCL\n(\"re4d\" v (((r iy d) 1)))\n",
     "2: expected a letter from a to z, or the quote behind the word, found \"4d"},
    {"MNCL\n(\"r\xC3\xA9\" v (((r iy d) 1)))\n",
     "2: expected a letter from a to z, or the quote behind the word, found \"??\" v"},
    {"MNCL\n(\"read\" (((r iy d) 1)))\n", "2: expected a part of speech and \" (\", found"},
    {"MNCL\n(\"read\" v ())\n", "2: expected \"((\" of a syllable, found \"))\""},
    {"MNCL\n(\"read\" v (((r 1y d) 1)))\n",
     "2: expected the name of a sound, or \") \" behind the last, found \"1y"},
    {"MNCL\n(\"read\" v (((r qq d) 1)))\n", "2: expected the name of a sound, found \"qq d"},
    {"MNCL\n(\"read\" v (((r  d) 1)))\n", "2: expected the name of a sound, found \" d"},
    {"MNCL\n(\"read\" v (((r iyiyiyiyiyiy d) 1)))\n", "2: expected the name of a sound, found \"iyiy"},
    {"MNCL\n(\"read\" v (((r iy d) 3)))\n", "2: expected a stress from 0 to 2, found \"3"},
    {"MNCL\n(\"read\" v (((r iy d) 11)))\n", "2: expected \")\" behind the stress, found \"1)"},
    {"MNCL\n(\"read\" v (((r iy d) 1)\n", "2: expected another syllable, or \"))\", found \"\""},
    {"MNCL\n(\"read\" v (((r iy d) 1))))\n", "2: expected the end of the line, found \")\""},
    {"MNCL\n(\"read\" v (((r iy d) 1)))\r\n", "2: expected the end of the line, found \"?\""},
    {"MNCL\n(\"read\" v (((r iy d) 1))) ", "2: the file ends inside this line"},
    {"MNCL\n(\"read\" v ((() 1)))\n", "2: this word has no sounds"},
    {"MNCL\n(\"read\" v (((b b b b b b b b b b b b b b b b b b b b b) 0)))\n",
     "2: this word has more than 20 sounds"},
    {"MNCL\n(\"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\" v (((b) 0)))\n",
     "2: this word has more than 63 letters"},
};

static char path[] = "/tmp/g2p-dictionary-XXXXXX";

static int put(const char *bytes, size_t count) {
    FILE *file = fopen(path, "wb");
    const int ok = file && fwrite(bytes, 1, count, file) == count;
    return file && fclose(file) == 0 && ok;
}

/* Reads a file of these bytes; 1 when it was refused with this sentence. */
static int is_refused(messages *caught, const char *bytes, size_t count, const char *sentence) {
    char said[2048], wanted[512];
    dictionary d = {NULL, 0, 0};
    const int ok = put(bytes, count) && dictionary_read(path, &d);
    const int lines = messages_read(caught, said, sizeof said);
    (void)snprintf(wanted, sizeof wanted, "%s:%s", path, sentence);
    const int right = !ok && lines == 1 && !d.entries && strncmp(said, wanted, strlen(wanted)) == 0;
    if (!right) printf("expected %s, got %s\n", wanted, said);
    dictionary_free(&d);
    return right;
}

static int check_bad_files(messages *caught) {
    static char zero[] = "MNCL\n(\"re\0d\" v (((r iy d) 1)))\n";
    static char line[4000] = "MNCL\n";
    int right = 1;
    for (size_t i = 0; i < sizeof bad_files / sizeof *bad_files; i++)
        right =
            is_refused(caught, bad_files[i].text, strlen(bad_files[i].text), bad_files[i].sentence) && right;
    right = is_refused(caught, zero, sizeof zero - 1, "2: this line holds a zero byte") && right;
    memset(line + 5, 'a', sizeof line - 5);
    return is_refused(caught, line, sizeof line, "2: this line is longer than 1000 bytes") && right;
}

/* Cut anywhere, a file is refused, unless whole lines are left. */
static int check_cuts(messages *caught) {
    static const char whole[] = "MNCL\n" GOOD "(\"reader\" n (((r iy) 1) ((d er) 0)))\n";
    int right = 1;
    for (size_t count = 0; count < sizeof whole; count++) {
        char said[2048];
        dictionary d;
        if (!put(whole, count)) return 0;
        const int ok = dictionary_read(path, &d), lines = messages_read(caught, said, sizeof said);
        const int whole_lines = count > sizeof "MNCL" && whole[count - 1] == '\n';
        if (ok != whole_lines || lines != !ok) right = (printf("cut at %zu: %s\n", count, said), 0);
        dictionary_free(&d);
    }
    return right;
}

static int has(const word *entry, const char *letters, const char *sounds) {
    char found[256] = "";
    for (int32_t p = 0; p < entry->sounds; p++) {
        strcat(found, p ? " " : "");
        strcat(found, phoneme_name(entry->phonemes[p]));
    }
    if (strcmp(entry->letters, letters) == 0 && strcmp(found, sounds) == 0) return 1;
    printf("found %s %s, expected %s %s\n", entry->letters, found, letters, sounds);
    return 0;
}

/* Order, capitals, the schwa, stress, and entries that differ in the part of speech alone. */
static int check_meaning(messages *caught) {
    static const char good[] = "MNCL\n"
                               "(\"Zoo\" nil (((z uw) 1)))\n"
                               "(\"record\" v (((r ax) 0) ((k ao r d) 1)))\n"
                               "(\"record\" n (((r eh) 1) ((k er d) 0)))\n"
                               "(\"record\" j (((r eh) 1) ((k er d) 0)))\n"
                               "(\"a\" dt (((ax) 0)))\n";
    char said[2048];
    dictionary d;
    if (!put(good, sizeof good - 1) || !dictionary_read(path, &d))
        return printf("%s\n", (messages_read(caught, said, sizeof said), said)), 0;
    const int right = d.count == 4 && has(&d.entries[0], "a", "AH0") &&
                      has(&d.entries[1], "record", "R AH0 K AO1 R D") &&
                      has(&d.entries[2], "record", "R EH1 K ER0 D") && has(&d.entries[3], "zoo", "Z UW1") &&
                      dictionary_next(&d, 1) == 3 && dictionary_next(&d, 3) == 4;
    dictionary_free(&d);
    return right;
}

int main(void) {
    messages caught;
    const int descriptor = mkstemp(path);
    if (descriptor < 0 || close(descriptor) != 0 || !messages_catch(&caught)) return 1;
    const int meaning = check_meaning(&caught), cuts = check_cuts(&caught), bad = check_bad_files(&caught);
    messages_release(&caught);
    (void)remove(path);
    return meaning && cuts && bad ? 0 : 1;
}
