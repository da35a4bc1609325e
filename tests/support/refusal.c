/* refusal.c: the status of a call that failed, and its sentence. */
#include "refusal.h"

#include <string.h>

#include "tester.h"

void check_refusal(gru_status status, gru_status expected, const char *what, const char *name,
                   const char *value) {
    const char *sentence = gru_last_error();
    CHECK(status == expected, "%s: %s \"%s\", expected %s", what, gru_status_name(status), sentence,
          gru_status_name(expected));
    CHECK(strstr(sentence, name) && strstr(sentence, value), "%s: \"%s\" says not \"%s\" and \"%s\"", what,
          sentence, name, value);
}
