/* test_import_memory.c: every allocation behind files and stacks fails once, and nothing is left behind. */
#include <errno.h>
#include <malloc.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "support/file_maker.h"
#include "gru/import.h"
#include "support/tester.h"

/* ---- the program's allocator: the system's, which can be told to refuse ---- */

static int armed;
static long left, live; /* allocations until the one that fails; blocks made and not freed while armed */
static size_t in_use, most_in_use; /* bytes of those blocks, now and at most */

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__) || defined(GRU_TEST_PLAIN)
static const char *const unable = "the allocator of a sanitizer or a static program cannot be replaced";
#else
static const char *const unable = NULL;
static int refuses(void) {
    if (!armed || left-- != 0) return 0;
    errno = ENOMEM;
    return 1;
}

static void *count(void *block) {
    if (!armed || !block) return block;
    live++;
    in_use += malloc_usable_size(block);
    if (in_use > most_in_use) most_in_use = in_use;
    return block;
}

extern void *__libc_malloc(size_t bytes);
extern void *__libc_calloc(size_t number, size_t bytes);
extern void *__libc_realloc(void *block, size_t bytes);
extern void *__libc_memalign(size_t alignment, size_t bytes);
extern void __libc_free(void *block);

#pragma GCC visibility push(default) /* so that other libraries get these too */

void *malloc(size_t bytes) {
    return refuses() ? NULL : count(__libc_malloc(bytes));
}

void *calloc(size_t number, size_t bytes) {
    return refuses() ? NULL : count(__libc_calloc(number, bytes));
}

void *realloc(void *block, size_t bytes) {
    if (refuses()) return NULL;
    void *moved = __libc_realloc(block, bytes);
    return block ? moved : count(moved);
}

void *aligned_alloc(size_t alignment, size_t bytes) {
    return refuses() ? NULL : count(__libc_memalign(alignment, bytes));
}

void free(void *block) {
    if (armed && block) live--, in_use -= malloc_usable_size(block);
    __libc_free(block);
}

#pragma GCC visibility pop
#endif

/* ---- every allocation of a task ---- */

static char path[] = "/tmp/gru_test_XXXXXX"; /* a file of one GRU */
static gru_context *context;

/* Runs the task again and again, each time with the next allocation refused, until none is left to refuse. */
static void refuse_each(const char *what, gru_status (*task)(void)) {
    gru_status status = GRU_OUT_OF_MEMORY;
    int refused = 0;
    for (long i = 0; i < 100000; i++) {
        left = i;
        live = 0;
        armed = 1;
        status = task();
        armed = 0;
        const int all_granted = left >= 0;
        CHECK(live == 0, "%s, allocation %ld refused: %ld blocks are left", what, i, live);
        CHECK(status == GRU_OUT_OF_MEMORY || status == GRU_OK, "%s, allocation %ld refused: %s, %s", what, i,
              gru_status_name(status), gru_last_error());
        if (all_granted) break;
        refused += status == GRU_OUT_OF_MEMORY;
    }
    CHECK(status == GRU_OK && refused >= 2, "%s: %d allocations were refused, at last %s", what, refused,
          gru_status_name(status));
}

static gru_status open_and_close(void) {
    gru_file *file = NULL;
    const gru_status status = gru_file_open(path, &file);
    gru_file_close(file);
    return status;
}

static gru_status load_and_release(void) {
    gru_file *file = NULL;
    gru_stack *stack = NULL;
    gru_status status = gru_file_open(path, &file);
    if (status == GRU_OK) status = gru_stack_load(context, file, NULL, &stack);
    gru_stack_release(stack);
    gru_file_close(file);
    return status;
}

static gru_status save_layer(const void *h0) {
    static const float W[6 * 3], R[6 * 2], b[6];
    gru_stack_layer layer = GRU_INIT;
    gru_stack_config config = GRU_INIT;
    layer.config.inputs = 3, layer.config.hidden = 2;
    layer.weights[0].W = W, layer.weights[0].R = R, layer.weights[0].bW = b;
    layer.h0[0] = h0;
    config.layers = &layer, config.count = 1;
    return gru_file_save(path, &config, "p.");
}

static gru_status save(void) {
    return save_layer(NULL);
}

static gru_status save_with_state(void) {
    static const float h0[2] = {1, 2};
    return save_layer(h0);
}

/* Two layers whose data is not aligned, so that loading copies it. */
static void make_file(void) {
    file_maker f = {.offset = 0};
    size_t size;
    file_add(&f, "__metadata__", "{\"gru.clip\":\"2.5\",\"gru.dropout\":\"0.25\"}");
    file_add_tensor(&f, "odd", "U8", "[1]", 1);
    file_add_tensor(&f, "weight_ih_l0", "F32", "[6,3]", 72);
    file_add_tensor(&f, "weight_hh_l0", "F32", "[6,2]", 48);
    file_add_tensor(&f, "weight_ih_l1", "F64", "[3,2]", 48);
    file_add_tensor(&f, "weight_hh_l1", "F64", "[3,1]", 24);
    void *bytes = file_finish(&f, &size);
    const int descriptor = mkstemp(path);
    REQUIRE(descriptor >= 0 && write(descriptor, bytes, size) == (ssize_t)size && close(descriptor) == 0,
            "no file");
    free(bytes);
}

TEST(import_memory, every_allocation_fails_once) {
    if (unable) SKIP("%s", unable);
    make_file();
    const gru_status status = open_and_close();
    if (status == GRU_NOT_BUILT) SKIP("%s", gru_last_error());
    context = tester_context(NULL, 1);
    refuse_each("open", open_and_close);
    refuse_each("load", load_and_release);
    refuse_each("save", save);
    refuse_each("save with an initial state", save_with_state);
    refuse_each("open what was saved", open_and_close);
    refuse_each("load what was saved", load_and_release);
    gru_context_release(context);
    (void)unlink(path);
}

/* Opens a header of so many copies of a form with a number in it, and checks the memory that this took. */
static void check_memory(const char *what, const char *begin, const char *form, const char *end, int copies) {
    const size_t room = strlen(begin) + strlen(end) + (size_t)copies * (strlen(form) + 8);
    char *header = tester_allocate(room);
    size_t used = (size_t)sprintf(header, "%s", begin), size;
    for (int i = 0; i < copies; i++) {
        if (i) header[used++] = ',';
        used += (size_t)sprintf(header + used, form, i);
    }
    used += (size_t)sprintf(header + used, "%s", end);
    void *bytes = file_bytes(header, -1, 0, &size);
    gru_file *file = NULL;
    in_use = most_in_use = 0;
    left = -1;
    armed = 1;
    const gru_status status = gru_file_parse(bytes, size, &file);
    armed = 0;
    CHECK(status == GRU_OK, "%s: %s", what, gru_last_error());
    CHECK(most_in_use > 0 && most_in_use < 2 * used, "%s: %zu bytes for a header of %zu", what, most_in_use,
          used);
    gru_file_close(file);
    tester_free(header);
    free(bytes);
}

/* Of the shortest tensors and keys that there are. */
TEST(import_memory, stays_below_twice_the_header) {
    if (unable) SKIP("%s", unable);
    const gru_status status = gru_file_parse("", 0, &(gru_file *){NULL});
    if (status == GRU_NOT_BUILT) SKIP("%s", gru_last_error());
    check_memory("tensors", "{", "\"%x\":{\"dtype\":\"\",\"shape\":[],\"data_offsets\":[0,0]}", "}", 20000);
    check_memory("keys", "{\"__metadata__\":{", "\"%x\":\"\"", "}}", 100000);
    check_memory("dimensions", "{\"t\":{\"dtype\":\"F32\",\"data_offsets\":[0,0],\"shape\":[", "%d", "]}}",
                 100000);
}
