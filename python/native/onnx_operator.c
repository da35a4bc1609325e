/* onnx_operator.c: the operator GRU of the domain libgru, as ONNX Runtime calls it. libgru.onnx.rewrite() writes its attributes. */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "onnx_gru.h"
#include "onnx_runtime.h"

enum { X, W, R, B, LENGTHS, H0, INPUTS };
enum { Y, HT, OUTPUTS };

typedef struct kernel {
    const OrtApi *api;
    onnx_gru *gru;
} kernel;

#define TRY(call)                          \
    do {                                   \
        OrtStatus *const status_ = (call); \
        if (status_) return status_;       \
    } while (0)

static OrtStatus *told(const OrtApi *api, gru_status status) {
    char text[1024];
    if (status == GRU_OK) return NULL;
    snprintf(text, sizeof text, "libgru: %s", status == GRU_OUT_OF_MEMORY ? "no memory" : gru_last_error());
    return api->CreateStatus(
        status == GRU_BAD_ARGUMENT || status == GRU_BAD_DATA ? ORT_INVALID_ARGUMENT : ORT_FAIL, text);
}

/* ---- attributes ---- */

static OrtStatus *get_int(const OrtApi *api, const OrtKernelInfo *info, const char *name, int32_t *to) {
    int64_t value = 0;
    TRY(api->KernelInfoGetAttribute_int64(info, name, &value));
    *to = (int32_t)value;
    return *to == value ? NULL
                        : api->CreateStatus(ORT_INVALID_ARGUMENT, "libgru: an attribute is beyond 32 bits");
}

/* Attributes of direction d end with its number. */
static OrtStatus *get_direction(const OrtApi *api, const OrtKernelInfo *info, int32_t d,
                                gru_layer_config *config) {
    const struct {
        const char *name;
        int32_t *to;
    } words[] = {
        {"gate", &config->gate}, {"candidate", &config->candidate}, {"direction", &config->direction}};
    const struct {
        const char *name;
        float *to;
    } numbers[] = {{"gate_alpha", &config->gate_alpha},
                   {"gate_beta", &config->gate_beta},
                   {"candidate_alpha", &config->candidate_alpha},
                   {"candidate_beta", &config->candidate_beta}};
    char name[32];
    TRY(get_int(api, info, "hidden_size", &config->hidden));
    TRY(get_int(api, info, "reset_mode", &config->reset_mode));
    TRY(api->KernelInfoGetAttribute_float(info, "clip", &config->clip));
    for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
        snprintf(name, sizeof name, "%s_%d", words[i].name, d);
        TRY(get_int(api, info, name, words[i].to));
    }
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
        snprintf(name, sizeof name, "%s_%d", numbers[i].name, d);
        TRY(api->KernelInfoGetAttribute_float(info, name, numbers[i].to));
    }
    return NULL;
}

static OrtStatus *get_config(const OrtApi *api, const OrtKernelInfo *info, onnx_gru_config *config) {
    TRY(get_int(api, info, "directions", &config->count));
    TRY(get_int(api, info, "layout", &config->batch_first));
    TRY(get_int(api, info, "constant", &config->constant));
    TRY(get_int(api, info, "threads", &config->threads));
    if (config->count != 1 && config->count != 2)
        return api->CreateStatus(ORT_INVALID_ARGUMENT, "libgru: directions is expected to be 1 or 2");
    for (int32_t d = 0; d < config->count; d++) TRY(get_direction(api, info, d, &config->directions[d]));
    return NULL;
}

static OrtStatus *create(const OrtCustomOp *op, const OrtApi *api, const OrtKernelInfo *info, void **out) {
    (void)op;
    onnx_gru_config config = {.count = 0};
    TRY(get_config(api, info, &config));
    kernel *made = calloc(1, sizeof *made);
    if (!made) return told(api, GRU_OUT_OF_MEMORY);
    made->api = api;
    const gru_status status = onnx_gru_create(&config, &made->gru);
    if (status != GRU_OK) {
        free(made);
        return told(api, status);
    }
    *out = made;
    return NULL;
}

static void destroy(void *kernel_) {
    kernel *k = kernel_;
    onnx_gru_release(k->gru);
    free(k);
}

/* ---- a run ---- */

typedef struct input {
    const void *data; /* NULL: not given */
    int64_t sizes[3];
    size_t rank;
} input;

static OrtStatus *read_sizes(const OrtApi *api, const OrtTensorTypeAndShapeInfo *info, input *to) {
    TRY(api->GetDimensionsCount(info, &to->rank));
    if (to->rank > 3)
        return api->CreateStatus(ORT_INVALID_ARGUMENT, "libgru: an input has more than 3 dimensions");
    return api->GetDimensions(info, to->sizes, to->rank);
}

static OrtStatus *read_input(const OrtApi *api, const OrtKernelContext *context, size_t index, input *to) {
    const OrtValue *value = NULL;
    OrtTensorTypeAndShapeInfo *info = NULL;
    size_t count;
    TRY(api->KernelContext_GetInputCount(context, &count));
    if (index < count) TRY(api->KernelContext_GetInput(context, index, &value));
    if (!value) return NULL;
    TRY(api->GetTensorTypeAndShape(value, &info));
    OrtStatus *status = read_sizes(api, info, to);
    api->ReleaseTensorTypeAndShapeInfo(info);
    void *data = NULL;
    if (!status)
        status = api->GetTensorMutableData((OrtValue *)value, &data); /* there is no other way to read it */
    static const float nothing = 0;
    to->data = data ? data : &nothing; /* an empty tensor may have no address, but it is given */
    return status;
}

static OrtStatus *check(const OrtApi *api, const char *name, const input *given, int64_t a, int64_t b,
                        int64_t c) {
    const int64_t wanted[3] = {a, b, c};
    const size_t rank = c ? 3 : b ? 2 : 1;
    char text[200];
    if (!given->data || (given->rank == rank && !memcmp(given->sizes, wanted, rank * sizeof *wanted)))
        return NULL;
    snprintf(text, sizeof text,
             "libgru: %s has %zu dimensions [%lld][%lld][%lld], expected %zu: [%lld][%lld][%lld]", name,
             given->rank, (long long)given->sizes[0], (long long)given->sizes[1], (long long)given->sizes[2],
             rank, (long long)a, (long long)b, (long long)c);
    return api->CreateStatus(ORT_INVALID_ARGUMENT, text);
}

/* Sizes and addresses of the inputs. */
static OrtStatus *read_inputs(const kernel *k, const OrtKernelContext *context, onnx_gru_run *run) {
    const onnx_gru_config *config = onnx_gru_described(k->gru);
    const int64_t H = config->directions[0].hidden, D = config->count;
    input given[INPUTS] = {{.data = NULL}};
    for (size_t i = 0; i < INPUTS; i++) TRY(read_input(k->api, context, i, &given[i]));
    if (given[X].rank != 3 || !given[W].data || !given[R].data)
        return k->api->CreateStatus(ORT_INVALID_ARGUMENT,
                                    "libgru: X, with 3 dimensions, W and R are expected");
    const int64_t *sizes = given[X].sizes;
    *run = (onnx_gru_run){.T = sizes[config->batch_first], .N = sizes[!config->batch_first], .I = sizes[2]};
    TRY(check(k->api, "W", &given[W], D, 3 * H, run->I));
    TRY(check(k->api, "R", &given[R], D, 3 * H, H));
    TRY(check(k->api, "B", &given[B], D, 6 * H, 0));
    if (run->N) {
        TRY(check(k->api, "sequence_lens", &given[LENGTHS], run->N, 0, 0));
        TRY(check(k->api, "initial_h", &given[H0], config->batch_first ? run->N : D,
                  config->batch_first ? D : run->N, H));
    }
    run->x = given[X].data, run->W = given[W].data, run->R = given[R].data, run->B = given[B].data;
    run->lengths = given[LENGTHS].data, run->h0 = given[H0].data;
    return NULL;
}

static OrtStatus *output(const kernel *k, OrtKernelContext *context, size_t index, const int64_t *sizes,
                         size_t rank, float **to) {
    OrtValue *value = NULL;
    void *data = NULL;
    size_t count;
    TRY(k->api->KernelContext_GetOutputCount(context, &count));
    if (index < count) TRY(k->api->KernelContext_GetOutput(context, index, sizes, rank, &value));
    if (value) TRY(k->api->GetTensorMutableData(value, &data));
    *to = data;
    return NULL;
}

static OrtStatus *compute(void *kernel_, OrtKernelContext *context) {
    const kernel *k = kernel_;
    const onnx_gru_config *config = onnx_gru_described(k->gru);
    onnx_gru_run run;
    TRY(read_inputs(k, context, &run));
    const int64_t H = config->directions[0].hidden, D = config->count;
    const int64_t y_time[4] = {run.T, D, run.N, H}, y_batch[4] = {run.N, run.T, D, H};
    const int64_t h_time[3] = {D, run.N, H}, h_batch[3] = {run.N, D, H};
    TRY(output(k, context, Y, config->batch_first ? y_batch : y_time, 4, &run.y));
    TRY(output(k, context, HT, config->batch_first ? h_batch : h_time, 3, &run.hT));
    return told(k->api, onnx_gru_forward(k->gru, &run));
}

/* ---- registration ---- */

static const char *name(const OrtCustomOp *op) {
    (void)op;
    return "GRU";
}
static const char *on_cpu(const OrtCustomOp *op) {
    (void)op;
    return NULL;
}
static size_t input_count(const OrtCustomOp *op) {
    (void)op;
    return INPUTS;
}
static size_t output_count(const OrtCustomOp *op) {
    (void)op;
    return OUTPUTS;
}
static int input_type(const OrtCustomOp *op, size_t index) {
    (void)op;
    return index == LENGTHS ? ORT_INT32 : ORT_FLOAT;
}
static int output_type(const OrtCustomOp *op, size_t index) {
    (void)op, (void)index;
    return ORT_FLOAT;
}
static int input_need(const OrtCustomOp *op, size_t index) {
    (void)op;
    return index > R ? ORT_OPTIONAL : ORT_REQUIRED;
}
static int output_need(const OrtCustomOp *op, size_t index) {
    (void)op, (void)index;
    return ORT_OPTIONAL;
}

static int default_memory(const OrtCustomOp *op, size_t index) {
    (void)op, (void)index;
    return 0;
}

static const OrtCustomOp operator_gru = {.version = ORT_NEEDED_VERSION,
                                         .GetName = name,
                                         .GetExecutionProviderType = on_cpu,
                                         .GetInputType = input_type,
                                         .GetInputTypeCount = input_count,
                                         .GetOutputType = output_type,
                                         .GetOutputTypeCount = output_count,
                                         .KernelDestroy = destroy,
                                         .GetInputCharacteristic = input_need,
                                         .GetOutputCharacteristic = output_need,
                                         .GetInputMemoryType = default_memory,
                                         .CreateKernelV2 = create,
                                         .KernelComputeV2 = compute};

/* One domain for all sessions, which has to live as long as they do. */
static pthread_mutex_t adding = PTHREAD_MUTEX_INITIALIZER;
static OrtCustomOpDomain *domain;

static OrtStatus *add(const OrtApi *api) {
    OrtCustomOpDomain *made = NULL;
    if (domain) return NULL;
    TRY(api->CreateCustomOpDomain("libgru", &made));
    TRY(api->CustomOpDomain_Add(made, &operator_gru));
    domain = made;
    return NULL;
}

__attribute__((visibility("default"))) OrtStatus *RegisterCustomOps(OrtSessionOptions *options,
                                                                    const OrtApiBase *base) {
    const OrtApi *api = base->GetApi(ORT_NEEDED_VERSION);
    char text[120];
    if (!api) {
        snprintf(text, sizeof text, "libgru needs ONNX Runtime 1.%d or later, and this is %s",
                 ORT_NEEDED_VERSION, base->GetVersionString());
        return base->GetApi(1)->CreateStatus(ORT_FAIL, text);
    }
    pthread_mutex_lock(&adding);
    OrtStatus *status = add(api);
    pthread_mutex_unlock(&adding);
    return status ? status : api->AddCustomOpDomain(options, domain);
}
