/* error.h: the one way to report a failure. */
#ifndef GRU_ERROR_H
#define GRU_ERROR_H

#include "gru/gru.h"
#include "platform.h"

/* Stores the sentence as this thread's latest and returns status, so that a check is one line:
 *     if (run->T < 0) return gru_fail(GRU_BAD_ARGUMENT, "run.T is %lld, expected 0 or more", (long long)run->T); */
gru_status gru_fail(gru_status status, const char *format, ...) __attribute__((format(printf, 2, 3), cold));

/* Returns the status of the expression from the calling function if it failed. */
#define GRU_TRY(expression)                          \
    do {                                             \
        const gru_status try_status = (expression);  \
        if (try_status != GRU_OK) return try_status; \
    } while (0)

#endif
