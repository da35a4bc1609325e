// products_library.cu: opens libcublasLt.so.  SPDX-License-Identifier: Apache-2.0
#include "products_library.h"

#if !defined(CUDA_EMU)
#include <dlfcn.h>
#include <stdio.h>
#endif

namespace gpu_probe {

#if defined(CUDA_EMU)
const ProductsLibrary *load_products() {
    static const ProductsLibrary library = {
#define FUNCTION(NAME) cublasLt##NAME,
#include "products_library.def"
#undef FUNCTION
    };
    return &library;
}
#else
template <class F> static bool find(void *file, const char *name, F *function) {
    *function = reinterpret_cast<F>(dlsym(file, name));
    return *function != nullptr;
}

const ProductsLibrary *load_products() {
    static ProductsLibrary library;
    char name[40];
    (void)snprintf(name, sizeof name, "libcublasLt.so.%d", CUBLAS_VER_MAJOR);
    void *const file = dlopen(name, RTLD_NOW | RTLD_LOCAL);
    bool whole = file != nullptr;
#define FUNCTION(NAME) whole = whole && find(file, "cublasLt" #NAME, &library.NAME);
#include "products_library.def"
#undef FUNCTION
    return whole ? &library : nullptr;
}
#endif

} // namespace gpu_probe
