// The knobs and findings of the emulator, for tests in C and C++ that run kernels in it.
#ifndef EMU_CONTROL_H
#define EMU_CONTROL_H
#include <stddef.h>
#include <stdint.h>
#ifdef __cplusplus
extern "C" {
#endif

enum { EMU_RANDOM, EMU_FIRST_IN_FIRST_OUT, EMU_LAST_IN_FIRST_OUT };
// Moods of the stand-in for cuBLASLt, each within what the real one may do.
enum {
    EMU_BLAS_BY_SIZE = 1,  // the algorithm, and so the bits, change with every size
    EMU_BLAS_NO_BIAS = 2,  // none adds a bias in strict f32
    EMU_BLAS_FEW = 4,      // one or two of those that there are, or only such as fail
    EMU_BLAS_GAPS = 8,     // none for more rows than a number drawn from the seed
    EMU_BLAS_NO_SUMS = 16, // none with B transposed
    EMU_BLAS_NO_SMALL = 32 // none with less than 8 rows
};
typedef struct emu_options {
    uint64_t seed; // of the scheduler and of the order between streams; takes effect with the next launch
    int order;     // of threads: EMU_RANDOM ...
    int verbose;   // print each finding when it is made
    int resident_blocks; // how many blocks of a launch that is not cooperative run at a time
    int devices;
    int compute_capability; // 10 * major + minor
    int processors;         // multiprocessors of a device
    int driver_version;     // of cudaDriverGetVersion
    int cublaslt_version;   // of cublasLtGetVersion
    int cublaslt_moods;     // EMU_BLAS_...; 0: always the same two algorithms
    int pageable;           // the device reaches ordinary host memory, says its attribute
    int wrong_products;     // sum of 1: f16, 2: bf16, 4: TF32, 8: f32 of cuBLASLt: these lose their first k
    unsigned contexts;      // bit d: device d has a primary context; tests may clear it
    int fail_allocation;    // the n-th allocation of device memory from now fails; 0: none
} emu_options;
extern emu_options emu_option;
extern const int emu_is_checker;

// What was found since the last call, one sentence per line, "" for nothing; clears it and the sticky error.
// Findings make the device fail as a fault on a GPU does: the launch goes on to its end where it can, later
// ones are refused until this is called. A program that ends with findings it has not taken fails.
const char *emu_take_findings(void);
int emu_moods_of(uint64_t seed);  // moods that a seed draws; seeds 1, 2 and 3 draw all that no option needs
uint64_t emu_launches(void);      // grids that ran
uint64_t emu_gemm_products(void); // multiplications of the stand-in for cuBLASLt
uint64_t emu_loaded(void);        // kernels used or asked about so far: a warm layer adds none
int emu_carveouts(void);          // shared-memory carve-outs that kernels asked for, cuBLASLt's apart
uint64_t emu_allocations(void);   // live allocations of device memory

#ifdef __cplusplus
}
#endif
#endif
