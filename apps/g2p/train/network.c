/* network.c: the network's tensors, their first numbers, and the two layers and buffers that a batch needs. */
#include "network.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "network_internal.h"
#include "random.h"

static int failed(const char *what) {
    fprintf(stderr, "g2p_train: %s: %s\n", what, gru_last_error());
    return 0;
}

/* ---- numbers ------------------------------------------------------------------------------------------- */

static void name_tensors(network *n, const network_config *c) {
    const int64_t E = c->embedding, H = c->hidden, D = 2 * H;
    const network_tensor tensors[NETWORK_TENSORS] = {
        {"encoder.weight_ih_l0", 2, {3 * H, E}, 0, 0},
        {"encoder.weight_hh_l0", 2, {3 * H, H}, 0, 0},
        {"encoder.bias_ih_l0", 1, {3 * H, 1}, 0, 0},
        {"encoder.bias_hh_l0", 1, {3 * H, 1}, 0, 0},
        {"encoder.weight_ih_l0_reverse", 2, {3 * H, E}, 0, 0},
        {"encoder.weight_hh_l0_reverse", 2, {3 * H, H}, 0, 0},
        {"encoder.bias_ih_l0_reverse", 1, {3 * H, 1}, 0, 0},
        {"encoder.bias_hh_l0_reverse", 1, {3 * H, 1}, 0, 0},
        {"decoder.weight_ih_l0", 2, {3 * D, E}, 0, 0},
        {"decoder.weight_hh_l0", 2, {3 * D, D}, 0, 0},
        {"decoder.bias_ih_l0", 1, {3 * D, 1}, 0, 0},
        {"decoder.bias_hh_l0", 1, {3 * D, 1}, 0, 0},
        {"enc_emb", 2, {GRAPHEMES, E}, 0, 0},
        {"dec_emb", 2, {PHONEMES, E}, 0, 0},
        {"fc_w", 2, {PHONEMES, D}, 0, 0},
        {"fc_b", 1, {PHONEMES, 1}, 0, 0},
    };
    memcpy(n->tensors, tensors, sizeof tensors);
    for (int i = 0; i < NETWORK_TENSORS; i++) {
        network_tensor *t = &n->tensors[i];
        t->count = (size_t)(t->shape[0] * t->shape[1]);
        t->offset = n->count;
        n->count += t->count;
    }
}

/* As PyTorch begins: uniform, up to 1 over the square root of the units; embeddings have variance 1. */
static void draw_parameters(network *n, const network_config *c) {
    for (int i = 0; i < NETWORK_TENSORS; i++) {
        const network_tensor *t = &n->tensors[i];
        const uint64_t key = random_key(c->seed, (uint64_t)i);
        const float units = (float)(i < DECODER ? c->hidden : 2 * c->hidden);
        const float bound = i == ENC_EMB || i == DEC_EMB ? sqrtf(3) : 1 / sqrtf(units);
        for (size_t j = 0; j < t->count; j++) n->parameters[t->offset + j] = bound * random_symmetric(key, j);
    }
}

static gru_weights weights_of(const network *n, int gru) {
    gru_weights weights = GRU_INIT;
    weights.W = network_parameter(n, gru + W), weights.R = network_parameter(n, gru + R);
    weights.bW = network_parameter(n, gru + BW), weights.bR = network_parameter(n, gru + BR);
    return weights;
}

int network_update(network *n) {
    const int grus[] = {ENCODER, REVERSE, DECODER};
    for (int32_t k = 0; k < 3; k++) {
        const gru_weights weights = weights_of(n, grus[k]);
        gru_layer *layer = n->internal->decoder;
        gru_status status = GRU_OK;
        if (grus[k] != DECODER) status = gru_stack_sublayer(n->internal->encoder, k, NULL, &layer);
        if (status == GRU_OK) status = gru_layer_update(layer, &weights, NULL);
        if (status != GRU_OK) return failed("new weights");
    }
    return 1;
}

/* ---- opening ------------------------------------------------------------------------------------------- */

static int open_context(network_internal *m) {
    const char *engine = m->config.engine;
    gru_context_config config = GRU_INIT;
    config.threads = worker_pool_size(m->pool);
    config.parallel = config.threads > 1 ? worker_pool_run : NULL;
    config.parallel_user = m->pool;
    config.engine = engine;
    if (engine && strcmp(engine, "cpu") == 0) config.backend = GRU_BACKEND_CPU, config.engine = NULL;
    if (engine && strcmp(engine, "cuda") == 0) config.backend = GRU_BACKEND_CUDA, config.engine = NULL;
    return gru_context_create(&config, &m->context) == GRU_OK || failed("context");
}

static int open_layers(const network *n, network_internal *m) {
    gru_stack_layer encoder = GRU_INIT;
    gru_stack_config stack = GRU_INIT;
    gru_layer_config decoder = GRU_INIT;
    const gru_weights weights = weights_of(n, DECODER);
    encoder.config.inputs = decoder.inputs = m->config.embedding;
    encoder.config.hidden = m->config.hidden;
    encoder.bidirectional = 1;
    encoder.weights[0] = weights_of(n, ENCODER), encoder.weights[1] = weights_of(n, REVERSE);
    stack.layers = &encoder, stack.count = 1;
    decoder.hidden = 2 * m->config.hidden;
    return (gru_stack_create(m->context, &stack, &m->encoder) == GRU_OK &&
            gru_layer_create(m->context, &decoder, &weights, &m->decoder) == GRU_OK) ||
           failed("layers");
}

static size_t larger(size_t a, size_t b) {
    return a > b ? a : b;
}

static int reserve_engine_memory(network_internal *m) {
    const int64_t N = m->config.batch, T = m->config.letters + 1;
    gru_sizes encoder, decoder;
    if (gru_stack_sizes(m->encoder, T, N, &encoder) != GRU_OK ||
        gru_layer_sizes(m->decoder, MAX_STEPS, N, &decoder) != GRU_OK)
        return failed("memory");
    m->workspace_size = larger(larger(encoder.workspace, encoder.backward_workspace),
                               larger(decoder.workspace, decoder.backward_workspace));
    m->encoder_reserve_size = encoder.reserve, m->decoder_reserve_size = decoder.reserve;
    return (gru_allocate(m->context, m->workspace_size, &m->workspace) == GRU_OK &&
            gru_allocate(m->context, m->encoder_reserve_size, &m->encoder_reserve) == GRU_OK &&
            gru_allocate(m->context, m->decoder_reserve_size, &m->decoder_reserve) == GRU_OK) ||
           failed("memory");
}

enum { BUFFERS = 13 };
typedef struct buffer {
    shared_buffer *place;
    size_t numbers; /* of 4 bytes */
} buffer;

static void list_buffers(const network *n, network_internal *m, buffer buffers[BUFFERS]) {
    const size_t N = (size_t)m->config.batch, T = (size_t)m->config.letters + 1, U = MAX_STEPS;
    const size_t E = (size_t)m->config.embedding, H = (size_t)m->config.hidden, D = 2 * H;
    const buffer all[BUFFERS] = {
        {&m->gradients, n->tensors[GRU_TENSORS].offset},
        {&m->letters, T * N * E},
        {&m->d_letters, T * N * E},
        {&m->sounds, U * N * E},
        {&m->d_sounds, U * N * E},
        {&m->state, N * D},
        {&m->d_state, N * D},
        {&m->d_last[0], N * H},
        {&m->d_last[1], N * H},
        {&m->outputs, U * N * D},
        {&m->d_outputs, U * N * D},
        {&m->letter_counts, N},
        {&m->sound_counts, N},
    };
    memcpy(buffers, all, sizeof all);
}

static int reserve_buffers(const network *n, network_internal *m) {
    const size_t rows = (size_t)m->config.batch * MAX_STEPS, D = 2 * (size_t)m->config.hidden;
    buffer buffers[BUFFERS];
    list_buffers(n, m, buffers);
    for (int i = 0; i < BUFFERS; i++)
        if (!shared_buffer_make(m->context, 4 * buffers[i].numbers, buffers[i].place)) return 0;
    m->dropped = malloc(rows * D * sizeof *m->dropped);
    m->scores = malloc(rows * SCORES * sizeof *m->scores);
    m->fc_w = calloc(D * SCORES, sizeof *m->fc_w);
    m->losses = malloc(rows * sizeof *m->losses);
    if (m->dropped && m->scores && m->fc_w && m->losses) return 1;
    fprintf(stderr, "g2p_train: no memory for a batch of %d words\n", m->config.batch);
    return 0;
}

network *network_open(const network_config *config, worker_pool *threads) {
    network *n = calloc(1, sizeof *n);
    network_internal *m = calloc(1, sizeof *m);
    if (n && m) {
        n->internal = m;
        m->config = *config, m->pool = threads;
        name_tensors(n, config);
        n->parameters = malloc(n->count * sizeof *n->parameters);
        n->gradients = malloc(n->count * sizeof *n->gradients);
    }
    if (!n || !m || !n->parameters || !n->gradients) {
        fprintf(stderr, "g2p_train: no memory for the network\n");
        if (!n || !n->internal) free(m);
        network_close(n);
        return NULL;
    }
    draw_parameters(n, config);
    if (open_context(m) && open_layers(n, m) && reserve_engine_memory(m) && reserve_buffers(n, m)) return n;
    network_close(n);
    return NULL;
}

void network_close(network *n) {
    if (!n) return;
    network_internal *m = n->internal;
    if (m) {
        buffer buffers[BUFFERS];
        list_buffers(n, m, buffers);
        for (int i = 0; i < BUFFERS; i++) shared_buffer_free(m->context, buffers[i].place);
        gru_free(m->context, m->workspace);
        gru_free(m->context, m->encoder_reserve);
        gru_free(m->context, m->decoder_reserve);
        gru_stack_release(m->encoder);
        gru_layer_release(m->decoder);
        gru_context_release(m->context);
        free(m->dropped), free(m->scores), free(m->fc_w), free(m->losses);
        free(m);
    }
    free(n->parameters), free(n->gradients);
    free(n);
}

const char *network_engine(const network *n) {
    return gru_engine_name(n->internal->decoder, NULL);
}
