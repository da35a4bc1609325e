/* long_memory.c: what the update gate of a GRU is for: remembering the first input through L steps of noise.
 *
 *     long_memory [longest L [seeds]] | examples/draw_memory.py examples/long_memory.svg
 *
 * The first input is one of K symbols; all later inputs are noise. A softmax over the last state must tell the symbol. The
 * program compares a plain recurrent network, h' = tanh(W x + R h + b), with three GRUs of this library. For each seed and
 * each L every network trains on the same sequences with the same number of updates. The first table has the accuracy on
 * 512 new sequences; chance is a quarter. The second has the norm of the loss's gradient with respect to the state d steps
 * before the end, before any training. Where it is zero, nothing can be learned.
 *
 * The update gate carries the gradient: it is multiplied by z (KEEP) or 1 - z (WRITE) alone. With a bias of zero the gate
 * starts half open and forgets within a few steps. A bias of log(u), with u from 1 to L, remembers for about u steps
 * (Tallec and Ollivier 2018, "Can recurrent neural networks warp time?"). WRITE needs the opposite sign. */
#include <gru/gru.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { K = 4, I = K + 1, H = 32, N = 16, UPDATES = 400, TESTS = 32, LONGEST = 1000, SEEDS = 5 };
enum { PLAIN, HALF_OPEN, KEEP, WRITE, NETWORKS };
static const char *const names[NETWORKS] = {"plain tanh", "GRU, bias 0", "GRU KEEP", "GRU WRITE"};

/* Offsets of the parameters in one array. The plain network uses the first H rows of W and R and the first H of bW. */
enum {
    W,
    R = W + 3 * H * I,
    BW = R + 3 * H * H,
    BR = BW + 3 * H,
    V = BR + 3 * H,
    C = V + K * H,
    COUNT = C + K
};

typedef struct network {
    int kind, L, updates;
    float parameters[COUNT], gradients[COUNT]; /* V [K][H] and C [K] are the softmax's */
    float mean[COUNT], square[COUNT];          /* of gradients, for Adam */
    float x[LONGEST * N * I]; /* [L][N][I]; the last input says whether this is the first step */
    float y[LONGEST * N * H]; /* [L][N][H] */
    float dh[2][N * H];       /* gradients of the states after and before a step */
    int symbols[N];
    gru_layer *layer;
    gru_run run;
} network;

static gru_context *context;

static void check(gru_status status) {
    if (status == GRU_OK) return;
    fprintf(stderr, "%s: %s\n", gru_status_name(status), gru_last_error());
    exit(1);
}

static float uniform(unsigned *seed, float low, float high) {
    *seed = *seed * 1664525u + 1013904223u; /* Numerical Recipes' generator */
    return low + (high - low) * (float)(*seed >> 8) / (float)(1u << 24);
}

/* ---- the plain network: forward, and one step backward ---------------------------------------------------------------- */

static void plain_forward(network *net) {
    static const float zeros[H];
    for (int row = 0; row < net->L * N; row++) {
        const float *x = net->x + row * I, *h = row < N ? zeros : net->y + (row - N) * H;
        for (int j = 0; j < H; j++) {
            float a = net->parameters[BW + j];
            for (int i = 0; i < I; i++) a += net->parameters[W + j * I + i] * x[i];
            for (int k = 0; k < H; k++) a += net->parameters[R + j * H + k] * h[k];
            net->y[row * H + j] = tanhf(a);
        }
    }
}

/* From dh[0], after step t, to dh[1], before it. Adds the parameters' gradients. */
static void plain_back(network *net, int t) {
    static const float zeros[H];
    memset(net->dh[1], 0, sizeof net->dh[1]);
    for (int n = 0; n < N; n++) {
        const float *x = net->x + (t * N + n) * I, *y = net->y + (t * N + n) * H, *h = t ? y - N * H : zeros;
        for (int j = 0; j < H; j++) {
            const float da = net->dh[0][n * H + j] * (1 - y[j] * y[j]);
            net->gradients[BW + j] += da;
            for (int i = 0; i < I; i++) net->gradients[W + j * I + i] += da * x[i];
            for (int k = 0; k < H; k++) net->gradients[R + j * H + k] += da * h[k];
            for (int k = 0; k < H; k++) net->dh[1][n * H + k] += da * net->parameters[R + j * H + k];
        }
    }
}

/* ---- the GRU -------------------------------------------------------------------------------------------- */

static void gru_all_forward(network *net) {
    gru_weights weights = GRU_INIT;
    weights.W = net->parameters + W, weights.R = net->parameters + R, weights.bW = net->parameters + BW,
    weights.bR = net->parameters + BR;
    check(gru_layer_update(net->layer, &weights, NULL));
    check(gru_layer_forward(net->layer, &net->run));
}

static void gru_all_back(network *net) {
    gru_gradients wanted = GRU_INIT;
    wanted.dhT = net->dh[0];
    wanted.dW = net->gradients + W, wanted.dR = net->gradients + R, wanted.dbW = net->gradients + BW,
    wanted.dbR = net->gradients + BR;
    check(gru_layer_backward(net->layer, &net->run, &wanted));
}

/* Runs step t again, from the state before it, and goes backward through it. */
static void gru_back(network *net, int t) {
    gru_run step = net->run;
    gru_gradients wanted = GRU_INIT;
    step.T = 1, step.x.data = net->x + t * N * I, step.y.data = NULL;
    step.h0 = t ? net->y + (t - 1) * N * H : NULL;
    wanted.dhT = net->dh[0], wanted.dh0 = net->dh[1];
    check(gru_layer_forward(net->layer, &step));
    check(gru_layer_backward(net->layer, &step, &wanted));
}

/* ---- training --------------------------------------------------------------------------------------------------- */

static void new_sequences(network *net, unsigned *seed) {
    for (int i = 0; i < net->L * N * I; i++) net->x[i] = i % I < K ? uniform(seed, -0.5f, 0.5f) : 0;
    for (int n = 0; n < N; n++) {
        net->symbols[n] = (int)uniform(seed, 0, K);
        for (int i = 0; i < I; i++) net->x[n * I + i] = i == net->symbols[n] || i == K ? 1 : 0;
    }
}

static void forward(network *net, unsigned *seed) {
    new_sequences(net, seed);
    if (net->kind == PLAIN)
        plain_forward(net);
    else
        gru_all_forward(net);
}

/* Softmax and cross entropy of the last states. Sets their gradients, with that of the states in dh[0]. Returns the number
 * of sequences classified right. */
static int classify(network *net) {
    int right = 0;
    memset(net->gradients, 0, sizeof net->gradients);
    memset(net->dh, 0, sizeof net->dh);
    for (int n = 0; n < N; n++) {
        const float *h = net->y + ((net->L - 1) * N + n) * H;
        float score[K], sum = 0;
        int best = 0;
        for (int k = 0; k < K; k++) {
            score[k] = net->parameters[C + k];
            for (int j = 0; j < H; j++) score[k] += net->parameters[V + k * H + j] * h[j];
            if (score[k] > score[best]) best = k;
        }
        right += best == net->symbols[n];
        for (int k = 0; k < K; k++) sum += expf(score[k] - score[best]);
        for (int k = 0; k < K; k++) {
            const float probability = expf(score[k] - score[best]) / sum;
            const float d = (probability - (k == net->symbols[n] ? 1.0f : 0.0f)) / N;
            net->gradients[C + k] += d;
            for (int j = 0; j < H; j++) net->gradients[V + k * H + j] += d * h[j];
            for (int j = 0; j < H; j++) net->dh[0][n * H + j] += d * net->parameters[V + k * H + j];
        }
    }
    return right;
}

static void backward(network *net) {
    if (net->kind != PLAIN) gru_all_back(net);
    for (int t = net->L - 1; net->kind == PLAIN && t >= 0; t--) {
        plain_back(net, t);
        memcpy(net->dh[0], net->dh[1], sizeof net->dh[0]);
    }
}

static double norm(const float *numbers, int count) {
    double squares = 0;
    for (int i = 0; i < count; i++) squares += (double)numbers[i] * (double)numbers[i];
    return sqrt(squares);
}

/* Adam, with the gradient clipped to norm 1. */
static void update(network *net) {
    const float clip = (float)fmax(1, norm(net->gradients, COUNT)), rate = 0.01f;
    net->updates++;
    const float a = 1 - powf(0.9f, (float)net->updates), b = 1 - powf(0.999f, (float)net->updates);
    for (int i = 0; i < COUNT; i++) {
        const float d = net->gradients[i] / clip;
        net->mean[i] += 0.1f * (d - net->mean[i]);
        net->square[i] += 0.001f * (d * d - net->square[i]);
        net->parameters[i] -= rate * net->mean[i] / a / (sqrtf(net->square[i] / b) + 1e-8f);
    }
}

/* ---- networks --------------------------------------------------------------------------------------------------- */

/* R of the plain network has eigenvalues up to 1, which is best for its sizes. */
static void begin(network *net, int kind, int L, unsigned seed) {
    memset(net, 0, sizeof *net);
    net->kind = kind, net->L = L;
    for (int i = 0; i < COUNT; i++) {
        const float size = i < R ? 0.5f : (kind == PLAIN && i < BW ? sqrtf(3.0f / H) : sqrtf(1.0f / H));
        net->parameters[i] = (i >= BW && i < V) || i >= C ? 0 : uniform(&seed, -size, size);
    }
    for (int j = H; j < 2 * H && kind >= KEEP; j++) /* of the update gate */
        net->parameters[BW + j] = (kind == KEEP ? 1 : -1) * logf(uniform(&seed, 1, (float)L));
    if (kind == PLAIN) return;
    gru_layer_config config = GRU_INIT;
    gru_weights weights = GRU_INIT;
    gru_sizes sizes;
    weights.W = net->parameters + W, weights.R = net->parameters + R, weights.bW = net->parameters + BW,
    weights.bR = net->parameters + BR;
    config.inputs = I, config.hidden = H, config.update = kind == WRITE ? GRU_UPDATE_WRITE : GRU_UPDATE_KEEP;
    check(gru_layer_create(context, &config, &weights, &net->layer));
    check(gru_layer_sizes(net->layer, L, N, &sizes));
    net->run.T = L, net->run.N = N, net->run.mode = GRU_TRAIN, net->run.x.data = net->x,
    net->run.y.data = net->y;
    net->run.workspace_size =
        sizes.workspace > sizes.backward_workspace ? sizes.workspace : sizes.backward_workspace;
    net->run.reserve_size = sizes.reserve;
    check(gru_allocate(context, net->run.workspace_size, &net->run.workspace));
    check(gru_allocate(context, net->run.reserve_size, &net->run.reserve));
}

static void end(network *net) {
    gru_free(context, net->run.workspace), gru_free(context, net->run.reserve);
    gru_layer_release(net->layer);
}

/* Share of new sequences that are classified right after training. */
static double accuracy(network *net, int kind, int L, unsigned first_seed) {
    unsigned train = first_seed + 1, test = first_seed + 2;
    int right = 0;
    begin(net, kind, L, first_seed);
    for (int i = 0; i < UPDATES; i++) {
        forward(net, &train);
        classify(net);
        backward(net);
        update(net);
    }
    for (int i = 0; i < TESTS; i++) {
        forward(net, &test);
        right += classify(net);
    }
    end(net);
    return (double)right / (TESTS * N);
}

/* norms[d]: of the gradient d steps before the end, relative to that of the last state. */
static void trace(network *net, int kind, int L, unsigned first_seed, double *norms) {
    unsigned seed = first_seed + 3;
    begin(net, kind, L, first_seed);
    forward(net, &seed);
    classify(net);
    const double last = norm(net->dh[0], N * H);
    for (int d = 0; d < L; d++) {
        norms[d] = norm(net->dh[0], N * H) / last;
        if (kind == PLAIN)
            plain_back(net, L - 1 - d);
        else
            gru_back(net, L - 1 - d);
        memcpy(net->dh[0], net->dh[1], sizeof net->dh[0]);
    }
    end(net);
}

/* ---- tables ----------------------------------------------------------------------------------------------------- */

static void print_head(const char *title, const char *first) {
    printf("\n%s\n%6s %6s", title, "seed", first);
    for (int kind = 0; kind < NETWORKS; kind++) printf(" %12s", names[kind]);
    printf("\n");
}

/* Leaves the accuracies of the longest sequences in right. */
static void print_accuracies(network *net, int longest, unsigned seed, double *right) {
    static const int lengths[] = {10, 30, 100, 300, LONGEST};
    for (int i = 0; i < 5 && lengths[i] <= longest; i++) {
        printf("%6u %6d", seed, lengths[i]);
        for (int kind = 0; kind < NETWORKS; kind++) {
            right[kind] = accuracy(net, kind, lengths[i], seed);
            printf(" %12.3f", right[kind]);
            fflush(stdout);
        }
        printf("\n");
    }
}

static void print_norms(int longest, unsigned seed, double norms[NETWORKS][LONGEST]) {
    for (int d = 0; d < longest; d += 1 + d / 10) {
        printf("%6u %6d", seed, d);
        for (int kind = 0; kind < NETWORKS; kind++) printf(" %12.3g", norms[kind][d]);
        printf("\n");
    }
}

/* What the lesson says of one seed; right: for the longest sequences. Some seeds of the plain network learn 100 steps, so
 * it is judged from 300 on. */
static int is_as_told(const double *right, double norms[NETWORKS][LONGEST], int longest) {
    const double plain = norms[PLAIN][longest - 1], keep = norms[KEEP][longest - 1];
    return right[KEEP] > 0.95 && right[WRITE] > 0.95 && right[HALF_OPEN] < 0.5 &&
           (longest < 300 || right[PLAIN] < 0.9) && keep > 0.1 && norms[WRITE][longest - 1] > 0.1 &&
           plain < keep / 10 && norms[HALF_OPEN][longest - 1] <= plain;
}

/* Exit status: 0 if each seed shows what the lesson says, which from L = 100 on it should. */
int main(int argc, char **argv) {
    static double norms[NETWORKS][LONGEST], right[SEEDS][NETWORKS];
    static network net;
    gru_context_config config = GRU_INIT;
    const int longest = argc > 1 ? atoi(argv[1]) : LONGEST, seeds = argc > 2 ? atoi(argv[2]) : SEEDS;
    int as_told = 1;
    if (longest < 10 || longest > LONGEST) return fprintf(stderr, "L is from 10 to %d\n", LONGEST), 2;
    if (seeds < 1 || seeds > SEEDS) return fprintf(stderr, "there are 1 to %d seeds\n", SEEDS), 2;
    config.backend = GRU_BACKEND_CPU, config.threads = 1; /* a step is too small for two threads */
    check(gru_context_create(&config, &context));
    print_head("Accuracy after training on sequences of L steps", "L");
    for (int i = 0; i < seeds; i++) print_accuracies(&net, longest, (unsigned)i + 1, right[i]);
    print_head("Gradient norm d steps before the end, before training", "d");
    for (int i = 0; i < seeds; i++) {
        for (int kind = 0; kind < NETWORKS; kind++) trace(&net, kind, longest, (unsigned)i + 1, norms[kind]);
        print_norms(longest, (unsigned)i + 1, norms);
        as_told = as_told && is_as_told(right[i], norms, longest);
    }
    gru_context_release(context);
    return as_told ? 0 : 1;
}
