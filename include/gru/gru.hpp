/** @file gru.hpp
 * C++17 over the C API: objects that own what they create, and exceptions instead of statuses.
 *
 *     gru::Context context(GRU_BACKEND_CPU, 1);
 *     gru::Stack stack(context, gru::File("model.safetensors"));
 *     gru::Stream stream(stack);
 *     stream.step(x, y);
 *
 * Every object can be moved, not copied. get() gives the C object for functions that have no wrapper here. Layers and
 * stacks must outlive their streams. SPDX-License-Identifier: Apache-2.0 */
#ifndef GRU_GRU_HPP
#define GRU_GRU_HPP

#include <cstddef>
#include <cstdint>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

#include "import.h"
#include "stream.h"

/** The C++ interface. */
namespace gru {

/** A failed call: what() is the error sentence. */
class Error : public std::runtime_error {
public:
    /** Takes the sentence of this thread's latest failure. */
    explicit Error(gru_status status) : std::runtime_error(gru_last_error()), status_(status) {}
    /** The kind of failure. */
    gru_status status() const noexcept { return status_; }

private:
    gru_status status_;
};

/** Throws Error unless the status is GRU_OK. */
inline void check(gru_status status) {
    if (status != GRU_OK) throw Error(status);
}

/** Owns a C object. */
template <class Object, void (*release)(Object *)> class Handle {
public:
    /** The C object; it stays this one's. */
    Object *get() const noexcept { return object_.get(); }

protected:
    /** Stores a new object. */
    void reset(Object *object) noexcept { object_.reset(object); }

private:
    struct Release {
        void operator()(Object *object) const noexcept { release(object); }
    };
    std::unique_ptr<Object, Release> object_;
};

/** A device with its threads and memory. */
class Context : public Handle<gru_context, gru_context_release> {
public:
    /** From a whole configuration. */
    explicit Context(const gru_context_config &config) {
        gru_context *context = nullptr;
        check(gru_context_create(&config, &context));
        reset(context);
    }
    /** From a backend and a number of CPU threads: gru_context_config. */
    explicit Context(std::int32_t backend = GRU_BACKEND_AUTO, std::int32_t threads = 0)
        : Context(config_of(backend, threads)) {}
    /** The backend: never GRU_BACKEND_AUTO. */
    std::int32_t backend() const noexcept { return gru_context_backend(get()); }
    /** gru_copy(). */
    void copy(void *to, const void *from, std::size_t bytes, void *stream = nullptr) const {
        check(gru_copy(get(), to, from, bytes, stream));
    }
    /** gru_wait(). */
    void wait(void *stream = nullptr) const { check(gru_wait(get(), stream)); }

private:
    static gru_context_config config_of(std::int32_t backend, std::int32_t threads) {
        gru_context_config config = GRU_INIT;
        config.backend = backend, config.threads = threads;
        return config;
    }
};

/** Memory of a context, which must outlive it: gru_allocate(). */
template <class Number> class Memory {
public:
    /** Room for count numbers, not set. */
    Memory(const Context &context, std::size_t count) : context_(context.get()), count_(count) {
        void *memory = nullptr;
        check(gru_allocate(context_, count * sizeof(Number), &memory));
        memory_ = std::unique_ptr<void, Free>(memory, Free{context_});
    }
    /** The first number. */
    Number *data() const noexcept { return static_cast<Number *>(memory_.get()); }
    /** How many there are. */
    std::size_t size() const noexcept { return count_; }

private:
    struct Free {
        gru_context *context;
        void operator()(void *memory) const noexcept { gru_free(context, memory); }
    };
    gru_context *context_;
    std::size_t count_;
    std::unique_ptr<void, Free> memory_{nullptr, Free{nullptr}};
};

/** A layer's weights in f32, gates in the order r, z, n, that own their numbers. */
struct Weights {
    std::vector<float> W;  /**< [3H][I] */
    std::vector<float> R;  /**< [3H][H] */
    std::vector<float> bW; /**< [3H] */
    std::vector<float> bR; /**< [3H] */

    /** The same for the C API; valid as long as the vectors stay as they are. Empty vectors: NULL. */
    gru_weights view() const noexcept {
        gru_weights weights = GRU_INIT;
        weights.W = W.empty() ? nullptr : W.data(), weights.R = R.empty() ? nullptr : R.data();
        weights.bW = bW.empty() ? nullptr : bW.data(), weights.bR = bR.empty() ? nullptr : bR.data();
        return weights;
    }
};

/** Reads the weights of a layer: gru_layer_read(). */
inline Weights read_weights(const gru_layer *layer, void *stream = nullptr) {
    gru_layer_config config;
    check(gru_layer_describe(layer, &config));
    const auto H = static_cast<std::size_t>(config.hidden), I = static_cast<std::size_t>(config.inputs);
    Weights weights{std::vector<float>(3 * H * I), std::vector<float>(3 * H * H), std::vector<float>(3 * H),
                    std::vector<float>(3 * H)};
    gru_weights_out out = GRU_INIT;
    out.W = weights.W.data(), out.R = weights.R.data();
    out.bW = weights.bW.data(), out.bR = weights.bR.data();
    check(gru_layer_read(layer, &out, stream));
    return weights;
}

/** The weights of one layer in one direction, packed. */
class Layer : public Handle<gru_layer, gru_layer_release> {
public:
    /** gru_layer_create(). */
    Layer(const Context &context, const gru_layer_config &config, const gru_weights &weights) {
        gru_layer *layer = nullptr;
        check(gru_layer_create(context.get(), &config, &weights, &layer));
        reset(layer);
    }
    /** The configuration with every default filled in. */
    gru_layer_config config() const {
        gru_layer_config config;
        check(gru_layer_describe(get(), &config));
        return config;
    }
    /** gru_layer_sizes(). */
    gru_sizes sizes(std::int64_t T, std::int64_t N) const {
        gru_sizes sizes;
        check(gru_layer_sizes(get(), T, N, &sizes));
        return sizes;
    }
    /** gru_layer_update(). */
    void update(const gru_weights &weights, void *stream = nullptr) {
        check(gru_layer_update(get(), &weights, stream));
    }
    /** gru_layer_read(). */
    Weights weights(void *stream = nullptr) const { return read_weights(get(), stream); }
    /** gru_layer_forward(). */
    void forward(const gru_run &run) const { check(gru_layer_forward(get(), &run)); }
    /** gru_layer_backward(). */
    void backward(const gru_run &run, const gru_gradients &gradients) const {
        check(gru_layer_backward(get(), &run, &gradients));
    }
};

/** A safetensors file. */
class File : public Handle<gru_file, gru_file_close> {
public:
    /** gru_file_open(). */
    explicit File(const std::string &path) {
        gru_file *file = nullptr;
        check(gru_file_open(path.c_str(), &file));
        reset(file);
    }
    /** gru_file_tensor(). */
    gru_tensor tensor(const std::string &name) const {
        gru_tensor tensor;
        check(gru_file_tensor(get(), name.c_str(), &tensor));
        return tensor;
    }
};

/** Several layers. */
class Stack : public Handle<gru_stack, gru_stack_release> {
public:
    /** gru_stack_create(). */
    Stack(const Context &context, const gru_stack_config &config) {
        gru_stack *stack = nullptr;
        check(gru_stack_create(context.get(), &config, &stack));
        reset(stack);
    }
    /** gru_stack_load() with the default number types. prefix: of the tensors; "": the only GRU in the file. */
    Stack(const Context &context, const File &file, const std::string &prefix = "") {
        gru_load_options options = GRU_INIT;
        if (!prefix.empty()) options.prefix = prefix.c_str();
        gru_stack *stack = nullptr;
        check(gru_stack_load(context.get(), file.get(), &options, &stack));
        reset(stack);
    }
    /** Numbers in a row of x. */
    std::int32_t inputs() const noexcept { return gru_stack_inputs(get()); }
    /** Numbers in a row of y. */
    std::int32_t outputs() const noexcept { return gru_stack_outputs(get()); }
    /** The directions of all layers. */
    std::int32_t sublayers() const noexcept { return gru_stack_sublayers(get()); }
    /** The configuration of sublayer k. */
    gru_layer_config config(std::int32_t k) const {
        gru_layer_config config;
        check(gru_stack_sublayer(get(), k, &config, nullptr));
        return config;
    }
    /** The weights of sublayer k. */
    Weights weights(std::int32_t k, void *stream = nullptr) const {
        gru_layer *layer = nullptr;
        check(gru_stack_sublayer(get(), k, nullptr, &layer));
        return read_weights(layer, stream);
    }
    /** gru_stack_sizes(). */
    gru_sizes sizes(std::int64_t T, std::int64_t N) const {
        gru_sizes sizes;
        check(gru_stack_sizes(get(), T, N, &sizes));
        return sizes;
    }
    /** gru_stack_update(); weights: one for each sublayer. */
    void update(const std::vector<gru_weights> &weights, void *stream = nullptr) {
        if (weights.size() != static_cast<std::size_t>(sublayers()))
            throw std::invalid_argument("gru::Stack::update: expected weights of each sublayer");
        check(gru_stack_update(get(), weights.data(), stream));
    }
    /** gru_stack_update_from_file(); prefix "": the only GRU in the file. */
    void update(const File &file, const std::string &prefix = "", void *stream = nullptr) {
        check(gru_stack_update_from_file(get(), file.get(), prefix.empty() ? nullptr : prefix.c_str(), stream));
    }
    /** gru_stack_save(). */
    void save(const std::string &path, const std::string &prefix = "",
              const std::vector<gru_named_tensor> &tensors = {}, void *stream = nullptr) const {
        check(gru_stack_save(path.c_str(), get(), prefix.c_str(), tensors.data(),
                             static_cast<std::int32_t>(tensors.size()), stream));
    }
    /** gru_stack_forward(). */
    void forward(const gru_stack_run &run) const { check(gru_stack_forward(get(), &run)); }
    /** gru_stack_backward(). */
    void backward(const gru_stack_run &run, const gru_stack_gradients &gradients) const {
        check(gru_stack_backward(get(), &run, &gradients));
    }
};

/** The states of N sequences in all sublayers of a stack. */
class States : public Handle<gru_states, gru_states_release> {
public:
    /** gru_states_create(): the learned initial states, or zeros. */
    States(const Stack &stack, std::int64_t N) {
        gru_states *states = nullptr;
        check(gru_states_create(stack.get(), N, &states));
        Handle::reset(states);
    }
    /** Lets a run go on from these states, and store its last ones here. */
    void attach(gru_stack_run &run) const noexcept {
        run.h0 = gru_states_initial(get()), run.hT = gru_states_final(get());
    }
    /** gru_states_reset(): what they were at first. */
    void reset(void *stream = nullptr) { check(gru_states_reset(get(), stream)); }
};

/** The workspace and reserve of a run, freed with this object. The context must outlive it. */
class RunMemory {
public:
    /** gru_layer_allocate() for run's T, N and mode. Sets run's memory, which stays this object's. */
    RunMemory(const Context &context, const Layer &layer, gru_run &run) : RunMemory(context, run) {
        check(gru_layer_allocate(layer.get(), owned_.get()));
        give(run);
    }
    /** gru_stack_allocate(), likewise. */
    RunMemory(const Context &context, const Stack &stack, gru_stack_run &run) : RunMemory(context, run.data) {
        check(gru_stack_allocate(stack.get(), owned_.get()));
        give(run.data);
    }

private:
    struct Free {
        gru_context *context;
        void operator()(gru_run *run) const noexcept {
            gru_run_free(context, run);
            delete run;
        }
    };
    RunMemory(const Context &context, const gru_run &run) : owned_(new gru_run(), Free{context.get()}) {
        owned_->T = run.T, owned_->N = run.N, owned_->mode = run.mode;
    }
    void give(gru_run &run) const noexcept {
        run.workspace = owned_->workspace, run.workspace_size = owned_->workspace_size;
        run.reserve = owned_->reserve, run.reserve_size = owned_->reserve_size;
    }
    std::unique_ptr<gru_run, Free> owned_;
};

/** A layer or a stack with the states of its sequences. */
class Stream : public Handle<gru_stream, gru_stream_release> {
public:
    /** gru_stream_create(). */
    explicit Stream(const Layer &layer, std::int64_t rows = 1, void *queue = nullptr) {
        const gru_stream_config config = config_of(rows, queue);
        gru_stream *stream = nullptr;
        check(gru_stream_create(layer.get(), &config, &stream));
        Handle::reset(stream);
    }
    /** gru_stream_create_stack(). */
    explicit Stream(const Stack &stack, std::int64_t rows = 1, void *queue = nullptr) {
        const gru_stream_config config = config_of(rows, queue);
        gru_stream *stream = nullptr;
        check(gru_stream_create_stack(stack.get(), &config, &stream));
        Handle::reset(stream);
    }
    /** gru_stream_step(). */
    void step(const void *x, void *y) { check(gru_stream_step(get(), x, y)); }
    /** gru_stream_reset(): row -1 is all rows. */
    void reset(std::int64_t row = -1) { check(gru_stream_reset(get(), row)); }
    /** The states as bytes, to keep and to write back. CPU contexts only: the bytes are read at once. */
    std::vector<unsigned char> state() const {
        std::vector<unsigned char> bytes(gru_stream_state_bytes(get()));
        check(gru_stream_read_state(get(), bytes.data()));
        return bytes;
    }
    /** Goes on from states that state() gave. */
    void set_state(const std::vector<unsigned char> &bytes) {
        if (bytes.size() != gru_stream_state_bytes(get()))
            throw std::invalid_argument("gru::Stream::set_state: expected as many bytes as state() gives");
        check(gru_stream_write_state(get(), bytes.data()));
    }

private:
    static gru_stream_config config_of(std::int64_t rows, void *queue) {
        gru_stream_config config = GRU_INIT;
        config.rows = rows, config.queue = queue;
        return config;
    }
};

} // namespace gru
#endif
