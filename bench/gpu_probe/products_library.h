// products_library.h: cuBLASLt's functions by their names, in a library that is loaded when it is wanted, so
// that the program starts where there is none.  SPDX-License-Identifier: Apache-2.0
#ifndef BENCH_PRODUCTS_LIBRARY_H
#define BENCH_PRODUCTS_LIBRARY_H
#include <cublasLt.h>

namespace gpu_probe {

// library->Create is cublasLtCreate, and so on.
struct ProductsLibrary {
#define FUNCTION(NAME) decltype(&cublasLt##NAME) NAME;
#include "products_library.def"
#undef FUNCTION
};

// nullptr: it is not there, or lacks a function.
const ProductsLibrary *load_products();

} // namespace gpu_probe
#endif
