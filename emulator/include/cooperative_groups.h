// Stand-in for cooperative_groups.h: the groups that kernels here use (block, grid, cluster).
#ifndef EMU_COOPERATIVE_GROUPS_H
#define EMU_COOPERATIVE_GROUPS_H
#include "cuda_runtime.h"

namespace cooperative_groups {
struct thread_block {
    static void sync(EMU_SITE) { emu::block_barrier(file, line); }
    static unsigned thread_rank() { return emu::self->linear; }
    static unsigned size() { return blockDim.x * blockDim.y * blockDim.z; }
};
struct grid_group {
    static bool is_valid() { return true; }
    static void sync(EMU_SITE) { emu::grid_barrier(file, line); }
};
struct cluster_group {
    static void sync(EMU_SITE) {
        emu::cluster_arrive(file, line);
        emu::cluster_wait(file, line);
    }
    static unsigned block_rank() { return emu::self->cluster_rank; }
    static unsigned num_blocks() { return emu::self->cluster_size; }
    template <class T> static T *map_shared_rank(T *pointer, unsigned rank) {
        return static_cast<T *>(emu::map_shared_rank(pointer, rank));
    }
};
inline thread_block this_thread_block() {
    return {};
}
inline grid_group this_grid() {
    return {};
}
inline cluster_group this_cluster() {
    return {};
}
} // namespace cooperative_groups
#endif
