/* check_gradients.c: the trainer's gradients of each tensor against differences of its loss, with dropout; and the bits of one
 * and two threads. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "network.h"
#include "random.h"

/* Words of several lengths, so that batches are ragged on both sides; the longest as long as can be. */
static const struct example {
    const char *letters, *sounds;
} examples[] = {
    {"a", "AH0"},
    {"aa", "B EY1"},
    {"word", "W ER1 D"},
    {"queue", "K Y UW1"},
    {"zzz", "Z Z Z Z Z Z Z Z Z Z Z Z Z Z Z Z Z Z Z Z"},
    {"internationalization", "IH2 N T ER0"},
};
enum { WORDS = sizeof examples / sizeof *examples };
static const uint64_t key = 5;
static const network_config config = {.embedding = 16,
                                      .hidden = 16,
                                      .batch = WORDS,
                                      .letters = 20,
                                      .dropout = 0.25f,
                                      .seed = 3,
                                      .engine = "cpu_reference"};

static void make_words(word made[WORDS], const word *pointers[WORDS]) {
    for (int i = 0; i < WORDS; i++) {
        char copy[128];
        memset(&made[i], 0, sizeof made[i]);
        made[i].length = (int32_t)strlen(examples[i].letters);
        memcpy(made[i].letters, examples[i].letters, (size_t)made[i].length);
        (void)snprintf(copy, sizeof copy, "%s", examples[i].sounds);
        for (char *name = strtok(copy, " "); name; name = strtok(NULL, " "))
            made[i].phonemes[made[i].sounds++] = (uint8_t)phoneme_id(name);
        pointers[i] = &made[i];
    }
}

/* The loss with the tensor moved along a direction. */
static double moved_loss(network *n, const network_tensor *t, const float *direction, double step,
                         const word *const *words) {
    float *p = n->parameters + t->offset, *kept = malloc(t->count * sizeof *kept);
    double loss = NAN;
    if (!kept) return loss;
    memcpy(kept, p, t->count * sizeof *kept);
    for (size_t i = 0; i < t->count; i++) p[i] = (float)((double)p[i] + step * (double)direction[i]);
    if (!network_update(n) || !network_gradients(n, words, WORDS, key, &loss)) loss = NAN;
    memcpy(p, kept, t->count * sizeof *kept);
    free(kept);
    return loss;
}

/* Along a direction the loss rises by its product with the gradient. A mean of losses of some 5, each rounded to f32, is known
 * to 1e-6 at worst; over two steps of 0.005 that is 1e-4. What the third derivative adds grows with the rise. */
static int check_direction(network *n, const network_tensor *t, const float *gradient, const float *direction,
                           double norm, const word *const *words) {
    const double step = 0.005;
    double rise = 0;
    for (size_t i = 0; i < t->count; i++) rise += (double)gradient[i] * (double)direction[i];
    const double up = moved_loss(n, t, direction, step, words);
    const double difference = (up - moved_loss(n, t, direction, -step, words)) / (2 * step);
    const int right = norm > 5e-3 && fabs(difference - rise) <= 1e-4 + 1e-3 * norm;
    printf("%-30s gradient %9.6f, differences %9.6f%s\n", t->name, rise, difference, right ? "" : "  WRONG");
    return right;
}

/* Two directions: along the gradient itself, which shows what it has too much; and all numbers up or down by chance, by as much
 * as a gradient of equal numbers would, which shows what it lacks. */
static int check_tensor(network *n, const network_tensor *t, const float *gradients,
                        const word *const *words) {
    const float *gradient = gradients + t->offset;
    float *direction = malloc(t->count * sizeof *direction);
    double norm = 0;
    if (!direction) return 0;
    for (size_t i = 0; i < t->count; i++) norm += (double)gradient[i] * (double)gradient[i];
    norm = sqrt(norm);
    for (size_t i = 0; i < t->count; i++) direction[i] = (float)((double)gradient[i] / norm);
    int right = check_direction(n, t, gradient, direction, norm, words);
    for (size_t i = 0; i < t->count; i++) direction[i] = random_symmetric(key, i) < 0 ? -1 : 1;
    right = check_direction(n, t, gradient, direction, norm, words) && right;
    free(direction);
    return right;
}

static int check_differences(const word *const *words) {
    worker_pool *threads = worker_pool_start(1);
    network *n = threads ? network_open(&config, threads) : NULL;
    float *gradients = n ? malloc(n->count * sizeof *gradients) : NULL;
    double loss = 0;
    int right = gradients && network_gradients(n, words, WORDS, key, &loss);
    if (right) memcpy(gradients, n->gradients, n->count * sizeof *gradients);
    if (!right) return 0;
    for (int i = 0; i < NETWORK_TENSORS; i++)
        right = check_tensor(n, &n->tensors[i], gradients, words) && right;
    free(gradients);
    network_close(n);
    worker_pool_end(threads);
    return right;
}

/* Loss and gradients of the best engine with so many threads. */
static float *bits(int32_t count, const word *const *words, size_t *numbers, double *loss) {
    network_config fastest = config;
    worker_pool *threads = worker_pool_start(count);
    fastest.engine = "cpu";
    network *n = threads ? network_open(&fastest, threads) : NULL;
    float *copy = n ? malloc(n->count * sizeof *copy) : NULL;
    if (copy && network_gradients(n, words, WORDS, key, loss)) {
        *numbers = n->count;
        memcpy(copy, n->gradients, n->count * sizeof *copy);
    }
    network_close(n);
    worker_pool_end(threads);
    return copy;
}

static int check_threads(const word *const *words) {
    int right = 1;
    size_t numbers = 0, others = 0;
    double loss = 0, other = 0;
    float *one = bits(1, words, &numbers, &loss);
    for (int32_t count = 2; right && count <= 5; count++) {
        float *more = bits(count, words, &others, &other);
        right = one && more && numbers > 0 && numbers == others && memcmp(&loss, &other, sizeof loss) == 0 &&
                memcmp(one, more, numbers * sizeof *one) == 0;
        free(more);
        printf("%d threads: %s\n", count, right ? "the bits of one" : "OTHER BITS");
    }
    free(one);
    return right;
}

int main(void) {
    word made[WORDS];
    const word *words[WORDS];
    make_words(made, words);
    const int differences = check_differences(words), threads = check_threads(words);
    return differences && threads ? 0 : 1;
}
