/* checkpoint.c: the network's tensors under their own names, Adam's means, the results so far, and the position in the epoch order. */
#include "checkpoint.h"

#include <errno.h>
#include <gru/import.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../model_float16.h"
#include "tensors.h"

enum { MEAN = NETWORK_TENSORS, SQUARE, RESULTS, SAVED_TENSORS };

/* ---- saving -------------------------------------------------------------------------------------------- */

static tensor_data describe(const network_tensor *t, const char *type, const void *data, size_t size) {
    return (tensor_data){t->name, type, t->rank, {t->shape[0], t->shape[1]}, data, t->count * size};
}

/* Of s, as they are saved and loaded. */
static void list_tensors(const training_state *s, tensor_data tensors[SAVED_TENSORS]) {
    const network *n = s->network;
    const int64_t count = (int64_t)n->count;
    for (int i = 0; i < NETWORK_TENSORS; i++)
        tensors[i] = describe(&n->tensors[i], "F32", n->parameters + n->tensors[i].offset, sizeof(float));
    tensors[MEAN] = (tensor_data){"adam.mean", "F32", 1, {count, 1}, s->adam.mean, 4 * n->count};
    tensors[SQUARE] = (tensor_data){"adam.square", "F32", 1, {count, 1}, s->adam.square, 4 * n->count};
    tensors[RESULTS] = (tensor_data){"results",
                                     "F32",
                                     2,
                                     {s->progress.epochs, 3},
                                     s->progress.results,
                                     sizeof(epoch_result) * (size_t)s->progress.epochs};
}

int checkpoint_save(const char *path, const training_state *s) {
    char step[32], loss[64], seconds[64];
    tensor_data tensors[SAVED_TENSORS];
    (void)snprintf(step, sizeof step, "%" PRId64, s->progress.step);
    (void)snprintf(loss, sizeof loss, "%a", s->progress.loss); /* hexadecimal: exact */
    (void)snprintf(seconds, sizeof seconds, "%.3f", s->progress.seconds);
    const tensor_note notes[] = {
        {"g2p.recipe", s->recipe}, {"g2p.step", step}, {"g2p.loss", loss}, {"g2p.seconds", seconds}};
    list_tensors(s, tensors);
    return tensors_save(path, notes, 4, tensors, SAVED_TENSORS);
}

int checkpoint_export(const char *path, const training_state *s) {
    const network *n = s->network;
    const tensor_note note = {"g2p.recipe", s->recipe};
    tensor_data tensors[NETWORK_TENSORS];
    uint16_t *halves = malloc(n->count * sizeof *halves);
    if (!halves) return fprintf(stderr, "%s: no memory for %zu numbers\n", path, n->count), 0;
    for (size_t i = 0; i < n->count; i++) halves[i] = half_from_float(n->parameters[i]);
    for (int i = 0; i < NETWORK_TENSORS; i++)
        tensors[i] = describe(&n->tensors[i], "F16", halves + n->tensors[i].offset, sizeof *halves);
    const int ok = tensors_save(path, &note, 1, tensors, NETWORK_TENSORS);
    free(halves);
    return ok;
}

/* ---- loading ------------------------------------------------------------------------------------------- */

static int refuse(const char *path, const char *what, const char *name) {
    fprintf(stderr, "%s: %s%s; remove it to train from the beginning\n", path, what, name);
    return 0;
}

static int copy_tensor(const char *path, const gru_file *file, const tensor_data *wanted, void *place) {
    gru_tensor found;
    if (gru_file_tensor(file, wanted->name, &found) != GRU_OK)
        return refuse(path, "there is no tensor ", wanted->name);
    if (found.type != GRU_F32 || found.rank != wanted->rank || found.bytes != wanted->bytes ||
        found.shape[0] != wanted->shape[0] || (found.rank == 2 && found.shape[1] != wanted->shape[1]))
        return refuse(path, "this network has another shape of ", wanted->name);
    if (found.bytes) memcpy(place, found.data, found.bytes);
    return 1;
}

/* A note that is a whole number or, with decimals, any. */
static int read_note(const char *path, const gru_file *file, const char *key, double *value) {
    const char *note = gru_file_metadata(file, key);
    char *end = NULL;
    *value = note ? strtod(note, &end) : 0;
    return (note && end != note && *end == '\0' && *value >= 0 && *value < 0x1p53) ||
           refuse(path, "there is no number under ", key);
}

static int read_progress(const char *path, const gru_file *file, progress *p) {
    gru_tensor results;
    double step;
    if (!read_note(path, file, "g2p.step", &step) || !read_note(path, file, "g2p.loss", &p->loss) ||
        !read_note(path, file, "g2p.seconds", &p->seconds))
        return 0;
    if (gru_file_tensor(file, "results", &results) != GRU_OK || results.rank != 2 ||
        results.shape[0] > MAX_EPOCHS)
        return refuse(path, "there are no results of epochs", "");
    p->step = (int64_t)step;
    p->epochs = (int32_t)results.shape[0];
    return 1;
}

static int read_all(const char *path, const gru_file *file, training_state *s) {
    const char *recipe = gru_file_metadata(file, "g2p.recipe");
    tensor_data tensors[SAVED_TENSORS];
    if (!recipe) return refuse(path, "this is no checkpoint of g2p_train", "");
    if (strcmp(recipe, s->recipe) != 0) {
        fprintf(stderr, "%s was made with other options:\n  %s\nthan asked for now:\n  %s\n", path, recipe,
                s->recipe);
        return refuse(path, "it cannot go on so", "");
    }
    if (!read_progress(path, file, &s->progress)) return 0;
    list_tensors(s, tensors);
    for (int i = 0; i < NETWORK_TENSORS; i++)
        if (!copy_tensor(path, file, &tensors[i], s->network->parameters + s->network->tensors[i].offset))
            return 0;
    return copy_tensor(path, file, &tensors[MEAN], s->adam.mean) &&
           copy_tensor(path, file, &tensors[SQUARE], s->adam.square) &&
           copy_tensor(path, file, &tensors[RESULTS], s->progress.results);
}

int checkpoint_load(const char *path, training_state *s) {
    gru_file *file = NULL;
    if (access(path, F_OK) != 0 && errno == ENOENT) return -1;
    if (gru_file_open(path, &file) != GRU_OK) return refuse(path, gru_last_error(), "");
    const int ok = read_all(path, file, s);
    gru_file_close(file);
    return ok;
}
