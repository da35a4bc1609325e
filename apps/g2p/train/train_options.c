/* train_options.c: the command line of g2p_train, with the limits of each number. */
#include "train_options.h"

#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

static const char usage[] =
    "usage: g2p_train [OPTION]...\n"
    "Trains a network that tells how words are pronounced, on the dictionary of Debian's festlex-cmu. The "
    "same command\n"
    "goes on from the last checkpoint. What comes out depends on the options marked with *, and on nothing "
    "else.\n"
    "  --folder PATH       where checkpoint, model and picture go; it must exist (default: .)\n"
    "  --dictionary PATH   * (default: " DICTIONARY_PATH ")\n"
    "  --words N           * train on N entries of the dictionary's training part (default: 0, all)\n"
    "  --epochs N          * how often each is seen (default: 24)\n"
    "  --batch N           * words in a step (default: 64)\n"
    "  --embedding N       * numbers for a letter or sound, a multiple of 16 (default: 64)\n"
    "  --hidden N          * units of the encoder in each direction, a multiple of 16; the decoder has twice "
    "as many\n"
    "                      (default: 256)\n"
    "  --rate X            * of learning, at its highest (default: 0.0015)\n"
    "  --clip X            * gradients longer than X are shortened to it (default: 1)\n"
    "  --dropout X         * (default: 0.25)\n"
    "  --seed N            * (default: 1)\n"
    "  --engine NAME       * run on this engine; cpu, cuda: the best of that backend. CPU engines give the "
    "same bits\n"
    "  --threads N         (default: 0, all processors)\n"
    "  --save-seconds N    between checkpoints; there is one behind each epoch too (default: 30)\n"
    "  --help              this text\n";

static int whole(const char *option, long least, long most, int32_t *place) {
    char *end;
    errno = 0;
    const long parsed = strtol(optarg, &end, 10);
    if (errno == 0 && end != optarg && *end == '\0' && parsed >= least && parsed <= most) {
        *place = (int32_t)parsed;
        return 1;
    }
    fprintf(stderr, "g2p_train: --%s is \"%s\", expected a number from %ld to %ld\n", option, optarg, least,
            most);
    return 0;
}

static int of_16(const char *option, long most, int32_t *place) {
    if (!whole(option, 16, most, place)) return 0;
    if (*place % 16 == 0) return 1;
    fprintf(stderr, "g2p_train: --%s is %d, expected a multiple of 16\n", option, *place);
    return 0;
}

/* From least on, below the limit. */
static int real(const char *option, double least, double limit, double *place) {
    char *end;
    const double parsed = strtod(optarg, &end);
    if (end != optarg && *end == '\0' && parsed >= least && parsed < limit) {
        *place = parsed;
        return 1;
    }
    fprintf(stderr, "g2p_train: --%s is \"%s\", expected a number from %g to below %g\n", option, optarg,
            least, limit);
    return 0;
}

static int take(const char *name, int key, train_options *o) {
    double value = 0;
    int32_t seed = 0;
    switch (key) {
    case 'f':
        o->folder = optarg;
        return 1;
    case 'd':
        o->dictionary = optarg;
        return 1;
    case 'g':
        o->network.engine = optarg;
        return 1;
    case 'w':
        return whole(name, 0, 1 << 24, &o->words);
    case 'e':
        return whole(name, 1, MAX_EPOCHS, &o->epochs);
    case 'b':
        return whole(name, 1, 4096, &o->network.batch);
    case 't':
        return whole(name, 0, 256, &o->threads);
    case 'v':
        return whole(name, 0, 1000000, &o->save_seconds);
    case 'm':
        return of_16(name, 1024, &o->network.embedding);
    case 'h':
        return of_16(name, 4096, &o->network.hidden);
    case 'r':
        return real(name, 0, INFINITY, &o->rate);
    case 'c':
        return real(name, 1e-6, INFINITY, &o->clip);
    case 'o':
        if (!real(name, 0, 1, &value)) return 0;
        o->network.dropout = (float)value;
        return 1;
    case 's':
        if (!whole(name, 0, INT32_MAX, &seed)) return 0;
        o->network.seed = (uint64_t)seed;
        return 1;
    default:
        return 0;
    }
}

int train_options_parse(int count, char **arguments, train_options *o) {
    static const struct option known[] = {
        {"folder", required_argument, NULL, 'f'},  {"dictionary", required_argument, NULL, 'd'},
        {"words", required_argument, NULL, 'w'},   {"epochs", required_argument, NULL, 'e'},
        {"batch", required_argument, NULL, 'b'},   {"embedding", required_argument, NULL, 'm'},
        {"hidden", required_argument, NULL, 'h'},  {"rate", required_argument, NULL, 'r'},
        {"clip", required_argument, NULL, 'c'},    {"dropout", required_argument, NULL, 'o'},
        {"seed", required_argument, NULL, 's'},    {"engine", required_argument, NULL, 'g'},
        {"threads", required_argument, NULL, 't'}, {"save-seconds", required_argument, NULL, 'v'},
        {"help", no_argument, NULL, '?' + 1},      {NULL, 0, NULL, 0},
    };
    *o = (train_options){
        .dictionary = DICTIONARY_PATH,
        .folder = ".",
        .epochs = 24,
        .save_seconds = 30,
        .rate = 0.0015,
        .clip = 1,
        .network = {.embedding = 64, .hidden = 256, .batch = 64, .dropout = 0.25f, .seed = 1}};
    int key, index = 0;
    while ((key = getopt_long(count, arguments, "", known, &index)) != -1) {
        if (key == '?' + 1) return fputs(usage, stdout) < 0;
        if (key == '?') return fputs(usage, stderr), 2;
        if (!take(known[index].name, key, o)) return 2;
    }
    if (optind == count) return -1;
    fprintf(stderr, "g2p_train: \"%s\" is no option\n", arguments[optind]);
    return 2;
}

void train_options_recipe(const train_options *o, const dictionary *d, char recipe[MAX_RECIPE]) {
    const network_config *n = &o->network;
    (void)snprintf(
        recipe, MAX_RECIPE,
        "--embedding %d --hidden %d --batch %d --epochs %d --words %d --rate %g --clip %g --dropout %g "
        "--seed %" PRIu64 ", dictionary of %d entries %016" PRIx64,
        n->embedding, n->hidden, n->batch, o->epochs, o->words, o->rate, o->clip, (double)n->dropout, n->seed,
        d->count, d->hash);
}
