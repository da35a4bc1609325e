/* refusal.h: what a call that must fail answers. */
#ifndef REFUSAL_H
#define REFUSAL_H

#include <gru/gru.h>

/* The status is the expected one, and the sentence has both words; `what` names the call. */
void check_refusal(gru_status status, gru_status expected, const char *what, const char *name,
                   const char *value);

#define REFUSED(call, name, value) check_refusal((call), GRU_BAD_ARGUMENT, #call, (name), (value))

#endif
