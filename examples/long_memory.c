/* long_memory.c: what a GRU is for: remembering the first input through L steps of noise.
 *
 *     long_memory [longest L [seed]] | examples/draw_memory.py examples/long_memory.svg
 *
 * The first input is one of K symbols, all later ones are noise; a softmax over the last state must tell which it was. A
 * plain recurrent network, h' = tanh(W x + R h + b), is written here; the GRUs are the library's. For each L each is
 * trained as often, on the same sequences. The first table has the share of 512 new sequences that are told right, of
 * which guessing gets a quarter. The second has the length of the loss's gradient after the state d steps before the end,
 * before all training: where nothing of it is left, nothing can be learned from there.
 *
 * The update gate carries it: what is kept is multiplied by z (KEEP) or 1 - z (WRITE) alone. A fresh gate is half open and
 * forgets in a few steps; a bias of log(u), u from 1 to L, remembers for some u steps (Tallec and Ollivier 2018, "Can
 * recurrent neural networks warp time?"). With WRITE it has the other sign: with the wrong one a GRU forgets at once. */
#include <gru/gru.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { K = 4, I = K + 1, H = 32, N = 16, UPDATES = 400, TESTS = 32, LONGEST = 1000 };
enum { PLAIN, HALF_OPEN, KEEP, WRITE, NETWORKS };
static const char *const names[NETWORKS] = {"plain tanh", "GRU, bias 0", "GRU KEEP", "GRU WRITE"};

/* One behind the other: what is trained. A plain network uses the first H rows of W and R and the first H of bW. */
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
    float p[COUNT], d[COUNT];         /* parameters, V [K][H] and C [K] for the softmax; gradients */
    float mean[COUNT], square[COUNT]; /* of gradients: Adam's */
    float x[LONGEST * N * I];         /* [L][N][I]; the last input says whether this is the first step */
    float y[LONGEST * N * H];         /* [L][N][H] */
    float dh[2][N * H]; /* gradient of the state that leaves a step, of the one that enters it */
    int symbols[N];
    gru_layer *layer;
    gru_run run;
} network;

static gru_context *context;
static unsigned first_seed = 1; /* of weights; sequences have the next ones */

static void check(gru_status status) {
    if (status == GRU_OK) return;
    fprintf(stderr, "%s: %s\n", gru_status_name(status), gru_last_error());
    exit(1);
}

static float uniform(unsigned *seed, float low, float high) {
    *seed = *seed * 1664525u + 1013904223u; /* Numerical Recipes' generator */
    return low + (high - low) * (float)(*seed >> 8) / (float)(1u << 24);
}

/* ---- a plain network, forward and one step back ---------------------------------------------------------------- */

static void plain_forward(network *q) {
    static const float zeros[H];
    for (int row = 0; row < q->L * N; row++) {
        const float *x = q->x + row * I, *h = row < N ? zeros : q->y + (row - N) * H;
        for (int j = 0; j < H; j++) {
            float a = q->p[BW + j];
            for (int i = 0; i < I; i++) a += q->p[W + j * I + i] * x[i];
            for (int k = 0; k < H; k++) a += q->p[R + j * H + k] * h[k];
            q->y[row * H + j] = tanhf(a);
        }
    }
}

/* Takes dh[0] through step t into dh[1], and adds to the parameters' gradients. */
static void plain_back(network *q, int t) {
    static const float zeros[H];
    memset(q->dh[1], 0, sizeof q->dh[1]);
    for (int n = 0; n < N; n++) {
        const float *x = q->x + (t * N + n) * I, *y = q->y + (t * N + n) * H, *h = t ? y - N * H : zeros;
        for (int j = 0; j < H; j++) {
            const float da = q->dh[0][n * H + j] * (1 - y[j] * y[j]);
            q->d[BW + j] += da;
            for (int i = 0; i < I; i++) q->d[W + j * I + i] += da * x[i];
            for (int k = 0; k < H; k++) q->d[R + j * H + k] += da * h[k];
            for (int k = 0; k < H; k++) q->dh[1][n * H + k] += da * q->p[R + j * H + k];
        }
    }
}

/* ---- a GRU, the same -------------------------------------------------------------------------------------------- */

static void gru_all_forward(network *q) {
    gru_weights weights = GRU_INIT;
    weights.W = q->p + W, weights.R = q->p + R, weights.bW = q->p + BW, weights.bR = q->p + BR;
    check(gru_layer_update(q->layer, &weights, NULL));
    check(gru_layer_forward(q->layer, &q->run));
}

static void gru_all_back(network *q) {
    gru_gradients wanted = GRU_INIT;
    wanted.dhT = q->dh[0];
    wanted.dW = q->d + W, wanted.dR = q->d + R, wanted.dbW = q->d + BW, wanted.dbR = q->d + BR;
    check(gru_layer_backward(q->layer, &q->run, &wanted));
}

/* One step is run again from the state that entered it. */
static void gru_back(network *q, int t) {
    gru_run step = q->run;
    gru_gradients wanted = GRU_INIT;
    step.T = 1, step.x.data = q->x + t * N * I, step.y.data = NULL;
    step.h0 = t ? q->y + (t - 1) * N * H : NULL;
    wanted.dhT = q->dh[0], wanted.dh0 = q->dh[1];
    check(gru_layer_forward(q->layer, &step));
    check(gru_layer_backward(q->layer, &step, &wanted));
}

/* ---- learning --------------------------------------------------------------------------------------------------- */

static void new_sequences(network *q, unsigned *seed) {
    for (int i = 0; i < q->L * N * I; i++) q->x[i] = i % I < K ? uniform(seed, -0.5f, 0.5f) : 0;
    for (int n = 0; n < N; n++) {
        q->symbols[n] = (int)uniform(seed, 0, K);
        for (int i = 0; i < I; i++) q->x[n * I + i] = i == q->symbols[n] || i == K ? 1 : 0;
    }
}

static void forward(network *q, unsigned *seed) {
    new_sequences(q, seed);
    if (q->kind == PLAIN)
        plain_forward(q);
    else
        gru_all_forward(q);
}

/* Softmax and cross entropy of the last states: their gradients, in dh[0] that of the state; how many are right. */
static int judge(network *q) {
    int right = 0;
    memset(q->d, 0, sizeof q->d);
    memset(q->dh, 0, sizeof q->dh);
    for (int n = 0; n < N; n++) {
        const float *h = q->y + ((q->L - 1) * N + n) * H;
        float score[K], sum = 0;
        int best = 0;
        for (int k = 0; k < K; k++) {
            score[k] = q->p[C + k];
            for (int j = 0; j < H; j++) score[k] += q->p[V + k * H + j] * h[j];
            if (score[k] > score[best]) best = k;
        }
        right += best == q->symbols[n];
        for (int k = 0; k < K; k++) sum += expf(score[k] - score[best]);
        for (int k = 0; k < K; k++) {
            const float share = expf(score[k] - score[best]) / sum;
            const float d = (share - (k == q->symbols[n] ? 1.0f : 0.0f)) / N;
            q->d[C + k] += d;
            for (int j = 0; j < H; j++) q->d[V + k * H + j] += d * h[j];
            for (int j = 0; j < H; j++) q->dh[0][n * H + j] += d * q->p[V + k * H + j];
        }
    }
    return right;
}

static void backward(network *q) {
    if (q->kind != PLAIN) gru_all_back(q);
    for (int t = q->L - 1; q->kind == PLAIN && t >= 0; t--) {
        plain_back(q, t);
        memcpy(q->dh[0], q->dh[1], sizeof q->dh[0]);
    }
}

static double length(const float *numbers, int count) {
    double squares = 0;
    for (int i = 0; i < count; i++) squares += (double)numbers[i] * (double)numbers[i];
    return sqrt(squares);
}

/* Adam, of gradients cut to length 1. */
static void learn(network *q) {
    const float cut = (float)fmax(1, length(q->d, COUNT)), rate = 0.01f;
    q->updates++;
    const float a = 1 - powf(0.9f, (float)q->updates), b = 1 - powf(0.999f, (float)q->updates);
    for (int i = 0; i < COUNT; i++) {
        const float d = q->d[i] / cut;
        q->mean[i] += 0.1f * (d - q->mean[i]);
        q->square[i] += 0.001f * (d * d - q->square[i]);
        q->p[i] -= rate * q->mean[i] / a / (sqrtf(q->square[i] / b) + 1e-8f);
    }
}

/* ---- networks --------------------------------------------------------------------------------------------------- */

/* R of a plain network gets eigenvalues up to 1, so that it keeps what it can. */
static void begin(network *q, int kind, int L) {
    unsigned seed = first_seed;
    memset(q, 0, sizeof *q);
    q->kind = kind, q->L = L;
    for (int i = 0; i < COUNT; i++) {
        const float size = i < R ? 0.5f : (kind == PLAIN && i < BW ? sqrtf(3.0f / H) : sqrtf(1.0f / H));
        q->p[i] = (i >= BW && i < V) || i >= C ? 0 : uniform(&seed, -size, size);
    }
    for (int j = H; j < 2 * H && kind >= KEEP; j++) /* of the update gate */
        q->p[BW + j] = (kind == KEEP ? 1 : -1) * logf(uniform(&seed, 1, (float)L));
    if (kind == PLAIN) return;
    gru_layer_config config = GRU_INIT;
    gru_weights weights = GRU_INIT;
    gru_sizes memory;
    weights.W = q->p + W, weights.R = q->p + R, weights.bW = q->p + BW, weights.bR = q->p + BR;
    config.inputs = I, config.hidden = H, config.update = kind == WRITE ? GRU_UPDATE_WRITE : GRU_UPDATE_KEEP;
    check(gru_layer_create(context, &config, &weights, &q->layer));
    check(gru_layer_sizes(q->layer, L, N, &memory));
    q->run.T = L, q->run.N = N, q->run.mode = GRU_TRAIN, q->run.x.data = q->x, q->run.y.data = q->y;
    q->run.workspace_size =
        memory.workspace > memory.backward_workspace ? memory.workspace : memory.backward_workspace;
    q->run.reserve_size = memory.reserve;
    check(gru_allocate(context, q->run.workspace_size, &q->run.workspace));
    check(gru_allocate(context, q->run.reserve_size, &q->run.reserve));
}

static void end(network *q) {
    gru_free(context, q->run.workspace), gru_free(context, q->run.reserve);
    gru_layer_release(q->layer);
}

/* Share of new sequences that are told right after training. */
static double accuracy(network *q, int kind, int L) {
    unsigned train = first_seed + 1, test = first_seed + 2;
    int right = 0;
    begin(q, kind, L);
    for (int i = 0; i < UPDATES; i++) {
        forward(q, &train);
        judge(q);
        backward(q);
        learn(q);
    }
    for (int i = 0; i < TESTS; i++) {
        forward(q, &test);
        right += judge(q);
    }
    end(q);
    return (double)right / (TESTS * N);
}

/* lengths[d]: of the gradient d steps before the end, that of the last state being 1. */
static void trace(network *q, int kind, int L, double *lengths) {
    unsigned seed = first_seed + 3;
    begin(q, kind, L);
    forward(q, &seed);
    judge(q);
    const double last = length(q->dh[0], N * H);
    for (int d = 0; d < L; d++) {
        lengths[d] = length(q->dh[0], N * H) / last;
        if (kind == PLAIN)
            plain_back(q, L - 1 - d);
        else
            gru_back(q, L - 1 - d);
        memcpy(q->dh[0], q->dh[1], sizeof q->dh[0]);
    }
    end(q);
}

static void print_head(const char *title, const char *first) {
    printf("\n%s\n%6s", title, first);
    for (int kind = 0; kind < NETWORKS; kind++) printf(" %12s", names[kind]);
    printf("\n");
}

/* right: of the longest; gradients: where its first step is. With luck a plain network learns 100 steps, not 300. */
static int is_as_told(const double *right, double gradients[NETWORKS][LONGEST], int longest) {
    const double plain = gradients[PLAIN][longest - 1], keep = gradients[KEEP][longest - 1];
    return right[KEEP] > 0.95 && right[WRITE] > 0.95 && right[HALF_OPEN] < 0.5 &&
           (longest < 300 || right[PLAIN] < 0.9) && keep > 0.1 && gradients[WRITE][longest - 1] > 0.1 &&
           plain < keep / 10 && gradients[HALF_OPEN][longest - 1] < plain;
}

/* Exit status: 0 if the longest is as told above, which from L = 100 on it should be. */
int main(int argc, char **argv) {
    static const int lengths[] = {10, 30, 100, 300, LONGEST};
    static double gradients[NETWORKS][LONGEST];
    static network q;
    double right[NETWORKS];
    gru_context_config machine = GRU_INIT;
    const int longest = argc > 1 ? atoi(argv[1]) : LONGEST;
    if (argc > 2) first_seed = (unsigned)atoi(argv[2]);
    if (longest < 10 || longest > LONGEST) return fprintf(stderr, "L is from 10 to %d\n", LONGEST), 2;
    machine.backend = GRU_BACKEND_CPU, machine.threads = 1; /* a step is too small to share */
    check(gru_context_create(&machine, &context));
    print_head("Told right after training through L steps", "L");
    for (int i = 0; i < 5 && lengths[i] <= longest; i++) {
        printf("%6d", lengths[i]);
        for (int kind = 0; kind < NETWORKS; kind++) {
            right[kind] = accuracy(&q, kind, lengths[i]);
            printf(" %12.3f", right[kind]);
            fflush(stdout);
        }
        printf("\n");
    }
    for (int kind = 0; kind < NETWORKS; kind++) trace(&q, kind, longest, gradients[kind]);
    print_head("Gradient of the state d steps before the end, before training", "d");
    for (int d = 0; d < longest; d += 1 + d / 10) {
        printf("%6d", d);
        for (int kind = 0; kind < NETWORKS; kind++) printf(" %12.3g", gradients[kind][d]);
        printf("\n");
    }
    gru_context_release(context);
    return is_as_told(right, gradients, longest) ? 0 : 1;
}
