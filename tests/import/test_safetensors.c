/* test_safetensors.c: files of tensors that are right, and all the ways in which they can be wrong. */
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "support/file_maker.h"
#include "gru/import.h"
#include "support/tester.h"

#define OFFSETS(b, e) "\"data_offsets\":[" #b "," #e "]"
#define TENSOR(name, dtype, shape, b, e) \
    "\"" name "\":{\"dtype\":\"" dtype "\",\"shape\":" shape "," OFFSETS(b, e) "}"

static const char good[] =
    "{\"__metadata__\":{\"format\":\"pt\",\"empty\":\"\"}," TENSOR("b", "F32", "[2,3]", 8, 32) "," TENSOR(
        "a", "I64", "[]", 0, 8) "," TENSOR("none", "F16", "[0,5]", 8, 8) "}";
enum { GOOD_DATA = 32 };

static void skip_if_not_built(gru_status status) {
    if (status == GRU_NOT_BUILT) SKIP("%s", gru_last_error());
}

/* Ends the test where the file cannot be read. */
static gru_file *parse(const void *bytes, size_t size) {
    gru_file *file = NULL;
    const gru_status status = gru_file_parse(bytes, size, &file);
    skip_if_not_built(status);
    REQUIRE(status == GRU_OK, "%s", gru_last_error());
    return file;
}

TEST(safetensors, a_right_file) {
    size_t size;
    void *bytes = file_bytes(good, -1, GOOD_DATA, &size);
    gru_file *file = parse(bytes, size);
    gru_tensor tensor;
    REQUIRE(gru_file_tensor(file, "b", &tensor) == GRU_OK, "%s", gru_last_error());
    CHECK(tensor.type == GRU_F32 && tensor.rank == 2 && tensor.shape[0] == 2 && tensor.shape[1] == 3 &&
              tensor.bytes == 24,
          "b is type %d, rank %d, %zu bytes", tensor.type, tensor.rank, tensor.bytes);
    CHECK(tensor.data == (char *)bytes + size - 24, "b lies elsewhere");
    REQUIRE(gru_file_tensor(file, "a", &tensor) == GRU_OK, "%s", gru_last_error());
    CHECK(tensor.type == GRU_TENSOR_I64 && tensor.rank == 0 && tensor.bytes == 8, "a is type %d",
          tensor.type);
    REQUIRE(gru_file_tensor(file, "none", &tensor) == GRU_OK, "%s", gru_last_error());
    CHECK(tensor.bytes == 0 && tensor.shape[1] == 5, "none has %zu bytes", tensor.bytes);
    static const char *const order[] = {"a", "none", "b"};
    for (int i = 0; i < 3; i++)
        CHECK(strcmp(gru_file_name(file, i), order[i]) == 0, "name %d is %s", i, gru_file_name(file, i));
    CHECK(!gru_file_name(file, 3) && !gru_file_name(file, -1), "a name past the last");
    CHECK(strcmp(gru_file_metadata(file, "format"), "pt") == 0, "format is %s",
          gru_file_metadata(file, "format"));
    CHECK(strcmp(gru_file_metadata(file, "empty"), "") == 0, "empty is not");
    CHECK(!gru_file_metadata(file, "Format") && !gru_file_metadata(file, "a"), "metadata from nowhere");
    CHECK(gru_file_tensor(file, "A", &tensor) == GRU_BAD_DATA && strstr(gru_last_error(), "no tensor \"A\""),
          "%s", gru_last_error());
    gru_file_close(file);
    free(bytes);
}

TEST(safetensors, every_known_type) {
    static const struct {
        const char *dtype;
        size_t bytes;
        int32_t type;
    } types[] = {{"F32", 4, GRU_F32},
                 {"F16", 2, GRU_F16},
                 {"BF16", 2, GRU_BF16},
                 {"F64", 8, GRU_F64},
                 {"I8", 1, GRU_INT8},
                 {"I32", 4, GRU_TENSOR_I32},
                 {"I64", 8, GRU_TENSOR_I64},
                 {"U8", 1, GRU_TENSOR_U8},
                 {"BOOL", 1, GRU_TENSOR_OTHER},
                 {"I16", 2, GRU_TENSOR_OTHER},
                 {"U16", 2, GRU_TENSOR_OTHER},
                 {"U32", 4, GRU_TENSOR_OTHER},
                 {"U64", 8, GRU_TENSOR_OTHER},
                 {"F8_E4M3", 1, GRU_TENSOR_OTHER},
                 {"F8_E5M2", 1, GRU_TENSOR_OTHER},
                 {"F8_E8M0", 1, GRU_TENSOR_OTHER},
                 {"F8_E4M3FNUZ", 1, GRU_TENSOR_OTHER},
                 {"F8_E5M2FNUZ", 1, GRU_TENSOR_OTHER},
                 {"C64", 8, GRU_TENSOR_OTHER}};
    for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
        file_maker f = {.offset = 0};
        file_add_tensor(&f, "t", types[i].dtype, "[3]", 3 * types[i].bytes);
        size_t size;
        void *bytes = file_finish(&f, &size);
        gru_file *file = parse(bytes, size);
        gru_tensor tensor;
        REQUIRE(gru_file_tensor(file, "t", &tensor) == GRU_OK, "%s", gru_last_error());
        CHECK(tensor.type == types[i].type && tensor.bytes == 3 * types[i].bytes, "%s is type %d",
              types[i].dtype, tensor.type);
        CHECK(strcmp(tensor.dtype, types[i].dtype) == 0, "%s is called %s", types[i].dtype, tensor.dtype);
        gru_file_close(file);
        free(bytes);
    }
}

/* Elements of less than a byte fill whole bytes together. Of a dtype that nobody knows, only the place is checked. */
TEST(safetensors, types_that_are_listed_only) {
    static const struct {
        const char *dtype, *shape;
        size_t bytes;
        const char *words; /* NULL: it is listed */
    } types[] = {{"F4", "[3,2]", 3, NULL},
                 {"F4", "[3,2]", 4, "lies in 4 bytes, but its shape and dtype F4 make 3"},
                 {"F4", "[3]", 1, "dtype F4 make 1 and a part"},
                 {"F6_E2M3", "[4]", 3, NULL},
                 {"F6_E3M2", "[2,2]", 3, NULL},
                 {"F6_E3M2", "[4]", 4, "dtype F6_E3M2 make 3"},
                 {"F31", "[5,7]", 9, NULL},
                 {"f32", "[1]", 2, NULL},
                 {"", "[]", 0, NULL}};
    for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
        file_maker f = {.offset = 0};
        file_add_tensor(&f, "t", types[i].dtype, types[i].shape, types[i].bytes);
        size_t size;
        void *bytes = file_finish(&f, &size);
        gru_file *file = NULL;
        gru_tensor tensor;
        const gru_status status = gru_file_parse(bytes, size, &file);
        skip_if_not_built(status);
        if (types[i].words) {
            CHECK(status == GRU_BAD_DATA && strstr(gru_last_error(), types[i].words), "%s: %s",
                  types[i].dtype, gru_last_error());
        } else {
            REQUIRE(status == GRU_OK, "%s: %s", types[i].dtype, gru_last_error());
            REQUIRE(gru_file_tensor(file, "t", &tensor) == GRU_OK, "%s", gru_last_error());
            CHECK(tensor.type == GRU_TENSOR_OTHER && tensor.bytes == types[i].bytes &&
                      strcmp(tensor.dtype, types[i].dtype) == 0,
                  "%s: type %d, dtype %s, %zu bytes", types[i].dtype, tensor.type, tensor.dtype,
                  tensor.bytes);
        }
        gru_file_close(file);
        free(bytes);
    }
}

TEST(safetensors, more_dimensions_than_a_tensor_has_room_for) {
    file_maker f = {.offset = 0};
    file_add_tensor(&f, "nine", "F32", "[1,1,1,1,1,1,1,1,2]", 8);
    file_add_tensor(&f, "eight", "F32", "[1,1,1,1,1,1,1,2]", 8);
    size_t size;
    void *bytes = file_finish(&f, &size);
    gru_file *file = parse(bytes, size);
    gru_tensor tensor;
    CHECK(strcmp(gru_file_name(file, 0), "nine") == 0, "it is not listed");
    CHECK(gru_file_tensor(file, "nine", &tensor) == GRU_UNSUPPORTED &&
              strstr(gru_last_error(), "\"nine\" has 9 dimensions, expected at most 8"),
          "%s", gru_last_error());
    CHECK(gru_file_tensor(file, "eight", &tensor) == GRU_OK && tensor.shape[7] == 2, "%s", gru_last_error());
    gru_file_close(file);
    free(bytes);
}

/* As save_model of the safetensors package leaves tied weights: the second name is a key with the first one as text. */
TEST(safetensors, another_name_of_a_tensor) {
    file_maker f = {.offset = 0};
    file_add(&f, "__metadata__", "{\"format\":\"pt\",\"tied\":\"kept\",\"lost\":\"gone\",\"kept\":\"tied\"}");
    file_add_tensor(&f, "kept", "F32", "[2]", 8);
    size_t size;
    void *bytes = file_finish(&f, &size);
    gru_file *file = parse(bytes, size);
    gru_tensor kept, tied;
    REQUIRE(gru_file_tensor(file, "kept", &kept) == GRU_OK && gru_file_tensor(file, "tied", &tied) == GRU_OK,
            "%s", gru_last_error());
    CHECK(kept.data == tied.data && tied.bytes == 8 && tied.shape[0] == 2, "tied is another tensor");
    CHECK(gru_file_tensor(file, "lost", &tied) == GRU_BAD_DATA, "lost was found");
    CHECK(gru_file_tensor(file, "format", &tied) == GRU_BAD_DATA, "format was found");
    CHECK(!gru_file_name(file, 1), "it is listed twice");
    gru_file_close(file);
    free(bytes);
}

/* Escapes of JSON in names, keys and values. */
TEST(safetensors, escapes) {
    size_t size;
    void *bytes = file_bytes("{\"__metadata__\":{\"\\u00e9\\n\\t\":\"\\ud83d\\ude00\\/\\\\ "
                             "\\\"\\b\\f\\r\"},\"\\u20AC.x\":{\"dtype\":"
                             "\"\\u00558\",\"shape\":[2],\"data_offsets\":[0,2]}}",
                             -1, 2, &size);
    gru_file *file = parse(bytes, size);
    gru_tensor tensor;
    const char *text = gru_file_metadata(file, "\xc3\xa9\n\t");
    CHECK(text && strcmp(text, "\xf0\x9f\x98\x80/\\ \"\b\f\r") == 0, "the text is %s",
          text ? text : "not there");
    CHECK(gru_file_tensor(file, "\xe2\x82\xac.x", &tensor) == GRU_OK && tensor.type == GRU_TENSOR_U8, "%s",
          gru_last_error());
    gru_file_close(file);
    free(bytes);
}

/* ---- wrong files ---- */

typedef struct wrong {
    const char *words; /* in the sentence; NULL: not wrong at all */
    const char *header;
    size_t data;
    long long length; /* 0: the true one */
} wrong;

#define X(begin, end) TENSOR("x", "F32", "[2]", begin, end)
#define SHAPE(shape) "{" TENSOR("x", "F32", shape, 0, 8) "}"
#define PLACE(offsets) "{\"x\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":" offsets "}}"

static const wrong wrongs[] = {
    {NULL, "{}", 0, 0},
    {NULL, "{} \n\t\r ", 0, 0},
    {NULL, "{" X(0, 8) "}", 8, 0},
    {NULL, "{" X(8, 16) "," TENSOR("y", "U8", "[8]", 0, 8) "}", 16, 0},
    {NULL, "{\"x\":{\"shape\":[2]," OFFSETS(0, 8) ",\"dtype\":\"F32\"}}", 8, 0},
    {"has the field \"new\", expected dtype, shape, data_offsets",
     "{\"x\":{\"shape\":[2],\"new\":[{}]," OFFSETS(0, 8) ",\"dtype\":\"F32\"}}", 8, 0},
    {NULL, "{\"\\u00fc\\\\u0000\":{\"shape\":[2]," OFFSETS(0, 8) ",\"dtype\":\"F32\"}}", 8, 0},
    {NULL, SHAPE("[1,1,1,1,1,1,1,2]"), 8, 0},
    {NULL, "{" TENSOR("", "F32", "[ 2 ]", 0, 8) "}", 8, 0},
    {NULL, "{ \"x\" : { \"dtype\" : \"F32\" , \"shape\" : [ 1 , 2 ] , \"data_offsets\" : [ 0 , 8 ] } }", 8,
     0},
    {"length is 1073741824, expected at most 100000000", "{}", 0, 1073741824},
    {"length is 100000000, but only 2", "{}", 0, 100000000},
    {"length is 3, but only 2", "{}", 0, 3},
    {"is a zip archive, as .pt, .npz and .keras files are, expected a safetensors file", "{}", 0,
     0x0808000004034b50}, /* the first bytes of what torch.save writes */
    {"is an HDF5 file, expected a safetensors file", "{}", 0, 0x0a1a0a0d46444889},
    {"does not end with '}'", "{}", 0, 1},
    {"does not start with '{'", "", 0, 0},
    {"does not start with '{'", "    ", 4, 0},
    {"does not start with '{'", " {}", 0, 0},
    {"does not start with '{'", "[]", 0, 0},
    {"does not start with '{'", "\xef\xbb\xbf{}", 0, 0},
    {"does not end with '}'", "{]", 0, 0},
    {"is not JSON from its byte", "{}}", 0, 0},
    {"is not JSON from its byte", "{}{}", 0, 0},
    {"is not described by an object", "{\"x\":nul}", 0, 0},
    {"is not described by an object", "{\"x\":}", 0, 0},
    {"is not JSON from its byte", "{\"x\"}", 0, 0},
    {"is not JSON from its byte", "{,}", 0, 0},
    {"is not JSON from its byte", "{" X(0, 8) ",}", 8, 0},
    {"is not JSON from its byte", "{" X(0, 8) "\"y\":{}}", 8, 0},
    {"is not JSON from its byte", "{\"x\":{\"dtype\":\"F32\",}}", 8, 0},
    {"is not JSON from its byte", "{\"x\":{\"dtype\":\"F32}}", 8, 0},
    {"is not JSON from its byte", "{\"__metadata__\":{\"a\":\"b\",}}", 0, 0},
    {"is not JSON from its byte", "{\"\\q\":1}", 0, 0},
    {"is not JSON from its byte", "{\"\\ud800\":1}", 0, 0},
    {"is not JSON from its byte", "{\"\\ud800\\ud800\":1}", 0, 0},
    {"is not JSON from its byte", "{\"\\udc00\":1}", 0, 0},
    {"is not JSON from its byte", "{\"\\u12g4\":1}", 0, 0},
    {"is not JSON from its byte", "{\"\\u12}", 0, 0},
    {"is not JSON from its byte", "{'x':1}", 0, 0},
    {"is not JSON from its byte 1", "{\x01}", 0, 0},
    {"control character 10", "{\"a\nb\":1}", 0, 0},
    {"zero character", "{\"x\\u0000\":1}", 0, 0},
    {"not UTF-8 at its byte 2", "{\"\xff\":1}", 0, 0},
    {"not UTF-8 at its byte 2", "{\"\xc0\xaf\":1}", 0, 0},
    {"not UTF-8 at its byte 2", "{\"\xed\xa0\x80\":1}", 0, 0},
    {"not UTF-8 at its byte 2", "{\"\xf4\x90\x80\x80\":1}", 0, 0},
    {"two tensors \"x\"", "{" X(0, 8) "," X(8, 16) "}", 16, 0},
    {"two tensors \"x\"", "{" X(0, 8) ",\"\\u0078\":{\"dtype\":\"F32\",\"shape\":[2]," OFFSETS(8, 16) "}}",
     16, 0},
    {"is not described by an object", "{\"x\":1}", 0, 0},
    {"is not described by an object", "{\"x\":[]}", 0, 0},
    {"has no dtype", "{\"x\":{}}", 0, 0},
    {"has no dtype", "{\"x\":{\"dtype\":1,\"shape\":[2]," OFFSETS(0, 8) "}}", 8, 0},
    {"has dtype twice", "{\"x\":{\"dtype\":\"F32\",\"dtype\":\"F32\",\"shape\":[2]," OFFSETS(0, 8) "}}", 8,
     0},
    {"has data_offsets twice", "{\"x\":{" OFFSETS(0, 8) "," OFFSETS(0, 8) ",\"shape\":[2]}}", 8, 0},
    {"has shape twice", "{\"x\":{\"dtype\":\"F32\",\"shape\":[2],\"shape\":[2]," OFFSETS(0, 8) "}}", 8, 0},
    {"has no shape", "{\"x\":{\"dtype\":\"F32\"," OFFSETS(0, 8) "}}", 8, 0},
    {"has no shape", SHAPE("2"), 8, 0},
    {"has no shape", SHAPE("{\"a\":2}"), 8, 0},
    {"shape[0] that is no integer", SHAPE("[-2]"), 8, 0},
    {"shape[0] that is no integer", SHAPE("[2.5]"), 8, 0},
    {"shape[0] that is no integer", SHAPE("[2.0]"), 8, 0},
    {"shape[0] that is no integer", SHAPE("[2e0]"), 8, 0},
    {"shape[0] that is no integer", SHAPE("[02]"), 8, 0},
    {"shape[0] that is no integer", SHAPE("[00]"), 0, 0},
    {"shape[0] that is no integer", SHAPE("[,2]"), 8, 0},
    {"shape[1] that is no integer", SHAPE("[2,]"), 8, 0},
    {"is not JSON from its byte", SHAPE("[2 1]"), 8, 0},
    {"shape[0] that is no integer", SHAPE("[\"2\"]"), 8, 0},
    {"shape[0] that is no integer", SHAPE("[null]"), 8, 0},
    {"shape[0] that is no integer", SHAPE("[9007199254740992]"), 8, 0},
    {"shape[1] that is no integer", SHAPE("[1,1e999]"), 8, 0},
    {NULL, SHAPE("[1,1,1,1,1,1,1,1,2]"), 8, 0},
    {"lies in 8 bytes, but its shape and dtype F32 make 12", SHAPE("[1,1,1,1,1,1,1,1,3]"), 8, 0},
    {"more bytes than there are addresses", SHAPE("[9007199254740991,9007199254740991]"), 8, 0},
    {"more bytes than there are addresses", SHAPE("[4611686018427387,4096]"), 8, 0},
    {"lies in 8 bytes, but its shape and dtype F32 make 12", SHAPE("[3]"), 8, 0},
    {"lies in 8 bytes, but its shape and dtype F32 make 0", SHAPE("[0]"), 8, 0},
    {"lies in 8 bytes, but its shape and dtype F32 make 4", SHAPE("[]"), 8, 0},
    {"has no data_offsets", "{\"x\":{\"dtype\":\"F32\",\"shape\":[2]}}", 8, 0},
    {"data_offsets that are not two", PLACE("[]"), 8, 0},
    {"data_offsets that are not two", PLACE("[0]"), 8, 0},
    {"data_offsets that are not two", PLACE("[0,8,8]"), 8, 0},
    {"data_offsets that are not two", PLACE("[-1,7]"), 8, 0},
    {"data_offsets that are not two", PLACE("[0,8.5]"), 8, 0},
    {"data_offsets that are not two", PLACE("[0,9007199254740993]"), 8, 0},
    {"data_offsets that are not two", PLACE("[\"0\",8]"), 8, 0},
    {"data_offsets that are not two", PLACE("{\"a\":0,\"b\":8}"), 8, 0},
    {"begins at byte 8 and ends before", PLACE("[8,0]"), 8, 0},
    {"ends at byte 8, but the data has only 7", PLACE("[0,8]"), 7, 0},
    {"ends at byte 9007199254740991, but", PLACE("[0,9007199254740991]"), 8, 0},
    {"bytes 8 to 9 of the data belong to no tensor", "{" X(0, 8) "}", 9, 0},
    {"bytes 0 to 1 of the data belong to no tensor, before \"x\"", "{" X(1, 9) "}", 9, 0},
    {"bytes 8 to 12 of the data belong to no tensor, before \"y\"",
     "{" X(0, 8) "," TENSOR("y", "F32", "[1]", 12, 16) "}", 16, 0},
    {"bytes 0 to 4 of the data belong to no tensor", "{}", 4, 0},
    {"tensor \"y\" begins at byte 4, inside \"x\"", "{" X(0, 8) "," TENSOR("y", "F32", "[2]", 4, 12) "}", 12,
     0},
    {"inside \"x\"", "{" TENSOR("y", "F32", "[2]", 0, 8) "," X(0, 8) "}", 8, 0},
    {"__metadata__ is not an object of strings", "{\"__metadata__\":1}", 0, 0},
    {"__metadata__ is not an object of strings", "{\"__metadata__\":[\"a\"]}", 0, 0},
    {"__metadata__ is not an object of strings: \"a\"", "{\"__metadata__\":{\"a\":1}}", 0, 0},
    {"metadata \"a\" twice", "{\"__metadata__\":{\"a\":\"1\",\"b\":\"\",\"\\u0061\":\"1\"}}", 0, 0},
    {"__metadata__ twice", "{\"__metadata__\":{},\"__metadata__\":{}}", 0, 0},
};

TEST(safetensors, every_mistake_has_its_sentence) {
    for (size_t i = 0; i < sizeof wrongs / sizeof *wrongs; i++) {
        const wrong *w = &wrongs[i];
        size_t size;
        void *bytes = file_bytes(w->header, w->length ? w->length : -1, w->data, &size);
        gru_file *file = NULL;
        const gru_status status = gru_file_parse(bytes, size, &file);
        skip_if_not_built(status);
        if (!w->words) {
            CHECK(status == GRU_OK && file, "%s: %s", w->header, gru_last_error());
            gru_file_close(file);
        } else {
            CHECK(status == GRU_BAD_DATA && strstr(gru_last_error(), w->words),
                  "%s: %s, \"%s\", expected \"%s\"", w->header, gru_status_name(status), gru_last_error(),
                  w->words);
            CHECK(!file, "%s: a refused file came out", w->header);
        }
        free(bytes);
    }
}

TEST(safetensors, truncated_at_every_byte) {
    size_t size;
    uint8_t *bytes = file_bytes(good, -1, GOOD_DATA, &size);
    for (size_t cut = 0; cut < size; cut++) {
        uint8_t *part =
            malloc(cut ? cut : 1); /* of exactly that size, so that a sanitizer sees every step beyond */
        gru_file *file = NULL;
        memcpy(part, bytes, cut);
        const gru_status status = gru_file_parse(part, cut, &file);
        skip_if_not_built(status);
        CHECK(status == GRU_BAD_DATA && !file, "%zu of %zu bytes: %s", cut, size, gru_status_name(status));
        free(part);
    }
    free(bytes);
}

/* Touches all that an accepted file offers. */
static unsigned touch(const gru_file *file, const uint8_t *bytes, size_t size) {
    unsigned sum = 0;
    const char *name;
    for (int32_t i = 0; (name = gru_file_name(file, i)) != NULL; i++) {
        gru_tensor tensor;
        const gru_status status = gru_file_tensor(file, name, &tensor);
        if (status == GRU_UNSUPPORTED) continue; /* too many dimensions */
        REQUIRE(status == GRU_OK, "%s", gru_last_error());
        const uint8_t *data = tensor.data;
        REQUIRE(data >= bytes && tensor.bytes <= size && data + tensor.bytes <= bytes + size,
                "\"%s\" lies outside", name);
        for (size_t b = 0; b < tensor.bytes; b++) sum += data[b];
    }
    return sum;
}

TEST(safetensors, every_byte_of_the_header_changed) {
    size_t size;
    uint8_t *bytes = file_bytes(good, -1, GOOD_DATA, &size);
    const size_t header_end = size - GOOD_DATA;
    int accepted = 0, refused = 0;
    for (size_t i = 0; i < header_end; i++)
        for (int value = 0; value < 256; value++) {
            const uint8_t old = bytes[i];
            gru_file *file = NULL;
            bytes[i] = (uint8_t)value;
            const gru_status status = gru_file_parse(bytes, size, &file);
            skip_if_not_built(status);
            if (status == GRU_OK) {
                (void)touch(file, bytes, size);
                accepted++;
            } else {
                REQUIRE(status == GRU_BAD_DATA && gru_last_error()[0] != '\0', "byte %zu = %d: %s", i, value,
                        gru_status_name(status));
                refused++;
            }
            gru_file_close(file);
            bytes[i] = old;
        }
    CHECK(refused > accepted && accepted > (int)header_end, "%d accepted, %d refused", accepted, refused);
    free(bytes);
}

TEST(safetensors, deep_nesting_and_many_tensors) {
    enum { DEEP = 200000, MANY = 20000 };
    char *header = malloc(MANY * 64);
    size_t size, used = 0;
    gru_file *file = NULL;
    memset(header, '[', DEEP);
    memcpy(header, "{\"x\":", 5);
    memcpy(header + DEEP, "}", 2);
    void *bytes = file_bytes(header, -1, 0, &size);
    gru_status status = gru_file_parse(bytes, size, &file);
    skip_if_not_built(status);
    CHECK(status == GRU_BAD_DATA, "%d brackets: %s", DEEP, gru_status_name(status));
    free(bytes);
    for (int i = 0; i < MANY; i++)
        used += (size_t)sprintf(header + used,
                                "%c\"%d\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[%d,%d]}",
                                i ? ',' : '{', i, MANY - 1 - i, MANY - i);
    memcpy(header + used, "}", 2);
    bytes = file_bytes(header, -1, MANY, &size);
    status = gru_file_parse(bytes, size, &file);
    CHECK(status == GRU_OK, "%s", gru_last_error());
    CHECK(strcmp(gru_file_name(file, 0), "19999") == 0, "first is %s", gru_file_name(file, 0));
    gru_file_close(file);
    free(bytes);
    free(header);
}

/* ---- the file system ---- */

static void write_whole(const char *path, const void *bytes, size_t size) {
    FILE *out = fopen(path, "wb");
    REQUIRE(out && fwrite(bytes, 1, size, out) == size && fclose(out) == 0, "cannot write %s", path);
}

#define CHECK_OPEN(path, wanted, words)                                                                \
    do {                                                                                               \
        gru_file *none = NULL;                                                                         \
        const gru_status got = gru_file_open(path, &none);                                             \
        CHECK(got == (wanted) && strstr(gru_last_error(), words) && !none,                             \
              "%s: %s, \"%s\", expected \"%s\"", path, gru_status_name(got), gru_last_error(), words); \
    } while (0)

TEST(safetensors, files_of_the_file_system) {
    char folder[] = "/tmp/gru_test_XXXXXX", path[64];
    size_t size;
    gru_file *file = NULL;
    gru_tensor tensor;
    void *bytes = file_bytes(good, -1, GOOD_DATA, &size);
    REQUIRE(mkdtemp(folder), "no folder");
    (void)snprintf(path, sizeof path, "%s/a.safetensors", folder);
    write_whole(path, bytes, size);
    const gru_status status = gru_file_open(path, &file);
    skip_if_not_built(status);
    REQUIRE(status == GRU_OK, "%s", gru_last_error());
    REQUIRE(gru_file_tensor(file, "b", &tensor) == GRU_OK, "%s", gru_last_error());
    CHECK(memcmp(tensor.data, (char *)bytes + size - 24, 24) == 0, "b has other numbers");
    gru_file_close(file);
    write_whole(path, bytes, size - 1);
    CHECK_OPEN(path, GRU_BAD_DATA, path);
    write_whole(path, bytes, 0);
    CHECK_OPEN(path, GRU_BAD_DATA, "has 0 bytes");
    (void)unlink(path);
    CHECK_OPEN(path, GRU_IO, "No such file");
    REQUIRE(mkfifo(path, 0600) == 0, "no pipe");
    CHECK_OPEN(path, GRU_IO, "is not a regular file");
    (void)unlink(path);
    CHECK_OPEN(folder, GRU_IO, "is not a regular file");
    (void)rmdir(folder);
    free(bytes);
}

TEST(safetensors, wrong_arguments) {
    size_t size;
    void *bytes = file_bytes(good, -1, GOOD_DATA, &size);
    gru_file *file = parse(bytes, size);
    gru_tensor tensor;
    gru_file *none = NULL;
    CHECK(gru_file_open(NULL, &none) == GRU_BAD_ARGUMENT, "path NULL");
    CHECK(gru_file_open("/", NULL) == GRU_BAD_ARGUMENT, "file NULL");
    CHECK(gru_file_parse(NULL, 8, &none) == GRU_BAD_ARGUMENT, "bytes NULL");
    CHECK(gru_file_parse(NULL, 0, &none) == GRU_BAD_DATA, "no bytes");
    CHECK(gru_file_parse(bytes, size, NULL) == GRU_BAD_ARGUMENT, "file NULL");
    CHECK(gru_file_tensor(NULL, "a", &tensor) == GRU_BAD_ARGUMENT, "file NULL");
    CHECK(gru_file_tensor(file, NULL, &tensor) == GRU_BAD_ARGUMENT, "name NULL");
    CHECK(gru_file_tensor(file, "a", NULL) == GRU_BAD_ARGUMENT, "tensor NULL");
    CHECK(!gru_file_name(NULL, 0) && !gru_file_metadata(NULL, "a") && !gru_file_metadata(file, NULL), "NULL");
    CHECK(!none, "a refused call made a file");
    gru_file_close(NULL);
    gru_file_close(file);
    free(bytes);
}
