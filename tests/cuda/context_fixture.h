/* context_fixture.h: a context, a small layer of zeros and a run of it, for tests of what surrounds a run. */
#ifndef CONTEXT_FIXTURE_H
#define CONTEXT_FIXTURE_H

#include "gru/gru.h"

enum { I = 3, H = 5, N = 2, T = 2 };

extern const float zeros[3 * H * H];

gru_status open_context(uint32_t flags, int32_t device, gru_context **context);
gru_context *must_open(uint32_t flags, int32_t device);
gru_status make_layer(gru_context *context, gru_layer **layer); /* of zeros */

/* A layer and a run of it, everything in memory of the context. */
typedef struct fixture {
    gru_context *context;
    gru_layer *layer;
    gru_run run;
    char *memory; /* x, y, h0, hT in pieces of PIECE bytes, then the workspace */
} fixture;

enum { PIECE = 256 };

void make_fixture(fixture *f, uint32_t flags, int32_t device);
void free_fixture(fixture *f);

/* That a call failed as expected, with these words in its sentence. */
void check_sentence(const char *what, gru_status status, gru_status expected, const char *words);

#endif
