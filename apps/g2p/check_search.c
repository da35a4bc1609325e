/* check_search.c: a search of width one gives the greedy answer, and an answer does not depend on the other words of the call. */
#include <stdlib.h>
#include <string.h>

#include "g2p_model.h"

static const char sentence[] =
    "the quick brown fox jumps over a lazy dog while seventeen onomatopoeic chrysanthemums philosophise "
    "about antidisestablishmentarianism in yacht rhythm though nobody knows why x";
enum { WORDS = 20, BEAM = 5 };

static int same(const word *a, const word *b, const char *what) {
    if (a->sounds == b->sounds && memcmp(a->phonemes, b->phonemes, (size_t)a->sounds) == 0) return 1;
    printf("%s: %s differs\n", a->letters, what);
    return 0;
}

static int read_words(word *words, word **pointers) {
    char copy[sizeof sentence];
    char *const arguments[] = {memcpy(copy, sentence, sizeof sentence), NULL};
    text from = {.arguments = arguments};
    int count = 0;
    while (count < WORDS && text_next(&from, &words[count]) == TEXT_WORD)
        pointers[count] = &words[count], count++;
    return count == WORDS;
}

int main(int count, char **arguments) {
    const model_options options = {
        .path = count == 2 ? arguments[1] : "", .threads = 1, .batch = WORDS * BEAM};
    static word greedy[WORDS], one[WORDS], five[WORDS], alone[WORDS];
    word *pointers[WORDS];
    model *m = model_open(&options);
    int right = m && read_words(greedy, pointers) && model_pronounce(m, pointers, WORDS);
    right = right && read_words(one, pointers) && model_search(m, pointers, WORDS, 1);
    right = right && read_words(five, pointers) && model_search(m, pointers, WORDS, BEAM);
    right = right && read_words(alone, pointers);
    int others = 0; /* words that the search says otherwise: else it might be greedy in disguise */
    for (int i = 0; right && i < WORDS; i++) {
        right = model_search(m, &pointers[i], 1, BEAM) &&
                same(&one[i], &greedy[i], "a search with one beginning") &&
                same(&alone[i], &five[i], "a search for it alone");
        others += five[i].sounds != greedy[i].sounds ||
                  memcmp(five[i].phonemes, greedy[i].phonemes, (size_t)five[i].sounds) != 0;
    }
    model_close(m);
    printf("%d of %d words are said otherwise after a search\n", others, WORDS);
    return right && others > 0 ? 0 : 1;
}
