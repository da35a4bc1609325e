/* g2p_evaluate.c: how often models are wrong about the words that were held out of training, as a table. */
#include <errno.h>
#include <getopt.h>
#include <stdlib.h>
#include <string.h>

#include "score.h"

static const char usage[] =
    "usage: g2p_evaluate [OPTION]... MODEL...\n"
    "Prints, as a table in Markdown, how many phonemes and words of the dictionary's held-out part each "
    "model gets wrong.\n"
    "  --dictionary PATH   (default: " DICTIONARY_PATH ")\n"
    "  --watched           the words that were watched while training, instead of those held out\n"
    "  --beam N            beam search with 1 to 16 beginnings (default: 1, the best sound at each step)\n"
    "  --engine NAME       run on this engine; cpu, cuda: the best of that backend\n"
    "  --threads N         (default: 0, all processors)\n"
    "  --help              this text\n";

enum { BATCH = 320 };

typedef struct options {
    const char *dictionary;
    model_options model;
    int32_t beam;
    int part;
} options;

static int number(const char *option, int32_t least, int32_t most, int32_t *place) {
    char *end;
    errno = 0;
    const long parsed = strtol(optarg, &end, 10);
    if (errno == 0 && end != optarg && *end == '\0' && parsed >= least && parsed <= most) {
        *place = (int32_t)parsed;
        return 1;
    }
    fprintf(stderr, "g2p_evaluate: --%s is \"%s\", expected a number from %d to %d\n", option, optarg, least,
            most);
    return 0;
}

static int parse(int count, char **arguments, options *o) {
    static const struct option known[] = {
        {"dictionary", required_argument, NULL, 'd'},
        {"watched", no_argument, NULL, 'w'},
        {"beam", required_argument, NULL, 'b'},
        {"engine", required_argument, NULL, 'e'},
        {"threads", required_argument, NULL, 't'},
        {"help", no_argument, NULL, 'h'},
        {NULL, 0, NULL, 0},
    };
    int key;
    while ((key = getopt_long(count, arguments, "", known, NULL)) != -1) {
        if (key == 'b' && !number("beam", 1, MAX_BEAM, &o->beam)) return 2;
        if (key == 't' && !number("threads", 0, 1024, &o->model.threads)) return 2;
        if (key == 'd') o->dictionary = optarg;
        if (key == 'e') o->model.engine = optarg;
        if (key == 'w') o->part = PART_WATCHED;
        if (key == 'h') return fputs(usage, stdout) < 0;
        if (key == '?') return fputs(usage, stderr), 2;
    }
    if (optind < count) return -1;
    fputs(usage, stderr);
    return 2;
}

static int evaluate(const options *o, const dictionary *d, const char *path) {
    model_options with = o->model;
    score s;
    with.path = path;
    model *m = model_open(&with);
    const int ok = m && score_part(&s, d, o->part, m, BATCH, o->beam);
    model_close(m);
    if (!ok) return 0;
    printf("| %s | %d | %d | %.2f | %.2f | %.2f | %.2f |\n", path, o->beam, s.words,
           score_phonemes(&s, WITHOUT_STRESS), score_words(&s, WITHOUT_STRESS),
           score_phonemes(&s, WITH_STRESS), score_words(&s, WITH_STRESS));
    return fflush(stdout) == 0;
}

int main(int count, char **arguments) {
    options o = {.dictionary = DICTIONARY_PATH, .model = {.batch = BATCH}, .beam = 1, .part = PART_HELD_OUT};
    dictionary d;
    const int status = parse(count, arguments, &o);
    if (status >= 0) return status;
    if (!dictionary_read(o.dictionary, &d)) return 1;
    printf("| model | beam | words | phonemes wrong, %% | words wrong, %% | phonemes, with stress | words, "
           "with stress |\n"
           "|---|--:|--:|--:|--:|--:|--:|\n");
    int ok = 1;
    for (int i = optind; ok && i < count; i++) ok = evaluate(&o, &d, arguments[i]);
    dictionary_free(&d);
    return ok ? 0 : 1;
}
