/* torch_calls.cpp: passes of one layer on tensors, as libgru/torch/_plans.py makes them by ctypes, in less
 * time. On PyTorch's stable ABI of 2.10: built once, it runs with all later versions. Nothing here knows autograd.
 *
 *     libgru_calls::pack      W, R and, where there are biases, bW, bR of each direction -> packed weights
 *     libgru_calls::forward   x, h0, packed weights -> y, hT and, in training, the reserve
 *     libgru_calls::backward  dy, dhT, x, packed weights, reserve -> dx of each direction, if wanted; dh0; gradients of weights
 *
 * layers: addresses of the gru_layer of each direction. The caller has checked types and shapes; all tensors but x and dy are dense,
 * and those are as gru_run takes them. */
#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <new>
#include <optional>
#include <stdexcept>
#include <string>
#include <vector>

#include <torch/csrc/stable/library.h>
#include <torch/csrc/stable/ops.h>
#include <torch/csrc/stable/tensor.h>

#include <gru/gru.h>

namespace {
using torch::headeronly::ScalarType;
using torch::stable::Tensor;

/* The status is read back by _native.py, which raises its exception. */
void check(gru_status status) {
    if (status != GRU_OK)
        throw std::runtime_error("libgru " + std::to_string(status) + ": " + gru_last_error());
}

Tensor empty(std::initializer_list<int64_t> shape, ScalarType type) {
    return torch::stable::empty({shape.begin(), shape.size()}, type);
}

size_t padded(size_t bytes) {
    return (bytes + 63) / 64 * 64;
}

/* Of this thread, until its next call. */
void *scratch(size_t bytes) {
    static thread_local std::unique_ptr<void, void (*)(void *)> kept(nullptr, std::free);
    static thread_local size_t size = 0;
    if (size < bytes) {
        size = 0;
        kept.reset(std::aligned_alloc(64, padded(bytes)));
        if (!kept) throw std::bad_alloc();
        size = bytes;
    }
    return kept.get();
}

int32_t type_of(const Tensor &tensor) {
    switch (tensor.scalar_type()) {
    case ScalarType::Double:
        return GRU_F64;
    case ScalarType::Half:
        return GRU_F16;
    case ScalarType::BFloat16:
        return GRU_BF16;
    default:
        return GRU_F32;
    }
}

/* A call of all directions: of one after the other, whose parts lie behind each other. */
struct Call {
    std::vector<const gru_layer *> layers;
    std::vector<gru_sizes> sizes;
    int64_t T, N;

    Call(const std::vector<int64_t> &addresses, int64_t T_, int64_t N_) : T(T_), N(N_) {
        for (int64_t address : addresses) {
            layers.push_back(reinterpret_cast<const gru_layer *>(address));
            sizes.emplace_back();
            check(gru_layer_sizes(layers.back(), T, N, &sizes.back()));
        }
    }

    int64_t directions() const { return static_cast<int64_t>(layers.size()); }

    /* Bytes of all directions. */
    int64_t sum(size_t gru_sizes::*part) const {
        size_t bytes = 0;
        for (const gru_sizes &each : sizes) bytes += padded(each.*part);
        return static_cast<int64_t>(bytes);
    }
};

/* Strides of steps and rows. PyTorch leaves those of a single step or row anything. */
template <typename View> void set_view(View &view, decltype(view.data) data, const Tensor &tensor) {
    const int64_t T = tensor.size(0), N = tensor.size(1), width = tensor.size(2);
    view.data = data;
    view.batch_stride = N > 1 ? tensor.stride(1) : std::max<int64_t>(width, 1);
    view.time_stride = T > 1 ? tensor.stride(0) : std::max<int64_t>(N, 1) * view.batch_stride;
}

gru_run run_of(const Call &call, const Tensor &x, const char *packed, size_t workspace) {
    gru_run run = {};
    run.T = call.T, run.N = call.N, run.packed = packed;
    set_view(run.x, x.const_data_ptr(), x);
    run.workspace = scratch(workspace), run.workspace_size = workspace;
    return run;
}

Tensor pack(std::vector<Tensor> weights, std::vector<int64_t> layers) {
    const Call call(layers, 0, 0);
    const size_t count = weights.size() / layers.size();
    Tensor out = empty({call.sum(&gru_sizes::packed)}, ScalarType::Byte);
    char *place = static_cast<char *>(out.mutable_data_ptr());
    for (size_t d = 0; d < layers.size(); d++) {
        const Tensor *own = &weights[d * count];
        gru_weights dense = {};
        dense.W = own[0].const_data_ptr(), dense.R = own[1].const_data_ptr(), dense.type = type_of(own[0]);
        if (count == 4) dense.bW = own[2].const_data_ptr(), dense.bR = own[3].const_data_ptr();
        check(gru_layer_pack(call.layers[d], &dense, place, nullptr));
        place += padded(call.sizes[d].packed);
    }
    return out;
}

std::vector<Tensor> forward(const Tensor &x, const std::optional<Tensor> &h0, const Tensor &packed, int64_t H,
                            std::vector<int64_t> layers, bool training) {
    const Call call(layers, x.size(0), x.size(1));
    const int64_t T = call.T, N = call.N, D = call.directions();
    const size_t states = static_cast<size_t>(H) * x.element_size();
    std::vector<Tensor> out = {empty({T, N, D * H}, x.scalar_type()), empty({D, N, H}, x.scalar_type())};
    if (training) out.push_back(empty({call.sum(&gru_sizes::reserve)}, ScalarType::Byte));
    char *y = static_cast<char *>(out[0].mutable_data_ptr()),
         *hT = static_cast<char *>(out[1].mutable_data_ptr());
    char *reserve = training ? static_cast<char *>(out[2].mutable_data_ptr()) : nullptr;
    const char *weights = static_cast<const char *>(packed.const_data_ptr());
    const char *initial = h0 ? static_cast<const char *>(h0->const_data_ptr()) : nullptr;
    for (int64_t d = 0; d < D; d++) {
        const gru_sizes &sizes = call.sizes[d];
        gru_run run = run_of(call, x, weights, sizes.workspace);
        run.y = {y + d * states, N * D * H, D * H};
        run.hT = hT + d * N * states;
        if (initial) run.h0 = initial + d * N * states;
        if (training) {
            run.mode = GRU_TRAIN, run.reserve = reserve, run.reserve_size = sizes.reserve;
            std::memset(reserve + sizes.reserve, 0, padded(sizes.reserve) - sizes.reserve);
            reserve += padded(sizes.reserve);
        }
        check(gru_layer_forward(call.layers[d], &run));
        weights += padded(sizes.packed);
    }
    return out;
}

/* New gradients of the weights of one direction, behind those that are there already. */
void add_weight_gradients(std::vector<Tensor> &out, gru_gradients &g, const Tensor &x, int64_t H,
                          int64_t count) {
    const ScalarType type = x.scalar_type() == ScalarType::Double ? ScalarType::Double : ScalarType::Float;
    void **const places[] = {&g.dW, &g.dR, &g.dbW, &g.dbR};
    const int64_t widths[] = {x.size(2), H};
    for (int64_t i = 0; i < count; i++) {
        out.push_back(i < 2 ? empty({3 * H, widths[i]}, type) : empty({3 * H}, type));
        *places[i] = out.back().mutable_data_ptr();
    }
}

std::vector<Tensor> backward(const std::optional<Tensor> &dy, const std::optional<Tensor> &dhT,
                             const Tensor &x, const Tensor &packed, const Tensor &reserve, int64_t H,
                             std::vector<int64_t> layers, int64_t count, bool with_dx) {
    const Call call(layers, x.size(0), x.size(1));
    const int64_t T = call.T, N = call.N, D = call.directions();
    const size_t states = static_cast<size_t>(H) * x.element_size();
    std::vector<Tensor> out;
    for (int64_t d = 0; with_dx && d < D; d++) out.push_back(empty({T, N, x.size(2)}, x.scalar_type()));
    out.push_back(empty({D, N, H}, x.scalar_type()));
    char *dh0 = static_cast<char *>(out.back().mutable_data_ptr()),
         *saved = static_cast<char *>(reserve.data_ptr());
    const char *weights = static_cast<const char *>(packed.const_data_ptr());
    for (int64_t d = 0; d < D; d++) {
        const gru_sizes &sizes = call.sizes[d];
        gru_run run = run_of(call, x, weights, sizes.backward_workspace);
        run.mode = GRU_TRAIN, run.reserve = saved, run.reserve_size = sizes.reserve;
        gru_gradients g = {};
        g.parts = GRU_GRAD_DATA | GRU_GRAD_WEIGHTS | GRU_GRAD_OVERWRITE;
        if (dy) set_view(g.dy, static_cast<const char *>(dy->const_data_ptr()) + d * states, *dy);
        if (dhT) g.dhT = static_cast<const char *>(dhT->const_data_ptr()) + d * N * states;
        if (with_dx) g.dx.data = out[d].mutable_data_ptr();
        g.dh0 = dh0 + d * N * states;
        add_weight_gradients(out, g, x, H, count);
        check(gru_layer_backward(call.layers[d], &run, &g));
        weights += padded(sizes.packed), saved += padded(sizes.reserve);
    }
    return out;
}
} // namespace

STABLE_TORCH_LIBRARY(libgru_calls, m) {
    m.def("pack(Tensor[] weights, int[] layers) -> Tensor");
    m.def(
        "forward(Tensor x, Tensor? h0, Tensor packed, int hidden, int[] layers, bool training) -> Tensor[]");
    m.def("backward(Tensor? dy, Tensor? dhT, Tensor x, Tensor packed, Tensor reserve, int hidden, int[] "
          "layers, "
          "int count, bool with_dx) -> Tensor[]");
}

STABLE_TORCH_LIBRARY_IMPL(libgru_calls, CPU, m) {
    m.impl("pack", TORCH_BOX(&pack));
    m.impl("forward", TORCH_BOX(&forward));
    m.impl("backward", TORCH_BOX(&backward));
}
