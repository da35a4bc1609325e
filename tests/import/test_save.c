/* test_save.c: stacks saved and loaded again, and saving that fails on the way. */
#include <dirent.h>
#include <math.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "support/file_maker.h"
#include "gru/import.h"
#include "core/number.h"
#include "support/file_fixture.h"
#include "support/tester.h"

/* ---- there and back ---- */

enum { LAYERS = 3, T = 4, N = 2, INPUTS = 5 };

typedef struct numbers {
    double room[LAYERS][2][4][1024];
} numbers;

typedef struct sample {
    numbers numbers;
    double states[LAYERS][2][4];
    gru_stack_layer layers[LAYERS];
    gru_stack_config config;
} sample;

static void add_weights(sample *s, int k, int d, int32_t type) {
    const gru_stack_layer *layer = &s->layers[k];
    const gru_layer_config *c = d && layer->reverse_config.hidden ? &layer->reverse_config : &layer->config;
    gru_weights *w = &s->layers[k].weights[d];
    const size_t H = (size_t)c->hidden, I = (size_t)c->inputs,
                 counts[4] = {3 * H * I, 3 * H * H, 3 * H, 3 * H};
    const void **const to[4] = {&w->W, &w->R, &w->bW, &w->bR};
    for (int i = 0; i < 4; i++) {
        void *room = s->numbers.room[k][d][i];
        REQUIRE(counts[i] <= 1024, "too large");
        tester_fill(room, type, counts[i], 0.5, (uint64_t)(8 * k + 4 * d + i));
        *to[i] = room;
    }
    w->type = type;
}

/* Two directions of f32 before a reverse layer of f16 before two directions of bf16 and f64: every option somewhere. */
static void make_sample(sample *s) {
    memset(s, 0, sizeof *s);
    gru_stack_layer *l = s->layers;
    l[0].config.inputs = INPUTS, l[0].config.hidden = 3;
    l[0].config.reset_mode = GRU_RESET_BEFORE, l[0].config.update = GRU_UPDATE_WRITE;
    l[0].config.gate = GRU_GATE_HARD_SIGMOID, l[0].config.hard_slope = 1.0f / 6, l[0].config.clip = 0.7f;
    l[0].bidirectional = 1;
    l[1].config.inputs = 6, l[1].config.hidden = 4;
    l[1].config.candidate = GRU_CANDIDATE_RELU, l[1].config.direction = GRU_REVERSE;
    l[2].config.inputs = 4, l[2].config.hidden = 2;
    l[2].config.reset_mode = GRU_RESET_ALL, l[2].config.candidate = GRU_CANDIDATE_LINEAR;
    l[2].bidirectional = 1, l[2].merge = GRU_MERGE_SUM;
    for (int k = 0; k < LAYERS; k++) {
        l[k].config.io_type = l[k].config.state_type = l[k].config.weight_type = GRU_F64;
        if (l[k].config.hard_slope == 0) l[k].config.hard_slope = 0.2f;
    }
    add_weights(s, 0, 0, GRU_F32);
    add_weights(s, 0, 1, GRU_F32);
    add_weights(s, 1, 0, GRU_F16);
    add_weights(s, 2, 0, GRU_BF16);
    add_weights(s, 2, 1, GRU_F64);
    tester_fill(s->states[1][0], GRU_F16, 4, 0.5,
                98); /* one sublayer of f16 and one of f64 learned an initial state */
    tester_fill(s->states[2][1], GRU_F64, 2, 0.5, 99);
    l[1].h0[0] = s->states[1][0], l[2].h0[1] = s->states[2][1];
    l[0].weights[0].bR = NULL;
    l[2].weights[1].bW = l[2].weights[1].bR = NULL;
    s->config.layers = s->layers, s->config.count = LAYERS, s->config.dropout = 0.25f;
}

static int entries_in(const char *name) {
    DIR *list = opendir(name);
    int count = -2; /* . and .. */
    while (readdir(list)) count++;
    (void)closedir(list);
    return count;
}

static void remove_folder(const file_folder *f) {
    (void)unlink(f->path);
    CHECK(rmdir(f->name) == 0, "something is left in %s", f->name);
}

static void save_or_skip(const char *path, const gru_stack_config *config, const char *prefix) {
    const gru_status status = gru_file_save(path, config, prefix);
    if (status == GRU_NOT_BUILT) SKIP("%s", gru_last_error());
    REQUIRE(status == GRU_OK, "%s", gru_last_error());
}

/* The stored bytes of one tensor are those of the weights; data NULL: zeros. */
static void check_stored(const gru_file *file, const char *name, int32_t type, const void *data) {
    gru_tensor tensor;
    REQUIRE(gru_file_tensor(file, name, &tensor) == GRU_OK, "%s", gru_last_error());
    CHECK(tensor.type == type, "%s is of type %d", name, tensor.type);
    CHECK((uintptr_t)tensor.data % gru_type_bytes(type) == 0, "%s is not aligned", name);
    static const double zeros[1024];
    CHECK(memcmp(tensor.data, data ? data : zeros, tensor.bytes) == 0, "%s has other bytes", name);
}

TEST(save, what_was_saved_is_what_is_loaded) {
    static sample s;
    make_sample(&s);
    const file_folder f = file_fixture_folder();
    save_or_skip(f.path, &s.config, "net.");
    gru_file *file = NULL;
    file_fixture_open(f.path, &file);
    check_stored(file, "net.weight_ih_l0", GRU_F32, s.layers[0].weights[0].W);
    check_stored(file, "net.bias_ih_l0", GRU_F32, s.layers[0].weights[0].bW);
    check_stored(file, "net.bias_hh_l0", GRU_F32, NULL);
    check_stored(file, "net.weight_hh_l0_reverse", GRU_F32, s.layers[0].weights[1].R);
    check_stored(file, "net.weight_hh_l1_reverse", GRU_F16, s.layers[1].weights[0].R);
    check_stored(file, "net.bias_hh_l1_reverse", GRU_F16, s.layers[1].weights[0].bR);
    check_stored(file, "net.weight_ih_l2", GRU_BF16, s.layers[2].weights[0].W);
    check_stored(file, "net.weight_hh_l2_reverse", GRU_F64, s.layers[2].weights[1].R);
    check_stored(file, "net.h0_l0", GRU_F32, NULL);
    check_stored(file, "net.h0_l1_reverse", GRU_F16, s.layers[1].h0[0]);
    check_stored(file, "net.h0_l2_reverse", GRU_F64, s.layers[2].h0[1]);
    static const char *const words[][2] = {
        {"reset", "before"},      {"l1.reset", "after"}, {"hard_slope", "0.16666667"},
        {"l1.hard_slope", "0.2"}, {"clip", "0.7"},       {"l2.clip", "0"},
        {"dropout", "0.25"},      {"l2.merge", "sum"},   {"initial_state", "learned"},
    };
    for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
        char key[64];
        (void)snprintf(key, sizeof key, "net.gru.%s", words[i][0]);
        const char *text = gru_file_metadata(file, key);
        CHECK(text && strcmp(text, words[i][1]) == 0, "%s is %s", key, text ? text : "not there");
    }
    gru_context *context = tester_context(NULL, 1);
    gru_stack *direct = NULL, *loaded = NULL;
    const gru_load_options options = file_fixture_f64_options();
    REQUIRE(gru_stack_create(context, &s.config, &direct) == GRU_OK, "%s", gru_last_error());
    REQUIRE(gru_stack_load(context, file, &options, &loaded) == GRU_OK, "%s", gru_last_error());
    gru_file_close(file);
    REQUIRE(gru_stack_sublayers(loaded) == gru_stack_sublayers(direct), "%d sublayers",
            gru_stack_sublayers(loaded));
    for (int32_t k = 0; k < gru_stack_sublayers(direct); k++) {
        gru_layer_config a, b;
        REQUIRE(gru_stack_sublayer(direct, k, &a, NULL) == GRU_OK &&
                    gru_stack_sublayer(loaded, k, &b, NULL) == GRU_OK,
                "%s", gru_last_error());
        CHECK(memcmp(&a, &b, sizeof a) == 0, "sublayer %d has another configuration", k);
    }
    double x[T * N * INPUTS], y[2][T * N * 2];
    tester_fill(x, GRU_F64, T * N * INPUTS, 1.0, 3);
    file_fixture_run(direct, T, N, x, y[0]);
    file_fixture_run(loaded, T, N, x, y[1]);
    CHECK(memcmp(y[0], y[1], sizeof y[0]) == 0, "the loaded stack computes something else");
    gru_stack_release(direct);
    gru_stack_release(loaded);
    gru_context_release(context);
    remove_folder(&f);
}

/* ---- every option ---- */

/* Layers and directions that differ in size, functions and their numbers, and in how directions become one. */
static void make_mixture(sample *s) {
    make_sample(s);
    gru_stack_layer *l = s->layers;
    l[0].config.gate = GRU_ACTIVATION_LEAKY_RELU, l[0].config.gate_alpha = 0.3f;
    l[0].config.candidate = GRU_ACTIVATION_SCALED_TANH;
    l[0].config.candidate_alpha = 1.7f, l[0].config.candidate_beta = -0.6f;
    l[0].reverse_config = l[0].config;
    l[0].reverse_config.hidden = 2, l[0].reverse_config.reset_mode = GRU_RESET_ALL;
    l[0].reverse_config.gate = GRU_GATE_SIGMOID, l[0].reverse_config.gate_alpha = 0;
    l[0].reverse_config.candidate_alpha = 0, l[0].reverse_config.clip = 0;
    l[1].config.inputs = 5, l[1].config.gate = GRU_GATE_SIGMOID;
    l[1].config.candidate = GRU_ACTIVATION_SOFTSIGN;
    l[2].config.gate = GRU_ACTIVATION_LEAKY_RELU;
    l[2].config.candidate = GRU_ACTIVATION_ELU, l[2].config.candidate_alpha = 2;
    l[2].merge = GRU_MERGE_MULTIPLY;
    l[2].reverse_config = l[2].config;
    l[2].reverse_config.gate = GRU_ACTIVATION_HARD_SIGMOID;
    l[2].reverse_config.gate_alpha = 0.3f, l[2].reverse_config.gate_beta = 0.25f;
    l[2].reverse_config.candidate = GRU_ACTIVATION_AFFINE;
    l[2].reverse_config.candidate_alpha = -2, l[2].reverse_config.candidate_beta = 0;
    add_weights(s, 0, 1, GRU_F32);
    add_weights(s, 1, 0, GRU_F16);
}

TEST(save, options_of_every_direction_come_back) {
    static sample s;
    make_mixture(&s);
    const file_folder f = file_fixture_folder();
    gru_context *context = tester_context(NULL, 1);
    gru_stack *direct = NULL, *loaded = NULL;
    gru_file *file = NULL;
    const gru_load_options options = file_fixture_f64_options();
    for (int merge = GRU_MERGE_SUM; merge <= GRU_MERGE_MULTIPLY; merge++) {
        if (merge == GRU_MERGE_SEPARATE) continue;
        s.layers[2].merge = merge;
        save_or_skip(f.path, &s.config, "");
        file_fixture_open(f.path, &file);
        REQUIRE(gru_stack_create(context, &s.config, &direct) == GRU_OK, "%s", gru_last_error());
        REQUIRE(gru_stack_load(context, file, &options, &loaded) == GRU_OK, "%s", gru_last_error());
        gru_file_close(file);
        for (int32_t k = 0; k < 5; k++) {
            gru_layer_config a, b;
            REQUIRE(gru_stack_sublayer(direct, k, &a, NULL) == GRU_OK &&
                        gru_stack_sublayer(loaded, k, &b, NULL) == GRU_OK,
                    "%s", gru_last_error());
            CHECK(memcmp(&a, &b, sizeof a) == 0, "sublayer %d has another configuration", k);
        }
        double x[T * N * INPUTS], y[2][T * N * 2];
        tester_fill(x, GRU_F64, T * N * INPUTS, 1.0, 3);
        file_fixture_run(direct, T, N, x, y[0]);
        file_fixture_run(loaded, T, N, x, y[1]);
        CHECK(memcmp(y[0], y[1], sizeof y[0]) == 0 && y[0][0] != 0,
              "merge %d: the loaded stack computes something else", merge);
        gru_stack_release(direct);
        gru_stack_release(loaded);
    }
    gru_context_release(context);
    remove_folder(&f);
}

TEST(save, the_same_stack_makes_the_same_bytes) {
    static sample s;
    make_sample(&s);
    const file_folder f = file_fixture_folder();
    size_t size[2];
    void *bytes[2];
    for (int i = 0; i < 2; i++) {
        save_or_skip(f.path, &s.config, NULL); /* the second time over the first */
        bytes[i] = file_read(f.path, &size[i]);
        REQUIRE(bytes[i], "cannot read %s", f.path);
    }
    CHECK(size[0] == size[1] && memcmp(bytes[0], bytes[1], size[0]) == 0, "two saves differ");
    CHECK(entries_in(f.name) == 1, "%d files are there", entries_in(f.name));
    free(bytes[0]);
    free(bytes[1]);
    remove_folder(&f);
}

/* ---- saving that fails ---- */

/* The old file is whole and nothing lies beside it. */
static void check_unharmed(const file_folder *f, const void *old, size_t old_size) {
    size_t size = 0;
    void *bytes = file_read(f->path, &size);
    CHECK(bytes && size == old_size && memcmp(bytes, old, size) == 0, "the old file changed");
    CHECK(entries_in(f->name) == 1, "%d files are there", entries_in(f->name));
    free(bytes);
}

TEST(save, a_full_disk_leaves_the_old_file) {
    static sample s;
    make_sample(&s);
    const file_folder f = file_fixture_folder();
    size_t size;
    save_or_skip(f.path, &s.config, NULL);
    void *old = file_read(f.path, &size);
    struct rlimit limit, none;
    REQUIRE(old && getrlimit(RLIMIT_FSIZE, &none) == 0, "no limits");
    (void)signal(SIGXFSZ, SIG_IGN);
    s.numbers.room[0][0][0][0] += 1;
    for (size_t room = 0; room < size; room += 97) { /* as if the disk were full after so many bytes */
        limit = none;
        limit.rlim_cur = room;
        REQUIRE(setrlimit(RLIMIT_FSIZE, &limit) == 0, "no limit");
        const gru_status status = gru_file_save(f.path, &s.config, NULL);
        REQUIRE(setrlimit(RLIMIT_FSIZE, &none) == 0, "no limit");
        CHECK(status == GRU_IO && strstr(gru_last_error(), f.path) &&
                  strstr(gru_last_error(), "File too large"),
              "%zu bytes: %s, %s", room, gru_status_name(status), gru_last_error());
        check_unharmed(&f, old, size);
    }
    free(old);
    remove_folder(&f);
}

TEST(save, places_that_cannot_be_written) {
    static sample s;
    make_sample(&s);
    const file_folder f = file_fixture_folder();
    char path[128];
    save_or_skip(f.path, &s.config, NULL);
    (void)snprintf(path, sizeof path, "%s/missing/a", f.name);
    CHECK(gru_file_save(path, &s.config, NULL) == GRU_IO && strstr(gru_last_error(), "No such file"), "%s",
          gru_last_error());
    CHECK(gru_file_save(f.name, &s.config, NULL) == GRU_IO && strstr(gru_last_error(), "not a regular file"),
          "%s", gru_last_error());
    CHECK(gru_file_save("/dev/full", &s.config, NULL) == GRU_IO, "a device was replaced");
    (void)snprintf(path, sizeof path, "%s/a/b", f.path);
    CHECK(gru_file_save(path, &s.config, NULL) == GRU_IO && strstr(gru_last_error(), "Not a directory"), "%s",
          gru_last_error());
    CHECK(entries_in(f.name) == 1, "%d files are there", entries_in(f.name));
    REQUIRE(chmod(f.path, 0640) == 0, "no mode");
    save_or_skip(f.path, &s.config, NULL);
    struct stat facts;
    CHECK(stat(f.path, &facts) == 0 && (facts.st_mode & 0777) == 0640, "the permissions changed");
    remove_folder(&f);
}

TEST(save, stacks_that_cannot_be_saved) {
    static sample s;
    const file_folder f = file_fixture_folder();
#define REFUSED(status, change, words)                                                       \
    do {                                                                                     \
        make_sample(&s);                                                                     \
        change;                                                                              \
        const gru_status got = gru_file_save(f.path, &s.config, NULL);                       \
        if (got == GRU_NOT_BUILT) SKIP("%s", gru_last_error());                              \
        CHECK(got == (status) && strstr(gru_last_error(), words), "%s: %s, \"%s\"", #change, \
              gru_status_name(got), gru_last_error());                                       \
    } while (0)
    REFUSED(GRU_BAD_ARGUMENT, s.config.count = 0, "config.count is 0");
    REFUSED(GRU_BAD_ARGUMENT, s.config.layers = NULL, "config.layers is NULL");
    REFUSED(GRU_BAD_ARGUMENT, s.config.dropout = 1, "config.dropout is 1");
    REFUSED(GRU_BAD_ARGUMENT, s.config.reserved[2] = 1, "config.reserved[2]");
    REFUSED(GRU_BAD_ARGUMENT, s.layers[2].config.hidden = 0, "config.layers[2]: config.hidden is 0");
    REFUSED(GRU_BAD_ARGUMENT, s.layers[0].config.inputs = 0, "config.layers[0].config.inputs is 0");
    REFUSED(GRU_BAD_ARGUMENT, s.layers[1].config.inputs = 5,
            "layers[1].config.inputs is 5, expected the outputs of the layer below: 6");
    REFUSED(GRU_BAD_ARGUMENT, s.layers[0].config.reset_mode = 3,
            "config.layers[0]: config.reset_mode is 3, expected 0 to 2");
    REFUSED(GRU_BAD_ARGUMENT, s.layers[1].config.update = -1,
            "config.layers[1]: config.update is -1, expected 0 to 1");
    REFUSED(GRU_BAD_ARGUMENT, s.layers[2].merge = 5, "merge is 5");
    REFUSED(GRU_BAD_ARGUMENT, s.layers[1].config.gate = 77, "config.layers[1]: config.gate is 77");
    REFUSED(GRU_BAD_ARGUMENT, s.layers[1].config.gate_alpha = 1, "config.layers[1]: config.gate_alpha is 1");
    REFUSED(GRU_BAD_ARGUMENT, s.layers[1].reverse_config = s.layers[1].config,
            "layers[1].reverse_config is given, but the layer has one direction");
    REFUSED(GRU_BAD_ARGUMENT,
            (s.layers[2].reverse_config = s.layers[2].config, s.layers[2].reverse_config.clip = -1),
            "config.layers[2], reverse: config.clip is -1");
    REFUSED(GRU_BAD_ARGUMENT, s.layers[1].h0[1] = s.states, "layers[1].h0[1] is given");
    REFUSED(GRU_BAD_ARGUMENT, s.layers[2].bidirectional = 2, "bidirectional is 2");
    REFUSED(GRU_BAD_ARGUMENT, s.layers[1].config.direction = 2, "direction is 2");
    REFUSED(GRU_BAD_ARGUMENT, s.layers[1].config.clip = NAN, "clip is nan");
    REFUSED(GRU_BAD_ARGUMENT, s.layers[1].config.clip = -1, "clip is -1");
    REFUSED(GRU_BAD_ARGUMENT, s.layers[1].config.hard_slope = INFINITY, "hard_slope is inf");
    REFUSED(GRU_BAD_ARGUMENT, s.layers[1].config.reserved[0] = 1, "config.layers[1]: config.reserved[0]");
    REFUSED(GRU_BAD_ARGUMENT, s.layers[2].weights[1].R = NULL, "config.layers[2].weights[1].R is NULL");
    REFUSED(GRU_BAD_ARGUMENT, s.layers[2].weights[1].W = NULL, "config.layers[2].weights[1].W is NULL");
    REFUSED(GRU_BAD_ARGUMENT, s.layers[0].weights[0].on_device = 1, "on_device is 1");
    REFUSED(GRU_UNSUPPORTED, s.layers[0].weights[0].type = 5, "type is ");
    REFUSED(GRU_BAD_ARGUMENT, s.layers[0].weights[0].type = GRU_INT8,
            "config.layers[0].weights[0].R_scale is NULL, expected a scale for each row with GRU_INT8");
    REFUSED(GRU_BAD_ARGUMENT, s.layers[2].weights[1].W_scale = (const float *)s.states,
            "config.layers[2].weights[1].W_scale is given, expected NULL: its type is ");
    REFUSED(GRU_BAD_ARGUMENT, s.layers[0].merge = GRU_MERGE_SEPARATE,
            "layers[0].merge is GRU_MERGE_SEPARATE, which only the last layer, 2, can have");
    REFUSED(GRU_BAD_ARGUMENT, s.layers[2].config.hidden = (1 << 24) + 1,
            "hidden is 16777217, expected 1 to 16777216");
    REFUSED(GRU_BAD_ARGUMENT, s.layers[0].config.inputs = (1 << 24) + 1,
            "inputs is 16777217, expected 0 to 16777216");
    REFUSED(GRU_BAD_ARGUMENT, s.config.dropout = NAN, "config.dropout is nan");
    make_sample(&s);
    CHECK(gru_file_save(NULL, &s.config, NULL) == GRU_BAD_ARGUMENT, "path NULL");
    CHECK(gru_file_save(f.path, NULL, NULL) == GRU_BAD_ARGUMENT, "config NULL");
    CHECK(gru_file_save(f.path, &s.config, "\xff.") == GRU_BAD_ARGUMENT &&
              strstr(gru_last_error(), "not UTF-8"),
          "%s", gru_last_error());
    const size_t length = 3000000; /* 41 names and keys begin with it */
    char *prefix = tester_allocate(length + 1);
    memset(prefix, 'p', length);
    prefix[length] = '\0';
    CHECK(gru_file_save(f.path, &s.config, prefix) == GRU_BAD_ARGUMENT &&
              strstr(gru_last_error(), "with a prefix of 3000000 bytes has") &&
              strstr(gru_last_error(), "expected at most 100000000"),
          "%s", gru_last_error());
    tester_free(prefix);
    CHECK(entries_in(f.name) == 0, "a refused save wrote");
    remove_folder(&f);
}

/* ---- the folder ---- */

/* Saves in a process that the system kills in the middle of it, after so many bytes of the file. */
static void save_and_die(const char *path, const gru_stack_config *config, rlim_t bytes) {
    int end;
    const pid_t child = fork();
    if (child == 0) {
        const struct rlimit limit = {bytes, bytes}, none = {0, 0};
        (void)signal(SIGXFSZ, SIG_DFL);
        if (setrlimit(RLIMIT_FSIZE, &limit) == 0 && setrlimit(RLIMIT_CORE, &none) == 0)
            (void)gru_file_save(path, config, NULL);
        _exit(0);
    }
    REQUIRE(child > 0 && waitpid(child, &end, 0) == child, "no child");
    REQUIRE(WIFSIGNALED(end) && WTERMSIG(end) == SIGXFSZ, "the child ended with %x", (unsigned)end);
}

TEST(save, what_dead_writers_left_is_removed) {
    static sample s;
    make_sample(&s);
    const file_folder f = file_fixture_folder();
    size_t size;
    save_or_skip(f.path, &s.config, NULL);
    void *old = file_read(f.path, &size);
    for (rlim_t bytes = 0; bytes < 900; bytes += 100) {
        save_and_die(f.path, &s.config, bytes);
        CHECK(entries_in(f.name) == 2, "%d files are there", entries_in(f.name));
    }
    size_t now = 0;
    void *bytes = file_read(f.path, &now);
    CHECK(old && bytes && now == size && memcmp(bytes, old, size) == 0, "a killed writer changed the file");
    save_or_skip(f.path, &s.config, NULL);
    CHECK(entries_in(f.name) == 1, "%d files are there", entries_in(f.name));
    free(old);
    free(bytes);
    remove_folder(&f);
}

/* Names that look like leftovers: of a writer that lives, of a link, of a folder. None is touched or waited for. */
TEST(save, what_is_no_leftover_stays) {
    static sample s;
    make_sample(&s);
    const file_folder f = file_fixture_folder();
    char living[64], link[64], within[64];
    (void)snprintf(living, sizeof living, "%s/.gru-save-0.tmp", f.name);
    (void)snprintf(link, sizeof link, "%s/.gru-save-1.tmp", f.name);
    (void)snprintf(within, sizeof within, "%s/.gru-save-2.tmp", f.name);
    const int descriptor = open(living, O_RDWR | O_CREAT, 0600);
    REQUIRE(descriptor >= 0 && flock(descriptor, LOCK_EX) == 0 && write(descriptor, "mine", 4) == 4,
            "no file");
    REQUIRE(symlink(living, link) == 0 && mkdir(within, 0700) == 0, "no link or folder");
    save_or_skip(f.path, &s.config, NULL);
    struct stat facts;
    CHECK(fstat(descriptor, &facts) == 0 && facts.st_nlink == 1 && facts.st_size == 4,
          "a living writer's file");
    CHECK(lstat(link, &facts) == 0 && S_ISLNK(facts.st_mode), "the link is gone");
    CHECK(entries_in(f.name) == 4, "%d files are there", entries_in(f.name));
    (void)close(descriptor); /* also ends the lock */
    save_or_skip(f.path, &s.config, NULL);
    CHECK(lstat(living, &facts) != 0, "a leftover is still there");
    (void)unlink(link);
    (void)rmdir(within);
    remove_folder(&f);
}

TEST(save, links_are_followed) {
    static sample s;
    make_sample(&s);
    const file_folder f = file_fixture_folder(), other = file_fixture_folder();
    char link[64];
    struct stat facts;
    (void)snprintf(link, sizeof link, "%s/link", other.name);
    REQUIRE(symlink(f.path, link) == 0, "no link");
    const gru_status status = gru_file_save(link, &s.config, NULL);
    if (status == GRU_NOT_BUILT) SKIP("%s", gru_last_error());
    CHECK(status == GRU_IO && strstr(gru_last_error(), "is a symbolic link to a file that is not there"),
          "%s", gru_last_error());
    save_or_skip(f.path, &s.config, NULL);
    s.config.dropout = 0.5f;
    save_or_skip(link, &s.config, NULL);
    CHECK(lstat(link, &facts) == 0 && S_ISLNK(facts.st_mode), "the link was replaced");
    gru_file *file = NULL;
    file_fixture_open(f.path, &file);
    CHECK(strcmp(gru_file_metadata(file, "gru.dropout"), "0.5") == 0, "the file was not");
    gru_file_close(file);
    CHECK(entries_in(f.name) == 1 && entries_in(other.name) == 1, "something lies beside");
    (void)unlink(link);
    remove_folder(&f);
    remove_folder(&other);
}

/* The longest name that the system allows leaves no room for a longer one beside it. */
TEST(save, long_names) {
    static sample s;
    make_sample(&s);
    const file_folder f = file_fixture_folder();
    char path[300];
    (void)snprintf(path, sizeof path, "%s/%0250d", f.name, 7);
    save_or_skip(path, &s.config, NULL);
    CHECK(unlink(path) == 0, "it has another name");
    REQUIRE(chdir(f.name) == 0, "no folder");
    save_or_skip("plain", &s.config, NULL);
    CHECK(unlink("plain") == 0, "it lies elsewhere");
    REQUIRE(chdir("/") == 0, "no way back");
    remove_folder(&f);
}
