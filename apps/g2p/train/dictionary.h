/* dictionary.h: spellings and their sounds, as Debian's festlex-cmu has them, in three parts that never mix. */
#ifndef G2P_DICTIONARY_H
#define G2P_DICTIONARY_H

#include "../text.h"

#define DICTIONARY_PATH "/usr/share/festival/dicts/cmu/cmudict-0.4.out"

typedef struct dictionary {
    word
        *entries; /* [count] by spelling; one with several pronunciations has as many entries, side by side */
    int32_t count;
    uint64_t hash; /* of all entries */
} dictionary;

/* Reads a compiled lexicon of Festival. Capitals become small letters, the schwa "ax" becomes AH0, and a vowel has
 * the stress of its syllable (0 or 1: the file does not tell secondary stress from primary). 0 on failure, after a
 * message FILE:LINE: what was expected. */
int dictionary_read(const char *path, dictionary *d);
void dictionary_free(dictionary *d);

/* One past the last entry that is spelled like entry first. */
int32_t dictionary_next(const dictionary *d, int32_t first);

/* Which part a spelling belongs to: hashed, so it does not depend on what else is in the file, nor on the seed of the
 * training. Of a hundred spellings 93 train, 2 are watched while training goes on, 5 are held out until it is over. */
enum { PART_TRAIN, PART_WATCHED, PART_HELD_OUT };
int dictionary_part(const word *spelling);

#endif
