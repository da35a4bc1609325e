// The memory that kernels may use: what was allocated, of which kind, on which device.
#ifndef EMU_MEMORY_H
#define EMU_MEMORY_H
#include <cstddef>
#include <mutex>
#include "include/cuda_runtime_api.h"

namespace emu {
struct Allocation {
    unsigned char *data;
    size_t bytes;
    cudaMemoryType type;
    int device;
};
const Allocation *find_allocation(const void *,
                                  size_t bytes); // that holds all of these bytes; NULL: none does
bool in_a_region(const void *);                  // whether or not it is allocated
void check_red_zones();
void visit_allocations(void (*visit)(const void *data, size_t bytes)); // of device memory

// While one lives, the emulator may touch device memory, which is out of the host's reach otherwise.
struct Access {
    Access();
    ~Access();
    Access(const Access &) = delete;
    Access &operator=(const Access &) = delete;
};
void reopen_device_memory();            // in the handler of a signal, which begins without access
extern std::recursive_mutex &api_mutex; // held by every function that a program may call from several threads
struct Lock : std::lock_guard<std::recursive_mutex> {
    Lock() : lock_guard(api_mutex) {}
};
} // namespace emu
#endif
