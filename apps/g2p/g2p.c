/* g2p.c: tells how English words sound: options, batches of words of about one length, their rate. */
#include <errno.h>
#include <getopt.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "g2p_model.h"

static const char usage[] =
    "usage: g2p [OPTION]... [WORD]...\n"
    "Prints the sounds (ARPAbet, as in the CMU dictionary) of the words given, or of "
    "the text on standard input.\n"
    "  --engine NAME   run on this engine; cpu, cuda: the best of that backend; help: "
    "list them\n"
    "  --model PATH    a file that g2p_train or fetch_model.py wrote (default: " G2P_MODEL ")\n"
    "  --weights TYPE  hold weights in f32, f16, bf16, or int8 (CPU alone) (default: f32)\n"
    "  --threads N     threads (default: 0, all processors)\n"
    "  --batch N       words per call, 1 to 1024 (default: 64)\n"
    "  --seconds N     stop reading after about N seconds of work (default: 0, read all)\n"
    "  --quiet         print the rate alone, on standard output instead of standard error\n"
    "  --progress      report progress although standard error is no terminal\n"
    "  --help          this text\n";

typedef struct options {
    model_options model;
    int32_t seconds;
    int quiet, progress, interactive;
} options;

/* Words are read this many batches at a time, sorted by length, and printed in the order read. */
enum { WINDOW_BATCHES = 16, MAX_BATCH = 1024, MAX_THREADS = 1024, MAX_SECONDS = 1000000 };

typedef struct session {
    const options *options;
    model *model;
    word *words;  /* [window] */
    word **order; /* [window] */
    int32_t window;
    int64_t total;  /* words pronounced */
    double seconds; /* in which they were */
    double reported;
} session;

static double now(void) {
    struct timespec time;
    (void)clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + 1e-9 * (double)time.tv_nsec;
}

static double rate(const session *s) {
    return s->seconds > 0 ? (double)s->total / s->seconds : 0;
}

/* ---- pronouncing --------------------------------------------------------------------------------------- */

static int by_length(const void *a, const void *b) {
    const word *const *x = a, *const *y = b;
    return ((*x)->length > (*y)->length) - ((*x)->length < (*y)->length);
}

/* At most twice a second, and not before the first half second. */
static void report_progress(session *s) {
    if (!s->options->progress || s->seconds < s->reported + 0.5) return;
    s->reported = s->seconds;
    fprintf(stderr, isatty(STDERR_FILENO) ? "\r%lld words, %.0f words/s " : "%lld words, %.0f words/s\n",
            (long long)s->total, rate(s));
}

static int pronounce(session *s, int32_t count) {
    const int32_t batch = s->options->model.batch;
    for (int32_t i = 0; i < count; i++) s->order[i] = &s->words[i];
    qsort(s->order, (size_t)count, sizeof *s->order, by_length);
    for (int32_t first = 0; first < count; first += batch) {
        const int32_t size = count - first < batch ? count - first : batch;
        const double start = now();
        if (!model_pronounce(s->model, s->order + first, size)) return 0;
        s->seconds += now() - start;
        s->total += size;
        report_progress(s);
    }
    return 1;
}

static void print_words(const word *words, int32_t count) {
    for (const word *w = words; w < words + count; w++) {
        printf("%s ", w->letters);
        for (int32_t p = 0; p < w->sounds; p++) printf(" %s", phoneme_name(w->phonemes[p]));
        putchar('\n');
    }
    (void)fflush(stdout);
}

/* Whole windows; somebody who types gets an answer to each line. */
static int pronounce_text(session *s, text *from) {
    const int32_t limit = s->options->seconds;
    for (int read = TEXT_WORD; read != TEXT_END && (limit == 0 || s->seconds < limit);) {
        int32_t count = 0;
        while (count < s->window) {
            read = text_next(from, &s->words[count]);
            if (read == TEXT_WORD) count++;
            if (read == TEXT_END || (read == TEXT_LINE && s->options->interactive)) break;
        }
        if (!pronounce(s, count)) return 0;
        if (!s->options->quiet) print_words(s->words, count);
    }
    if (s->reported > 0 && isatty(STDERR_FILENO)) fputs("\r\033[K", stderr); /* clears the line */
    return 1;
}

static int run(const options *o, text *from) {
    session s = {.options = o, .window = WINDOW_BATCHES * o->model.batch};
    int ok = 0;
    s.words = calloc((size_t)s.window, sizeof *s.words);
    s.order = calloc((size_t)s.window, sizeof *s.order);
    if (!s.words || !s.order)
        fprintf(stderr, "g2p: no memory for %d words\n", s.window);
    else if ((s.model = model_open(&o->model)) != NULL)
        ok = pronounce_text(&s, from);
    if (ok)
        fprintf(o->quiet ? stdout : stderr, "%lld words in %.3f s, %.0f words/s, engine %s\n",
                (long long)s.total, s.seconds, rate(&s), model_engine(s.model));
    model_close(s.model);
    free(s.order);
    free(s.words);
    return ok;
}

/* ---- options ------------------------------------------------------------------------------------------- */

/* Every engine of the library, and whether this host can run it. */
static int list_engines(void) {
    static const float zeros[3];
    const char *name;
    for (int32_t i = 0; (name = gru_engine_at(i)) != NULL; i++) {
        gru_context_config context_config = GRU_INIT;
        gru_layer_config shape = GRU_INIT;
        gru_weights weights = GRU_INIT;
        gru_context *context = NULL;
        gru_layer *layer = NULL;
        context_config.threads = 1;
        context_config.engine = name;
        shape.inputs = shape.hidden = 1;
        weights.W = weights.R = zeros;
        gru_status status = gru_context_create(&context_config, &context);
        if (status == GRU_OK) status = gru_layer_create(context, &shape, &weights, &layer);
        printf("%-16s %s\n", name, status == GRU_OK ? "runs here" : gru_last_error());
        gru_layer_release(layer);
        gru_context_release(context);
    }
    return 0;
}

static int number(const char *option, const char *value, int32_t least, int32_t most, int32_t *place) {
    char *end;
    errno = 0;
    const long parsed = strtol(value, &end, 10);
    if (errno == 0 && end != value && *end == '\0' && parsed >= least && parsed <= most) {
        *place = (int32_t)parsed;
        return 1;
    }
    fprintf(stderr, "g2p: --%s is \"%s\", expected a number from %d to %d\n", option, value, least, most);
    return 0;
}

static int weights(const char *value, int32_t *place) {
    static const char *const names[] = {"f32", "f16", "bf16", "int8"};
    static const int32_t types[] = {GRU_F32, GRU_F16, GRU_BF16, GRU_INT8};
    for (int i = 0; i < 4; i++)
        if (strcmp(value, names[i]) == 0) {
            *place = types[i];
            return 1;
        }
    fprintf(stderr, "g2p: --weights is \"%s\", expected f32, f16, bf16 or int8\n", value);
    return 0;
}

/* -1: go on; else the program ends with this status. */
static int parse(int count, char **arguments, options *o) {
    static const struct option known[] = {
        {"engine", required_argument, NULL, 'e'},  {"model", required_argument, NULL, 'm'},
        {"weights", required_argument, NULL, 'w'}, {"threads", required_argument, NULL, 't'},
        {"batch", required_argument, NULL, 'b'},   {"seconds", required_argument, NULL, 's'},
        {"quiet", no_argument, NULL, 'q'},         {"progress", no_argument, NULL, 'p'},
        {"help", no_argument, NULL, 'h'},          {NULL, 0, NULL, 0},
    };
    int option;
    while ((option = getopt_long(count, arguments, "", known, NULL)) != -1) {
        if (option == 'e' && strcmp(optarg, "help") == 0) return list_engines();
        if (option == 'w' && !weights(optarg, &o->model.weights)) return 2;
        if (option == 't' && !number("threads", optarg, 0, MAX_THREADS, &o->model.threads)) return 2;
        if (option == 'b' && !number("batch", optarg, 1, MAX_BATCH, &o->model.batch)) return 2;
        if (option == 's' && !number("seconds", optarg, 0, MAX_SECONDS, &o->seconds)) return 2;
        if (option == 'e') o->model.engine = optarg;
        if (option == 'm') o->model.path = optarg;
        if (option == 'q') o->quiet = 1;
        if (option == 'p') o->progress = 1;
        if (option == 'h') return fputs(usage, stdout) < 0;
        if (option == '?') {
            fputs(usage, stderr);
            return 2;
        }
    }
    return -1;
}

int main(int count, char **arguments) {
    options o = {.model = {.path = G2P_MODEL, .batch = 64}};
    o.progress = isatty(STDERR_FILENO);
    const int status = parse(count, arguments, &o);
    if (status >= 0) return status;
    text from = {.arguments = optind < count ? arguments + optind : NULL, .file = stdin};
    o.interactive = !from.arguments && isatty(STDIN_FILENO);
    int ok = run(&o, &from);
    if (ferror(stdin)) ok = (fprintf(stderr, "g2p: standard input could not be read\n"), 0);
    if (fflush(stdout) || ferror(stdout))
        ok = (fprintf(stderr, "g2p: standard output could not be written\n"), 0);
    return ok ? 0 : 1;
}
