/* g2p_train.c: the loop of a training: a batch, its gradients, a step; now and then a line, a checkpoint, a measurement. */
#define _POSIX_C_SOURCE 200809L /* sigaction */
#include <math.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "curve.h"
#include "epoch_order.h"
#include "random.h"
#include "score.h"
#include "train_options.h"

enum { WARM_UP_STEPS = 200, WATCH_BATCH = 256, PATH_ROOM = 1000 };
static const uint64_t dropout_purpose = 0xD709;

typedef struct trainer {
    const train_options *options;
    dictionary dictionary;
    epoch_order order;
    worker_pool *pool;
    training_state state;
    char checkpoint[PATH_ROOM], model[PATH_ROOM], picture[PATH_ROOM];
    int64_t steps; /* of the whole training */
    /* of this call */
    double started, saved, reported;
    double words; /* seen */
} trainer;

static volatile sig_atomic_t asked_to_stop;

static void ask_to_stop(int signal_number) {
    (void)signal_number;
    asked_to_stop = 1;
}

static double now(void) {
    struct timespec time;
    (void)clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + 1e-9 * (double)time.tv_nsec;
}

/* ---- measuring ----------------------------------------------------------------------------------------- */

/* At most once a second on a terminal, else every ten. */
static void report(trainer *t, double loss) {
    const progress *p = &t->state.progress;
    const int terminal = isatty(STDERR_FILENO);
    const double time = now(), spent = time - t->started, rate = t->words / spent;
    if (time < t->reported + (terminal ? 1 : 10)) return;
    t->reported = time;
    const double left = (double)(t->steps - p->step) * t->options->network.batch / rate;
    fprintf(stderr, "%sepoch %d of %d, step %lld of %lld, loss %.4f, %.0f words/s, %.0f min %02.0f s left%s",
            terminal ? "\r" : "", p->epochs + 1, t->options->epochs, (long long)p->step, (long long)t->steps,
            loss, rate, floor(left / 60), floor(fmod(left, 60)), terminal ? "\033[K" : "\n");
}

/* The error rates of the model that g2p would load, on the words that are watched. */
static int watch(trainer *t, epoch_result *result) {
    const model_options options = {.path = t->model,
                                   .engine = t->options->network.engine,
                                   .threads = t->options->threads,
                                   .batch = WATCH_BATCH};
    score s;
    if (!checkpoint_export(t->model, &t->state)) return 0;
    model *m = model_open(&options);
    const int ok = m && score_part(&s, &t->dictionary, PART_WATCHED, m, WATCH_BATCH, 1);
    model_close(m);
    if (!ok) return 0;
    result->phonemes = (float)score_phonemes(&s, WITHOUT_STRESS);
    result->words = (float)score_words(&s, WITHOUT_STRESS);
    return 1;
}

static int save(trainer *t) {
    t->saved = now();
    return checkpoint_save(t->checkpoint, &t->state);
}

static int end_epoch(trainer *t) {
    progress *p = &t->state.progress;
    epoch_result *result = &p->results[p->epochs];
    result->loss = (float)(p->loss / t->order.batches);
    if (!watch(t, result)) return 0;
    p->epochs++;
    p->loss = 0;
    fprintf(
        stderr,
        "%sepoch %d: loss %.4f, watched words: %.2f %% of the phonemes wrong, %.2f %% of the words; %.0f s\n",
        isatty(STDERR_FILENO) ? "\r\033[K" : "", p->epochs, (double)result->loss, (double)result->phonemes,
        (double)result->words, p->seconds);
    return save(t) && curve_draw(t->picture, p);
}

/* ---- training ------------------------------------------------------------------------------------------ */

/* Up in a straight line, then down to nothing. */
static double rate_at(const trainer *t, int64_t step) {
    const double up = (double)(step + 1) / WARM_UP_STEPS, down = 1 - (double)step / (double)t->steps;
    return t->options->rate * (up < 1 ? up : 1) * down;
}

static int train_step(trainer *t) {
    training_state *s = &t->state;
    progress *p = &s->progress;
    const uint64_t key = random_key(random_key(t->options->network.seed, dropout_purpose), (uint64_t)p->step);
    const word *const *words = NULL;
    const int32_t count = epoch_order_words(&t->order, p->step, &words);
    double loss = 0;
    if (!network_gradients(s->network, words, count, key, &loss)) return 0;
    const double norm = adam_norm(t->pool, &s->adam);
    if (!isfinite(loss) || !isfinite(norm)) {
        fprintf(stderr,
                "g2p_train: step %lld: the loss is %g, its gradient %g long; try a smaller --rate. The last "
                "checkpoint is as it was\n",
                (long long)p->step, loss, norm);
        return 0;
    }
    adam_step(t->pool, &s->adam, p->step + 1, rate_at(t, p->step), norm, t->options->clip);
    p->step++;
    p->loss += loss;
    t->words += count;
    report(t, loss);
    return network_update(s->network);
}

static int train(trainer *t) {
    progress *p = &t->state.progress;
    t->started = t->saved = t->reported = now();
    while (p->step < t->steps && !asked_to_stop) {
        const double before = now();
        if (!train_step(t)) return 0;
        p->seconds += now() - before;
        if (p->step % t->order.batches == 0) {
            if (!end_epoch(t)) return 0;
        } else if (now() > t->saved + t->options->save_seconds) {
            if (!save(t)) return 0;
        }
    }
    if (!asked_to_stop) return 1;
    fprintf(stderr, "\ng2p_train: stopped at step %lld of %lld; the same command goes on from there\n",
            (long long)p->step, (long long)t->steps);
    return save(t);
}

/* ---- opening ------------------------------------------------------------------------------------------- */

static int make_path(char path[PATH_ROOM], const char *folder, const char *name) {
    if (snprintf(path, PATH_ROOM, "%s/%s", folder, name) < PATH_ROOM) return 1;
    fprintf(stderr, "g2p_train: --folder has more than %d bytes\n", PATH_ROOM - 30);
    return 0;
}

static int open_state(trainer *t) {
    training_state *s = &t->state;
    network_config config = t->options->network;
    config.letters = t->order.letters;
    s->network = network_open(&config, t->pool);
    if (!s->network) return 0;
    s->adam = (adam){s->network->parameters, s->network->gradients, NULL, NULL, s->network->count};
    s->adam.mean = calloc(s->network->count, sizeof *s->adam.mean);
    s->adam.square = calloc(s->network->count, sizeof *s->adam.square);
    if (!s->adam.mean || !s->adam.square) return fprintf(stderr, "g2p_train: no memory for Adam\n"), 0;
    train_options_recipe(t->options, &t->dictionary, s->recipe);
    const int found = checkpoint_load(t->checkpoint, s);
    return found && (found < 0 || network_update(s->network));
}

static int open_all(trainer *t) {
    const train_options *o = t->options;
    if (!make_path(t->checkpoint, o->folder, "checkpoint.safetensors") ||
        !make_path(t->model, o->folder, "model.safetensors") ||
        !make_path(t->picture, o->folder, "curve.svg"))
        return 0;
    if (!dictionary_read(o->dictionary, &t->dictionary) ||
        !epoch_order_open(&t->order, &t->dictionary, o->words, o->network.batch, o->network.seed))
        return 0;
    t->steps = (int64_t)t->order.batches * o->epochs;
    t->pool = worker_pool_start(o->threads);
    return t->pool && open_state(t);
}

static void close_all(trainer *t) {
    network_close(t->state.network);
    free(t->state.adam.mean), free(t->state.adam.square);
    worker_pool_end(t->pool);
    epoch_order_close(&t->order);
    dictionary_free(&t->dictionary);
}

static void describe(const trainer *t) {
    const progress *p = &t->state.progress;
    fprintf(stderr, "%d words, %zu numbers to learn, engine %s, %d thread%s\n", t->order.words,
            t->state.network->count, network_engine(t->state.network), worker_pool_size(t->pool),
            worker_pool_size(t->pool) == 1 ? "" : "s");
    if (p->step > 0)
        fprintf(stderr, "going on at step %lld of %lld\n", (long long)p->step, (long long)t->steps);
}

/* A full disk is to be a message, not a signal; whoever stops the program keeps what it has learnt. */
static void handle_signals(void) {
    struct sigaction stop = {.sa_handler = ask_to_stop}, ignore = {.sa_handler = SIG_IGN};
    (void)sigaction(SIGINT, &stop, NULL);
    (void)sigaction(SIGTERM, &stop, NULL);
    (void)sigaction(SIGXFSZ, &ignore, NULL);
}

int main(int count, char **arguments) {
    static trainer t;
    train_options options;
    const int status = train_options_parse(count, arguments, &options);
    if (status >= 0) return status;
    handle_signals();
    t.options = &options;
    int ok = open_all(&t);
    if (ok) {
        describe(&t);
        ok = train(&t);
    }
    close_all(&t);
    return ok ? 0 : 1;
}
