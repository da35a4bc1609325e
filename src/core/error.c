/* error.c: names of statuses and the last sentence of each thread. */
#include "error.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static _Thread_local char sentence[1024];

gru_status gru_fail(gru_status status, const char *format, ...) {
    char text[sizeof sentence]; /* the arguments may point into the old sentence */
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    memcpy(sentence, text, sizeof sentence);
    return status;
}

const char *gru_last_error(void) {
    return sentence;
}

const char *gru_status_name(gru_status status) {
    static const char *const names[] = {
        "GRU_OK",        "GRU_BAD_ARGUMENT",  "GRU_BAD_DATA",      "GRU_UNSUPPORTED", "GRU_NOT_BUILT",
        "GRU_NO_DEVICE", "GRU_OUT_OF_MEMORY", "GRU_DEVICE_FAILED", "GRU_IO",
    };
    const size_t count = sizeof names / sizeof *names;
    return status >= 0 && (size_t)status < count ? names[status] : "unknown";
}

int32_t gru_version(void) {
    return GRU_VERSION_MAJOR * 10000 + GRU_VERSION_MINOR * 100 + GRU_VERSION_PATCH;
}
