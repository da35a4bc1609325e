/* g2p_model.c: loads embeddings, two GRUs and the scores' weights from one file, whatever sizes and types it has. */
#include "g2p_model.h"

#include <gru/import.h>
#include <stdlib.h>
#include <string.h>

#include "model_float16.h"
#include "model_internal.h"

static int failed(const char *what) {
    fprintf(stderr, "g2p: %s: %s\n", what, gru_last_error());
    return 0;
}

/* ---- tensors ------------------------------------------------------------------------------------------- */

/* A table that only this program reads. */
static float *make_table(size_t count) {
    float *table = malloc(count * sizeof *table);
    if (!table) fprintf(stderr, "g2p: memory: no %zu numbers\n", count);
    return table;
}

/* Copies a tensor of f32 or f16, [rows][columns] (columns 1: [rows]), to memory of the model's own. */
static int load_tensor(const gru_file *file, const char *name, int64_t rows, int64_t columns, float **place) {
    const size_t count = (size_t)rows * (size_t)columns;
    gru_tensor tensor;
    if (gru_file_tensor(file, name, &tensor) != GRU_OK) return failed("model");
    const int shaped = columns == 1 ? tensor.rank == 1 : tensor.rank == 2 && tensor.shape[1] == columns;
    if ((tensor.type != GRU_F32 && tensor.type != GRU_F16) || !shaped || tensor.shape[0] != rows) {
        fprintf(stderr, "g2p: model: %s is not f32 or f16 of %lld x %lld\n", name, (long long)rows,
                (long long)columns);
        return 0;
    }
    *place = make_table(count);
    if (!*place) return 0;
    if (tensor.type == GRU_F32) memcpy(*place, tensor.data, count * sizeof **place);
    for (size_t i = 0; tensor.type == GRU_F16 && i < count; i++) {
        uint16_t half; /* which may lie at an odd address */
        memcpy(&half, (const char *)tensor.data + i * sizeof half, sizeof half);
        (*place)[i] = half_to_float(half);
    }
    return 1;
}

static int load_scores(model *m, const gru_file *file) {
    float *rows = NULL; /* [PHONEMES][H] */
    if (!load_tensor(file, "fc_w", PHONEMES, m->H, &rows)) return 0;
    m->fc_w = make_table(PHONEMES * (size_t)m->H);
    for (int32_t k = 0; m->fc_w && k < m->H; k++)
        for (int32_t p = 0; p < PHONEMES; p++) m->fc_w[k * PHONEMES + p] = rows[p * m->H + k];
    free(rows);
    return m->fc_w && load_tensor(file, "fc_b", PHONEMES, 1, &m->fc_b);
}

/* ---- GRUs ---------------------------------------------------------------------------------------------- */

static int load_gru(model *m, const gru_file *file, const char *prefix, int32_t weights, gru_stack **stack) {
    gru_load_options options = GRU_INIT;
    options.prefix = prefix;
    options.weight_type = weights;
    return gru_stack_load(m->context, file, &options, stack) == GRU_OK || failed("model");
}

/* The encoder: one layer of one or two directions, which together have as many units as the decoder. */
static int check_sizes(model *m) {
    gru_layer_config config = GRU_INIT;
    const int32_t directions = gru_stack_sublayers(m->encoder);
    if (gru_stack_sublayers(m->decoder_stack) != 1 || directions > 2) {
        fprintf(stderr,
                "g2p: model: encoder and decoder have %d and %d cells, expected one or two, and one\n",
                directions, gru_stack_sublayers(m->decoder_stack));
        return 0;
    }
    if (gru_stack_sublayer(m->decoder_stack, 0, &config, &m->decoder) != GRU_OK) return failed("model");
    m->I = config.inputs, m->H = config.hidden;
    const int same_inputs = gru_stack_inputs(m->encoder) == m->I;
    if (gru_stack_sublayer(m->encoder, 0, &config, NULL) != GRU_OK) return failed("model");
    if (same_inputs && config.hidden * directions == m->H) return 1; /* a second cell is the same layer's */
    fprintf(stderr, "g2p: model: encoder and decoder have sizes that do not fit\n");
    return 0;
}

static int load_weights(model *m, const gru_file *file, int32_t weights) {
    return load_gru(m, file, "encoder.", weights, &m->encoder) &&
           load_gru(m, file, "decoder.", weights, &m->decoder_stack) && check_sizes(m) &&
           load_tensor(file, "enc_emb", GRAPHEMES, m->I, &m->enc_emb) &&
           load_tensor(file, "dec_emb", PHONEMES, m->I, &m->dec_emb) && load_scores(m, file);
}

/* ---- opening ------------------------------------------------------------------------------------------- */

static int reserve_buffers(model *m) {
    const size_t N = (size_t)m->batch, T = MAX_LETTERS + 1, row = sizeof(float) * (size_t)m->H;
    gru_sizes encoder, decoder;
    if (gru_stack_sizes(m->encoder, (int64_t)T, m->batch, &encoder) != GRU_OK ||
        gru_layer_sizes(m->decoder, 1, m->batch, &decoder) != GRU_OK)
        return failed("memory");
    m->workspace_size = encoder.workspace > decoder.workspace ? encoder.workspace : decoder.workspace;
    if (gru_allocate(m->context, m->workspace_size, &m->workspace) != GRU_OK) return failed("memory");
    return shared_buffer_make(m->context, sizeof(float) * T * N * (size_t)m->I, &m->x) &&
           shared_buffer_make(m->context, row * N, &m->state) &&
           shared_buffer_make(m->context, row * N, &m->next) &&
           shared_buffer_make(m->context, sizeof(int32_t) * N, &m->lengths) &&
           shared_buffer_make(m->context, sizeof(int32_t) * N, &m->slots);
}

static int open_context(model *m, const model_options *options) {
    gru_context_config config = GRU_INIT;
    config.threads = options->threads;
    config.engine = options->engine;
    if (options->engine && strcmp(options->engine, "cpu") == 0)
        config.backend = GRU_BACKEND_CPU, config.engine = NULL;
    if (options->engine && strcmp(options->engine, "cuda") == 0)
        config.backend = GRU_BACKEND_CUDA, config.engine = NULL;
    if (gru_context_create(&config, &m->context) == GRU_OK) return 1;
    if (options->engine) fprintf(stderr, "g2p: --engine help lists the engines\n");
    return failed("context");
}

model *model_open(const model_options *options) {
    gru_file *file = NULL;
    if (gru_file_open(options->path, &file) != GRU_OK) {
        (void)failed("model");
        return NULL;
    }
    model *m = calloc(1, sizeof *m);
    int ok = m != NULL;
    if (ok) {
        m->batch = options->batch;
        ok = open_context(m, options) && load_weights(m, file, options->weights) && reserve_buffers(m);
    }
    gru_file_close(file);
    if (ok) return m;
    model_close(m);
    return NULL;
}

void model_close(model *m) {
    if (!m) return;
    float *const tables[] = {m->enc_emb, m->dec_emb, m->fc_w, m->fc_b};
    shared_buffer *const buffers[] = {&m->x, &m->state, &m->next, &m->lengths, &m->slots};
    for (int i = 0; i < 4; i++) free(tables[i]);
    for (int i = 0; i < 5; i++) shared_buffer_free(m->context, buffers[i]);
    gru_free(m->context, m->workspace);
    gru_stack_release(m->encoder);
    gru_stack_release(m->decoder_stack);
    gru_context_release(m->context);
    free(m);
}

const char *model_engine(const model *m) {
    return gru_engine_name(m->decoder, NULL);
}
