/* check_checkpoint.c: a checkpoint is restored bit for bit, refused when truncated anywhere, and kept whole on a full disk. */
#define _POSIX_C_SOURCE 200809L /* mkdtemp, truncate */
#include <math.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include "check_messages.h"
#include "checkpoint.h"
#include "../model_float16.h"
#include "random.h"

static const network_config config = {
    .embedding = 16, .hidden = 16, .batch = 1, .letters = 3, .seed = 1, .engine = "cpu"};

static char folder[] = "/tmp/g2p-checkpoint-XXXXXX", path[64], part[64];
static char said[4096];

static void fill(training_state *s, uint64_t seed) {
    float *const arrays[] = {s->network->parameters, s->adam.mean, s->adam.square};
    for (int a = 0; a < 3; a++)
        for (size_t i = 0; i < s->network->count; i++)
            arrays[a][i] = random_symmetric(random_key(seed, (uint64_t)a), i);
    s->progress =
        (progress){.step = (int64_t)seed, .loss = 1.0 / 3 + (double)seed, .seconds = 2.5, .epochs = 2};
    for (int e = 0; e < 2; e++) s->progress.results[e] = (epoch_result){1.5f, (float)seed, 3.25f};
    (void)snprintf(s->recipe, sizeof s->recipe, "--seed 1");
}

static int same(const training_state *a, const training_state *b) {
    const size_t bytes = a->network->count * sizeof(float);
    const progress *p = &a->progress, *q = &b->progress;
    return memcmp(a->network->parameters, b->network->parameters, bytes) == 0 &&
           memcmp(a->adam.mean, b->adam.mean, bytes) == 0 &&
           memcmp(a->adam.square, b->adam.square, bytes) == 0 && p->step == q->step &&
           memcmp(&p->loss, &q->loss, sizeof p->loss) == 0 && p->epochs == q->epochs &&
           memcmp(p->results, q->results, sizeof *p->results * (size_t)p->epochs) == 0;
}

static int is(int right, const char *what) {
    if (!right) printf("%s: %s\n", what, said);
    return right;
}

static long file_size(void) {
    struct stat status;
    return stat(path, &status) == 0 ? (long)status.st_size : -1;
}

/* What is loaded is what was saved; saved again it is the same file. */
static int check_return(const training_state *saved, training_state *loaded) {
    fill(loaded, 99);
    if (!is(checkpoint_load(path, loaded) == -1, "no file")) return 0;
    if (!is(checkpoint_save(path, saved), "saving") || !is(checkpoint_load(path, loaded) == 1, "loading"))
        return 0;
    return is(same(saved, loaded), "other bits");
}

static int check_recipe(messages *caught, training_state *loaded) {
    loaded->recipe[7] = '2';
    const int right = checkpoint_load(path, loaded) == 0 && messages_read(caught, said, sizeof said) > 0 &&
                      strstr(said, "made with other options") != NULL;
    loaded->recipe[7] = '1';
    return is(right, "another recipe");
}

/* No write beyond the limit succeeds, as on a full disk. The file must stay the one of `saved`. */
static int check_full_disk(messages *caught, const training_state *saved, training_state *loaded) {
    const long size = file_size(), limits[] = {0, 1, 8, 1000, 4096, size / 2, size - 1};
    struct rlimit before;
    int right = getrlimit(RLIMIT_FSIZE, &before) == 0;
    for (size_t i = 0; right && i < sizeof limits / sizeof *limits; i++) {
        const struct rlimit limit = {(rlim_t)limits[i], before.rlim_max};
        fill(loaded, 7);
        right = setrlimit(RLIMIT_FSIZE, &limit) == 0;
        const int done = checkpoint_save(path, loaded);
        right = setrlimit(RLIMIT_FSIZE, &before) == 0 && right;
        right = right && !done && access(part, F_OK) != 0 && file_size() == size;
        const int lines =
            messages_read(caught, said, sizeof said); /* the limit holds for the caught messages too */
        right = right && (limits[i] < 1000 ||
                          (lines == 1 && strstr(said, "File too large; what it was before is whole")));
        right = right && checkpoint_load(path, loaded) == 1 && same(saved, loaded);
    }
    return is(right, "a full disk");
}

/* From the last byte to the first, in the numbers behind the header by so many bytes at a time: each shorter file has one
 * sentence, and changes nothing. */
static int check_cuts(messages *caught, training_state *saved, training_state *loaded, long bytes) {
    enum { HEADER = 4096 }; /* is shorter */
    int right = 1;
    fill(loaded, 7);
    for (long size = file_size() - 1; right && size >= 0; size -= size > HEADER ? bytes : 1) {
        right = truncate(path, size) == 0 && checkpoint_load(path, loaded) == 0 &&
                messages_read(caught, said, sizeof said) == 1;
        if (!right) printf("cut at %ld\n", size);
    }
    fill(saved, 7);
    return is(right && same(saved, loaded), "a cut");
}

static int check_halves(void) {
    int right = half_from_float(65519) == 0x7BFF && half_from_float(65520) == 0x7C00 &&
                half_from_float(0x1p-25f) == 0 && half_from_float(0x1.8p-24f) == 2 &&
                half_from_float(1 + 0x1p-11f) == 0x3C00 && half_from_float(1 + 0x1.8p-10f) == 0x3C02;
    for (int half = 0; half < 0x10000; half++) {
        const float value = half_to_float((uint16_t)half);
        right = right && (isnan(value) ? (half & 0x7FFF) > 0x7C00 : half_from_float(value) == half);
    }
    return is(right, "16 bits");
}

static int open_state(training_state *s, worker_pool *threads) {
    s->network = network_open(&config, threads);
    if (!s->network) return 0;
    s->adam.mean = malloc(s->network->count * sizeof *s->adam.mean);
    s->adam.square = malloc(s->network->count * sizeof *s->adam.square);
    return s->adam.mean && s->adam.square;
}

static void close_state(training_state *s) {
    network_close(s->network);
    free(s->adam.mean), free(s->adam.square);
}

/* check_checkpoint [BYTES]: between cuts, 61 by default. */
int main(int count, char **arguments) {
    const long bytes = count > 1 ? atol(arguments[1]) : 61;
    static training_state saved, loaded;
    messages caught;
    worker_pool *threads = worker_pool_start(1);
    (void)signal(SIGXFSZ, SIG_IGN);
    if (bytes < 1 || !threads || !mkdtemp(folder) || !open_state(&saved, threads) ||
        !open_state(&loaded, threads))
        return 1;
    (void)snprintf(path, sizeof path, "%s/c", folder);
    (void)snprintf(part, sizeof part, "%s/c.part", folder);
    fill(&saved, 5);
    if (!messages_catch(&caught)) return 1;
    const int right = check_return(&saved, &loaded) && check_recipe(&caught, &loaded) &&
                      check_full_disk(&caught, &saved, &loaded) &&
                      check_cuts(&caught, &saved, &loaded, bytes) && check_halves();
    messages_release(&caught);
    (void)remove(path), (void)rmdir(folder);
    close_state(&saved), close_state(&loaded);
    worker_pool_end(threads);
    return right ? 0 : 1;
}
