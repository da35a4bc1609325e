/* model.c: loads the two GRUs, reads a batch of spellings with one and writes their sounds with the other. */
#include "model.h"

#include <gru/import.h>
#include <stdlib.h>
#include <string.h>

/* Numbers that this program and the engine take turns with: in host memory, and where the engine reads and writes. On a CPU
 * both are one. */
typedef struct shared {
    void *host, *engine;
} shared;

/*   letters -> enc_emb -> encoder GRU -> last state -> decoder GRU, a step per sound -> scores -> best sound
 *                                                          ^                                         |
 *                                                          +-------------- dec_emb <-----------------+     */
struct model {
    gru_context *context;
    gru_stack *encoder_stack, *decoder_stack; /* own the layers */
    gru_layer *encoder, *decoder;
    int32_t I, H, batch;
    float *enc_emb; /* [GRAPHEMES][I] */
    float *dec_emb; /* [PHONEMES][I] */
    float *fc_w,
        *fc_b;      /* [H][PHONEMES], transposed so that the inner loop runs over neighbours; [PHONEMES] */
    shared x;       /* float [MAX_LETTERS + 1][batch][I] */
    shared state;   /* float [batch][H] */
    shared lengths; /* int32_t [batch] */
    shared slots;   /* int32_t [batch] words still being spoken: their rows of state */
    void *workspace;
    size_t workspace_size;
};

static int failed(const char *what) {
    fprintf(stderr, "g2p: %s: %s\n", what, gru_last_error());
    return 0;
}

/* ---- loading ------------------------------------------------------------------------------------------- */

static int reserve(model *m, size_t bytes, void **memory) {
    return gru_allocate(m->context, bytes, memory) == GRU_OK || failed("memory");
}

/* A table that only this program reads. */
static float *make_table(size_t count) {
    float *table = malloc(count * sizeof *table);
    if (!table) fprintf(stderr, "g2p: memory: no %zu numbers\n", count);
    return table;
}

static int share(model *m, size_t bytes, shared *place) {
    if (!reserve(m, bytes, &place->engine)) return 0;
    place->host = gru_context_backend(m->context) == GRU_BACKEND_CPU ? place->engine : malloc(bytes);
    if (!place->host) fprintf(stderr, "g2p: memory: no %zu bytes\n", bytes);
    return place->host != NULL;
}

static void unshare(model *m, shared *place) {
    if (place->host != place->engine) free(place->host);
    gru_free(m->context, place->engine);
}

static gru_status hand_over(model *m, const shared *numbers, size_t bytes) {
    if (numbers->host == numbers->engine) return GRU_OK;
    return gru_copy(m->context, numbers->engine, numbers->host, bytes, NULL);
}

static gru_status take_back(model *m, const shared *numbers, size_t bytes) {
    if (numbers->host == numbers->engine) return GRU_OK;
    const gru_status status = gru_copy(m->context, numbers->host, numbers->engine, bytes, NULL);
    return status == GRU_OK ? gru_wait(m->context, NULL) : status;
}

/* Copies a tensor of f32 [rows][columns] (columns 1: [rows]) to memory of the model's own. */
static int load_tensor(const gru_file *file, const char *name, int64_t rows, int64_t columns, float **place) {
    const size_t count = (size_t)rows * (size_t)columns;
    gru_tensor tensor;
    if (gru_file_tensor(file, name, &tensor) != GRU_OK) return failed("model");
    const int shaped = columns == 1 ? tensor.rank == 1 : tensor.rank == 2 && tensor.shape[1] == columns;
    if (tensor.type != GRU_F32 || !shaped || tensor.shape[0] != rows) {
        fprintf(stderr, "g2p: model: %s is not f32 of %lld x %lld\n", name, (long long)rows,
                (long long)columns);
        return 0;
    }
    *place = make_table(count);
    if (*place) memcpy(*place, tensor.data, count * sizeof **place);
    return *place != NULL;
}

static int load_gru(model *m, const gru_file *file, const char *prefix, gru_stack **stack,
                    gru_layer **layer) {
    gru_load_options options = GRU_INIT;
    gru_layer_config config;
    options.prefix = prefix;
    if (gru_stack_load(m->context, file, &options, stack) != GRU_OK) return failed("model");
    if (gru_stack_cells(*stack) != 1) {
        fprintf(stderr, "g2p: model: %s* has %d cells, expected one\n", prefix, gru_stack_cells(*stack));
        return 0;
    }
    if (gru_stack_cell(*stack, 0, &config, layer) != GRU_OK) return failed("model");
    if (m->H == 0) m->I = config.inputs, m->H = config.hidden;
    if (config.inputs == m->I && config.hidden == m->H) return 1;
    fprintf(stderr, "g2p: model: the two GRUs have different sizes\n");
    return 0;
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

static int load_weights(model *m, const gru_file *file) {
    return load_gru(m, file, "encoder.", &m->encoder_stack, &m->encoder) &&
           load_gru(m, file, "decoder.", &m->decoder_stack, &m->decoder) &&
           load_tensor(file, "enc_emb", GRAPHEMES, m->I, &m->enc_emb) &&
           load_tensor(file, "dec_emb", PHONEMES, m->I, &m->dec_emb) && load_scores(m, file);
}

static int reserve_buffers(model *m) {
    const size_t N = (size_t)m->batch, T = MAX_LETTERS + 1;
    gru_memory encoder, decoder;
    if (gru_layer_memory(m->encoder, (int64_t)T, m->batch, &encoder) != GRU_OK ||
        gru_layer_memory(m->decoder, 1, m->batch, &decoder) != GRU_OK)
        return failed("memory");
    m->workspace_size = encoder.workspace > decoder.workspace ? encoder.workspace : decoder.workspace;
    return reserve(m, m->workspace_size, &m->workspace) &&
           share(m, sizeof(float) * T * N * (size_t)m->I, &m->x) &&
           share(m, sizeof(float) * N * (size_t)m->H, &m->state) &&
           share(m, sizeof(int32_t) * N, &m->lengths) && share(m, sizeof(int32_t) * N, &m->slots);
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
        fprintf(stderr, "g2p: fetch the model with: python3 examples/g2p/fetch_model.py\n");
        return NULL;
    }
    model *m = calloc(1, sizeof *m);
    int ok = m != NULL;
    if (ok) {
        m->batch = options->batch;
        ok = open_context(m, options) && load_weights(m, file) && reserve_buffers(m);
    }
    gru_file_close(file);
    if (ok) return m;
    model_close(m);
    return NULL;
}

void model_close(model *m) {
    if (!m) return;
    float *const tables[] = {m->enc_emb, m->dec_emb, m->fc_w, m->fc_b};
    shared *const both[] = {&m->x, &m->state, &m->lengths, &m->slots};
    for (int i = 0; i < 4; i++) free(tables[i]), unshare(m, both[i]);
    gru_free(m->context, m->workspace);
    gru_stack_release(m->encoder_stack);
    gru_stack_release(m->decoder_stack);
    gru_context_release(m->context);
    free(m);
}

const char *model_engine(const model *m) {
    return gru_engine_name(m->encoder, NULL);
}

/* ---- running ------------------------------------------------------------------------------------------- */

/* Embedded letters of all words, time-major: x is [T][count][I]. What lies past a length is never used. */
static void embed_letters(model *m, word *const *words, int32_t count) {
    const size_t row = (size_t)m->I;
    float *x = m->x.host;
    for (int32_t n = 0; n < count; n++)
        for (int32_t t = 0; t <= words[n]->length; t++) {
            const int32_t letter = words[n]->letters[t];
            const size_t id = letter ? (size_t)(letter - 'a' + GRAPHEME_A) : GRAPHEME_END;
            memcpy(x + ((size_t)t * (size_t)count + (size_t)n) * row, m->enc_emb + id * row, row * sizeof *x);
        }
}

/* Leaves what the encoder has understood of each word in state. */
static gru_status encode(model *m, word *const *words, int32_t count) {
    gru_run run = GRU_INIT;
    int32_t *lengths = m->lengths.host;
    for (int32_t n = 0; n < count; n++) {
        lengths[n] = words[n]->length + 1; /* with the end sign */
        if (lengths[n] > run.T) run.T = lengths[n];
    }
    embed_letters(m, words, count);
    run.N = count;
    run.x.data = m->x.engine;
    run.hT = m->state.engine;
    run.lengths = m->lengths.engine;
    run.workspace = m->workspace;
    run.workspace_size = m->workspace_size;
    gru_status status = hand_over(m, &m->lengths, sizeof *lengths * (size_t)count);
    if (status == GRU_OK)
        status = hand_over(m, &m->x, sizeof(float) * (size_t)run.T * (size_t)count * (size_t)m->I);
    return status == GRU_OK ? gru_forward(m->encoder, &run) : status;
}

/* The sound with the highest score, the first of equals. */
static int32_t best_sound(const model *m, const float *h) {
    float scores[PHONEMES];
    int32_t best = 0;
    memcpy(scores, m->fc_b, sizeof scores);
    for (int32_t k = 0; k < m->H; k++)
        for (int32_t p = 0; p < PHONEMES; p++) scores[p] += h[k] * m->fc_w[k * PHONEMES + p];
    for (int32_t p = 1; p < PHONEMES; p++)
        if (scores[p] > scores[best]) best = p;
    return best;
}

/* x: the embedding of the latest sound of each word that is still running. */
static void embed_sounds(model *m, word *const *words, int32_t running) {
    const size_t row = (size_t)m->I;
    const int32_t *slots = m->slots.host;
    float *x = m->x.host;
    for (int32_t k = 0; k < running; k++) {
        const word *w = words[slots[k]];
        const size_t id = w->sounds ? w->phonemes[w->sounds - 1] : PHONEME_START;
        memcpy(x + (size_t)k * row, m->dec_emb + id * row, row * sizeof *x);
    }
}

/* Adds each running word's best sound; those that reached their end leave the slots. Returns the rest. */
static int32_t add_sounds(model *m, word *const *words, int32_t running) {
    int32_t left = 0, *slots = m->slots.host;
    for (int32_t k = 0; k < running; k++) {
        const int32_t slot = slots[k];
        const int32_t sound = best_sound(m, (const float *)m->state.host + (size_t)slot * (size_t)m->H);
        if (sound == PHONEME_END) continue;
        words[slot]->phonemes[words[slot]->sounds++] = (uint8_t)sound;
        slots[left++] = slot;
    }
    return left;
}

/* The next sounds of the running words: run's slots name their states, which stay in place. */
static gru_status decode_step(model *m, gru_run *run, word *const *words, int32_t running) {
    const size_t states = sizeof(float) * (size_t)run->slot_count * (size_t)m->H;
    run->N = running;
    embed_sounds(m, words, running);
    gru_status status = hand_over(m, &m->slots, sizeof(int32_t) * (size_t)running);
    if (status == GRU_OK) status = hand_over(m, &m->x, sizeof(float) * (size_t)running * (size_t)m->I);
    if (status == GRU_OK) status = gru_forward(m->decoder, run);
    return status == GRU_OK ? take_back(m, &m->state, states) : status;
}

/* One step per sound over the words that have not ended. */
static gru_status decode(model *m, word *const *words, int32_t count) {
    gru_run run = GRU_INIT;
    int32_t running = count, *slots = m->slots.host;
    for (int32_t n = 0; n < count; n++) slots[n] = n, words[n]->sounds = 0;
    run.T = 1;
    run.x.data = m->x.engine;
    run.h0 = run.hT = m->state.engine;
    run.h0_slots = run.hT_slots = m->slots.engine;
    run.slot_count = count;
    run.workspace = m->workspace;
    run.workspace_size = m->workspace_size;
    for (int step = 0; step < MAX_PHONEMES && running > 0; step++) {
        const gru_status status = decode_step(m, &run, words, running);
        if (status != GRU_OK) return status;
        running = add_sounds(m, words, running);
    }
    return GRU_OK;
}

int model_pronounce(model *m, word *const *words, int32_t count) {
    if (encode(m, words, count) == GRU_OK && decode(m, words, count) == GRU_OK) return 1;
    return failed("run");
}
