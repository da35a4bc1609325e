/* dictionary.c: reads Festival's compiled lexicon, ("word" pos (((ph ph) stress) ...)) a line, and trusts none of it. */
#include "dictionary.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "random.h"

static const char header[] = "MNCL"; /* the first line of such a file */
enum { MAX_LINE = 1000, SPLIT_SEED = 2026 };

typedef struct reader {
    const char *path;
    FILE *file;
    int line;
    const char *at; /* what of the line is still to be read */
    char text[MAX_LINE + 2];
} reader;

/* ---- one line ------------------------------------------------------------------------------------------ */

static int refuse(const reader *r, const char *sentence) {
    fprintf(stderr, "%s:%d: %s\n", r->path, r->line, sentence);
    return 0;
}

static int expected(const reader *r, const char *what) {
    char found[24];
    size_t length = 0;
    for (; length + 1 < sizeof found && r->at[length]; length++)
        found[length] = isprint((unsigned char)r->at[length]) ? r->at[length] : '?';
    found[length] = '\0';
    fprintf(stderr, "%s:%d: expected %s, found \"%s\"\n", r->path, r->line, what, found);
    return 0;
}

static int take(reader *r, const char *token) {
    const size_t length = strlen(token);
    if (strncmp(r->at, token, length) != 0) return 0;
    r->at += length;
    return 1;
}

/* The next line without its end; -1 at the end of the file, 0 after a message. */
static int next_line(reader *r) {
    r->line++;
    if (!fgets(r->text, sizeof r->text, r->file)) return ferror(r->file) ? refuse(r, strerror(errno)) : -1;
    const size_t length = strlen(r->text);
    r->at = r->text;
    if (length && r->text[length - 1] == '\n') {
        r->text[length - 1] = '\0';
        return 1;
    }
    if (length == sizeof r->text - 1) return refuse(r, "this line is longer than 1000 bytes");
    return refuse(r, feof(r->file) ? "the file ends inside this line" : "this line holds a zero byte");
}

static int read_spelling(reader *r, word *entry) {
    if (!take(r, "(\"")) return expected(r, "(\"");
    for (; isalpha((unsigned char)*r->at); r->at++) {
        if (entry->length == MAX_LETTERS) return refuse(r, "this word has more than 63 letters");
        entry->letters[entry->length++] = (char)tolower((unsigned char)*r->at);
    }
    if (entry->length == 0) return expected(r, "a letter from a to z");
    return take(r, "\" ") || expected(r, "a letter from a to z, or the quote behind the word");
}

/* A noun and a verb of one spelling are two entries; the name of the part of speech does not matter here. */
static int read_part_of_speech(reader *r) {
    const char *start = r->at;
    while (isalpha((unsigned char)*r->at) || *r->at == '_') r->at++;
    return (r->at > start && take(r, " (")) || expected(r, "a part of speech and \" (\"");
}

/* Festival's name of a sound, with the stress of its syllable, as a phoneme. */
static int32_t find_phoneme(const char *name, size_t length, char stress) {
    char wanted[8];
    if (length == 2 && strncmp(name, "ax", 2) == 0) name = "ah";
    for (size_t i = 0; i < length; i++) wanted[i] = (char)toupper((unsigned char)name[i]);
    wanted[length] = stress, wanted[length + 1] = '\0';
    const int32_t vowel = phoneme_id(wanted);
    wanted[length] = '\0';
    return vowel >= 0 ? vowel : phoneme_id(wanted);
}

/* ((ph ph) stress): the stress stands behind the sounds, so they are looked at twice. */
static int read_syllable(reader *r, word *entry) {
    if (!take(r, "((")) return expected(r, "\"((\" of a syllable");
    const char *name = r->at, *end = name + strspn(name, "abcdefghijklmnopqrstuvwxyz ");
    r->at = end;
    if (!take(r, ") ")) return expected(r, "the name of a sound, or \") \" behind the last");
    const char stress = *r->at;
    if (stress < '0' || stress > '2') return expected(r, "a stress from 0 to 2");
    r->at++;
    if (!take(r, ")")) return expected(r, "\")\" behind the stress");
    while (name < end) {
        const size_t length = strcspn(name, " )");
        const int32_t sound = length >= 1 && length <= 2 ? find_phoneme(name, length, stress) : -1;
        if (sound < 0) return r->at = name, expected(r, "the name of a sound");
        if (entry->sounds == MAX_PHONEMES) return refuse(r, "this word has more than 20 sounds");
        entry->phonemes[entry->sounds++] = (uint8_t)sound;
        name += length + (name[length] == ' ');
    }
    return 1;
}

static int read_entry(reader *r, word *entry) {
    memset(entry, 0, sizeof *entry);
    if (!read_spelling(r, entry) || !read_part_of_speech(r)) return 0;
    do {
        if (!read_syllable(r, entry)) return 0;
    } while (take(r, " "));
    if (!take(r, "))")) return expected(r, "another syllable, or \"))\"");
    if (*r->at) return expected(r, "the end of the line");
    return entry->sounds > 0 || refuse(r, "this word has no sounds");
}

/* ---- all lines ----------------------------------------------------------------------------------------- */

static int compare(const void *a, const void *b) {
    const word *x = a, *y = b;
    const int spelling = strcmp(x->letters, y->letters);
    if (spelling) return spelling;
    return memcmp(x->phonemes, y->phonemes, sizeof x->phonemes); /* what lies behind the sounds is zero */
}

/* Sorted, and without entries that differ in the part of speech alone. */
static void arrange(dictionary *d) {
    int32_t kept = 0;
    qsort(d->entries, (size_t)d->count, sizeof *d->entries, compare);
    for (int32_t i = 0; i < d->count; i++)
        if (kept == 0 || compare(&d->entries[kept - 1], &d->entries[i]) != 0)
            d->entries[kept++] = d->entries[i];
    d->count = kept;
    for (int32_t i = 0; i < kept; i++) {
        const word *entry = &d->entries[i];
        for (int32_t l = 0; l < entry->length; l++)
            d->hash = random_key(d->hash, (uint64_t)entry->letters[l]);
        for (int32_t p = 0; p < entry->sounds; p++) d->hash = random_key(d->hash, entry->phonemes[p]);
    }
}

static int make_room(const reader *r, dictionary *d, int32_t *room) {
    if (d->count < *room) return 1;
    const int32_t more = *room ? 2 * *room : 1024;
    word *grown = more > 1 << 24 ? NULL : realloc(d->entries, (size_t)more * sizeof *grown);
    if (!grown) return refuse(r, "no memory for so many words");
    d->entries = grown;
    *room = more;
    return 1;
}

static int read_lines(reader *r, dictionary *d) {
    int32_t room = 0;
    int found = next_line(r);
    if (found == 0) return 0;
    if (found < 0 || strcmp(r->text, header) != 0)
        return refuse(r, "not a compiled lexicon of Festival: the first line is not MNCL");
    while ((found = next_line(r)) == 1) {
        if (!make_room(r, d, &room) || !read_entry(r, &d->entries[d->count])) return 0;
        d->count++;
    }
    if (found == 0) return 0;
    return d->count > 0 || refuse(r, "the file ends before the first word");
}

int dictionary_read(const char *path, dictionary *d) {
    reader r = {.path = path, .file = fopen(path, "r")};
    memset(d, 0, sizeof *d);
    if (!r.file) {
        fprintf(stderr, "%s: %s (Debian's package festlex-cmu has " DICTIONARY_PATH ")\n", path,
                strerror(errno));
        return 0;
    }
    const int ok = read_lines(&r, d);
    (void)fclose(r.file);
    if (ok)
        arrange(d);
    else
        dictionary_free(d);
    return ok;
}

void dictionary_free(dictionary *d) {
    free(d->entries);
    memset(d, 0, sizeof *d);
}

int32_t dictionary_next(const dictionary *d, int32_t first) {
    int32_t next = first + 1;
    while (next < d->count && strcmp(d->entries[next].letters, d->entries[first].letters) == 0) next++;
    return next;
}

int dictionary_part(const word *spelling) {
    uint64_t hash = SPLIT_SEED;
    for (int32_t l = 0; l < spelling->length; l++) hash = random_key(hash, (uint64_t)spelling->letters[l]);
    const uint64_t percent = hash % 100;
    return percent < 5 ? PART_HELD_OUT : percent < 7 ? PART_WATCHED : PART_TRAIN;
}
