// Streams: lists of work that is done only when the host waits for it, so that a program that forgets to wait
// reads old values.
#ifndef EMU_STREAM_H
#define EMU_STREAM_H
#include <deque>
#include <functional>
#include <memory>
#include "emu_device.h"
#include "emu_memory.h"

namespace emu {
struct Operation {
    std::shared_ptr<const Launch> kernel; // or:
    std::function<void()> act;
    std::function<bool()> may_start{}; // empty: at once
};
} // namespace emu
struct CUgraph_st {
    std::vector<emu::Operation> operations;
    cudaStreamCaptureMode mode = cudaStreamCaptureModeGlobal;
    bool invalid = false;
};
struct CUstream_st {
    int device = 0;
    bool blocking = true; // waits for the legacy stream and the other way round
    std::deque<emu::Operation> queue{};
    std::shared_ptr<CUgraph_st> capture{}; // being recorded
};

namespace emu {
CUstream_st *stream_of(cudaStream_t); // NULL for a handle that is none
cudaError_t enqueue(cudaStream_t, Operation);
bool is_legacy(const CUstream_st *);
void drain(CUstream_st *);
void drain_all();
// Notes the first use of a kernel, which a recording refuses: false.
bool load_kernel(const void *function);
// A call that waits or allocates: whether a recording forbids it, which it also breaks.
bool refused_by_capture();
void end_capture(const std::shared_ptr<CUgraph_st> &); // for all streams that take part
} // namespace emu
#endif
