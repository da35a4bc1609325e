/* score.h: how often the answers of a model are wrong, on one part of the dictionary. */
#ifndef G2P_SCORE_H
#define G2P_SCORE_H

#include "dictionary.h"
#include "../g2p_model.h"

enum { WITHOUT_STRESS, WITH_STRESS, KINDS };

/* An answer is compared with all pronunciations that the dictionary has for the spelling. The word is right if it is one of
 * them; its wrong phonemes are the insertions, deletions and substitutions that lead to the nearest, whose length counts
 * (of equally near ones the shorter). With stress, secondary stress counts as primary: the dictionary has but one. */
typedef struct score {
    int32_t words, wrong_words[KINDS];
    int64_t phonemes[KINDS], wrong_phonemes[KINDS];
} score;

/* Adds one answer; entries: [count] the pronunciations of its spelling. */
void score_word(score *s, const word *answer, const word *entries, int32_t count);

/* Asks the model for every spelling of the part; beam as in model.h; batch: that of the model. 0 on failure, after a
 * message on stderr. */
int score_part(score *s, const dictionary *d, int part, model *m, int32_t batch, int32_t beam);

/* Percent. */
double score_phonemes(const score *s, int kind);
double score_words(const score *s, int kind);

#endif
