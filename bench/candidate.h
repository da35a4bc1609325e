/* candidate.h: what the benchmark times: an engine of this library, or a peer, the GRU of another library.
 *
 * A peer makes its own layer of problem->W, R, bW, bR (native order) in prepare, outside the timing, with
 * problem->threads threads; run reads x and h0 and writes y and hT. SPDX-License-Identifier: Apache-2.0 */
#ifndef BENCH_CANDIDATE_H
#define BENCH_CANDIDATE_H

#include "bench_problem.h"

enum { BENCH_WHY = 512 };
enum { BENCH_CPU, BENCH_GPU };

typedef struct bench_candidate {
    const char *name; /* of its row */
    /* NULL if this peer cannot run the problem: why[BENCH_WHY] stays "" if it never claimed to, else gets the reason.
     * The problem outlives the state. */
    void *(*prepare)(const struct bench_candidate *self, const bench_problem *problem, char *why);
    void (*run)(void *state);
    void (*release)(void *state);
    /* The rest is zero for a peer that works on the CPU, in the problem's own arrays. */
    void (*wait)(void *state); /* until all runs are done; NULL: run returns when it is done */
    void (*collect)(
        void *state);   /* brings what the last run made into problem->y and hT; NULL: run wrote there */
    int device;         /* BENCH_CPU, BENCH_GPU */
    const char *engine; /* of this library; NULL: another library */
    int weights;        /* BENCH_WEIGHTS_...: an engine that holds the problem's weights in fewer bits */
    int variant;        /* the peer's own number for this row */
    int has_lstm;       /* this library has an LSTM too: it takes part in --compare-lstm */
    int recorded;       /* its runs replay a graph */
    const char *(*note)(
        const void *state); /* a remark for the row; the function and its answer may be NULL */
} bench_candidate;

/* Those that were found when this program was built. */
extern const bench_candidate bench_peer_plain;
extern const bench_candidate bench_peer_openblas;
extern const bench_candidate bench_peer_eigen; /* streaming, of some sizes */
extern const bench_candidate bench_peer_onednn;
extern const bench_candidate bench_peer_onednn_lstm;
enum { BENCH_CUDNN_ROWS = 8 }; /* four algorithms, each in a stream and as a graph */
extern const bench_candidate bench_peers_cudnn[BENCH_CUDNN_ROWS];

#endif
