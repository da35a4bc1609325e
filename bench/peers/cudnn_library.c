/* cudnn_library.c: opens libcudnn.so.  SPDX-License-Identifier: Apache-2.0 */
#include "cudnn_library.h"

#include <dlfcn.h>
#include <stdio.h>
#include <string.h>

/* POSIX lets dlsym's pointer become a function's; C does not, so its bytes are copied. */
static int find(void *file, const char *name, void *function) {
    void *const found = dlsym(file, name);
    memcpy(function, &found, sizeof found);
    return found != NULL;
}

static int find_all(void *file, cudnn_library *library) {
    int whole = 1;
#define FUNCTION(NAME) whole = find(file, "cudnn" #NAME, &library->NAME) && whole;
#include "cudnn.def"
#undef FUNCTION
    return whole;
}

#define TEXT(number) #number
#define NAME_OF(major) "libcudnn.so." TEXT(major)

const cudnn_library *cudnn_load(char *why, size_t size) {
    static cudnn_library library;
    static int whole;
    if (whole) return &library;
    void *file = dlopen(NAME_OF(CUDNN_MAJOR), RTLD_NOW | RTLD_LOCAL);
    if (!file) {
        (void)snprintf(why, size, "%s", dlerror());
        return NULL;
    }
    whole = find_all(file, &library);
    if (!whole) (void)snprintf(why, size, "%s lacks a function", NAME_OF(CUDNN_MAJOR));
    return whole ? &library : NULL;
}
