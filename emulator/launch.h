// The typed launch: checks what the kernel is given, copies its arguments as CUDA does, and hands the grid to
// a stream.
#ifndef EMU_LAUNCH_H
#define EMU_LAUNCH_H
#include <memory>
#include <tuple>
#include <utility>
#include "emu.h"
#include "include/cuda_runtime_api.h"

namespace emu {
cudaError_t launch(const cudaLaunchConfig_t *, const void *kernel, const Call &);
// Reports a pointer among the arguments that no kernel could follow; returns whether it is good.
bool check_argument(unsigned index, const void *pointer);

template <class T> bool good_argument(unsigned index, const T &value) {
    if constexpr (std::is_pointer_v<T>)
        return check_argument(index, reinterpret_cast<const void *>(value));
    else
        return true;
}
template <class... P, size_t... I>
bool good_arguments(const std::tuple<P...> &arguments, std::index_sequence<I...>) {
    return (good_argument(unsigned(I), std::get<I>(arguments)) && ...);
}
template <class... P> struct BoundCall final : KernelCall {
    void (*kernel)(P...);
    std::tuple<std::remove_cv_t<P>...> arguments;

    template <class... A>
    explicit BoundCall(void (*k)(P...), A &&...given) : kernel(k), arguments(std::forward<A>(given)...) {}
    // Not instrumented: it reads the launch's own copy of the arguments, which is the host's.
    template <size_t... I> __attribute__((no_sanitize("thread"))) void call(std::index_sequence<I...>) const {
        kernel(std::get<I>(arguments)...);
    }
    __attribute__((no_sanitize("thread"))) void operator()() const override {
        call(std::index_sequence_for<P...>{});
    }
    Argument argument(size_t i) const override {
        return std::apply(
            [i](const auto &...each) {
                const Argument all[] = {{&each, sizeof each}..., {nullptr, 0}};
                return all[i < sizeof...(P) ? i : sizeof...(P)];
            },
            arguments);
    }
};
} // namespace emu

template <class... P, class... A>
cudaError_t cudaLaunchKernelEx(const cudaLaunchConfig_t *config, void (*kernel)(P...), A &&...given) {
    const auto call = std::make_shared<emu::BoundCall<P...>>(kernel, std::forward<A>(given)...);
    if (!emu::good_arguments(call->arguments, std::index_sequence_for<P...>{})) return cudaErrorInvalidValue;
    return emu::launch(config, reinterpret_cast<const void *>(kernel), call);
}

extern "C" {
cudaError_t cudaFuncSetAttribute(const void *kernel, cudaFuncAttribute, int value);
cudaError_t cudaFuncGetAttributes(cudaFuncAttributes *, const void *kernel);
cudaError_t cudaOccupancyMaxActiveBlocksPerMultiprocessor(int *blocks, const void *kernel, int threads,
                                                          size_t shared_bytes);
cudaError_t cudaOccupancyMaxActiveClusters(int *clusters, const void *kernel, const cudaLaunchConfig_t *);
}
template <class... P> cudaError_t cudaFuncSetAttribute(void (*kernel)(P...), cudaFuncAttribute a, int value) {
    return cudaFuncSetAttribute(reinterpret_cast<const void *>(kernel), a, value);
}
template <class... P> cudaError_t cudaFuncGetAttributes(cudaFuncAttributes *a, void (*kernel)(P...)) {
    return cudaFuncGetAttributes(a, reinterpret_cast<const void *>(kernel));
}
template <class... P>
cudaError_t cudaOccupancyMaxActiveBlocksPerMultiprocessor(int *blocks, void (*kernel)(P...), int threads,
                                                          size_t shared_bytes) {
    return cudaOccupancyMaxActiveBlocksPerMultiprocessor(blocks, reinterpret_cast<const void *>(kernel),
                                                         threads, shared_bytes);
}
template <class... P>
cudaError_t cudaOccupancyMaxActiveClusters(int *clusters, void (*kernel)(P...), const cudaLaunchConfig_t *c) {
    return cudaOccupancyMaxActiveClusters(clusters, reinterpret_cast<const void *>(kernel), c);
}
#endif
