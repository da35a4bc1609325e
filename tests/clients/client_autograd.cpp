// client_autograd.cpp: what a framework's autograd function does with a layer, in C++17: it saves a run, differentiates
// it on another thread, twice, and shares the layer between threads. Checks itself against difference quotients.
#include <gru/gru.h>

#include <cmath>
#include <cstdio>
#include <cstring>
#include <memory>
#include <new>
#include <stdexcept>
#include <thread>
#include <vector>

namespace {

void check(gru_status status) {
    if (status != GRU_OK) throw std::runtime_error(gru_last_error());
}

void require(bool condition, const char *what) {
    if (!condition) throw std::runtime_error(what);
}

// The framework's caching allocator.
using Buffer = std::shared_ptr<void>;
Buffer allocate(std::size_t bytes) {
    constexpr std::align_val_t line{64};
    return Buffer(::operator new(bytes, line), [](void *memory) { ::operator delete(memory, line); });
}

struct Tensor { // [T][N][row], f64
    std::vector<double> data;
    std::int64_t time_stride, batch_stride;
};

class GruFunction {
  public:
    struct Saved { // what backward will need
        gru_run run;
        Buffer reserve;
    };

    GruFunction(const gru_layer_config &config, const gru_weights &weights) {
        gru_context_config context_config{};
        context_config.backend = GRU_BACKEND_CPU;
        gru_context *context = nullptr;
        check(gru_context_create(&context_config, &context));
        gru_layer *layer = nullptr;
        const gru_status status = gru_layer_create(context, &config, &weights, &layer);
        gru_context_release(context); // the layer keeps it alive
        check(status);
        layer_.reset(layer, gru_layer_release);
    }

    Saved forward(const Tensor &x, Tensor &y, const double *h0, double *hT, std::int64_t T, std::int64_t N,
                  bool train) const {
        const gru_sizes needed = sizes(T, N);
        Saved saved{};
        gru_run &run = saved.run;
        run.T = T, run.N = N;
        run.mode = train ? GRU_TRAIN : GRU_INFERENCE;
        run.x = {x.data.data(), x.time_stride, x.batch_stride};
        run.y = {y.data.data(), y.time_stride, y.batch_stride};
        run.h0 = h0, run.hT = hT;
        const Buffer workspace = allocate(needed.workspace);
        run.workspace = workspace.get(), run.workspace_size = needed.workspace;
        if (train) {
            saved.reserve = allocate(needed.reserve);
            run.reserve = saved.reserve.get(), run.reserve_size = needed.reserve;
        }
        check(gru_layer_forward(layer_.get(), &run));
        return saved;
    }

    // Autograd calls it on a thread of its own, and again if it retains the graph. y and the states may be gone.
    void backward(const Saved &saved, const Tensor &dy, Tensor &dx, double *dh0,
                  double *const gradients[4]) const {
        gru_run run = saved.run;
        const gru_sizes needed = sizes(run.T, run.N);
        const Buffer workspace = allocate(needed.backward_workspace);
        run.workspace = workspace.get(), run.workspace_size = needed.backward_workspace;
        run.y = {}, run.h0 = nullptr, run.hT = nullptr;
        gru_gradients wanted{};
        wanted.parts = GRU_GRAD_DATA | GRU_GRAD_WEIGHTS | GRU_GRAD_OVERWRITE; // the framework adds; we set
        wanted.dy = {dy.data.data(), dy.time_stride, dy.batch_stride};
        wanted.dx = {dx.data.data(), dx.time_stride, dx.batch_stride};
        wanted.dh0 = dh0;
        wanted.dW = gradients[0], wanted.dR = gradients[1], wanted.dbW = gradients[2],
        wanted.dbR = gradients[3];
        check(gru_layer_backward(layer_.get(), &run, &wanted));
    }

    // After the optimizer's step.
    void update(const gru_weights &weights) { check(gru_layer_update(layer_.get(), &weights, nullptr)); }

  private:
    gru_sizes sizes(std::int64_t T, std::int64_t N) const {
        gru_sizes needed{};
        check(gru_layer_sizes(layer_.get(), T, N, &needed));
        return needed;
    }

    std::shared_ptr<gru_layer> layer_;
};

constexpr std::int64_t T = 4, N = 2, I = 3, H = 5;

std::vector<double> numbers(std::size_t count, unsigned seed) {
    std::vector<double> all(count);
    for (double &value : all) {
        seed = seed * 1664525u + 1013904223u; // Numerical Recipes' generator
        value = static_cast<double>(seed >> 8) / (1 << 24) - 0.5;
    }
    return all;
}

struct Model {
    std::vector<double> parameters[4] = {numbers(3 * H * I, 1), numbers(3 * H * H, 2), numbers(3 * H, 3),
                                         numbers(3 * H, 4)};
    std::vector<double> h0 = numbers(N * H, 5), dy = numbers(T * N * H, 6);
    Tensor x{numbers(T * N * I, 7), I, T *I}; // batch-major

    gru_weights weights() const {
        gru_weights all{};
        all.type = GRU_F64;
        all.W = parameters[0].data(), all.R = parameters[1].data();
        all.bW = parameters[2].data(), all.bR = parameters[3].data();
        return all;
    }
};

Tensor outputs(std::int64_t row) {
    return {std::vector<double>(static_cast<std::size_t>(T * N * row)), row, T * row};
}

double loss(GruFunction &function, const Model &model) {
    Tensor y = outputs(H);
    function.update(model.weights());
    function.forward(model.x, y, model.h0.data(), nullptr, T, N, false);
    double total = 0;
    for (std::size_t i = 0; i < y.data.size(); i++) total += y.data[i] * model.dy[i];
    return total;
}

// values: of the model. Step 1e-5 leaves about 1e-10 of the third derivative and as much of rounding.
void check_gradient(GruFunction &function, const Model &model, std::vector<double> &values,
                    const std::vector<double> &gradient, const char *name) {
    for (std::size_t i = 0; i < values.size(); i++) {
        const double saved = values[i];
        values[i] = saved + 1e-5;
        const double above = loss(function, model);
        values[i] = saved - 1e-5;
        const double below = loss(function, model);
        values[i] = saved;
        require(std::fabs((above - below) / 2e-5 - gradient[i]) < 1e-8, name);
    }
}

void gradients_are_right(GruFunction &function, Model &model) {
    Tensor y = outputs(H), dx = outputs(I), dy{model.dy, H, T * H};
    std::vector<double> dh0(N * H), twice, gradients[4];
    double *pointers[4];
    for (int i = 0; i < 4; i++) {
        gradients[i].resize(model.parameters[i].size());
        pointers[i] = gradients[i].data();
    }
    const GruFunction::Saved saved = function.forward(model.x, y, model.h0.data(), nullptr, T, N, true);
    std::thread engine([&] { function.backward(saved, dy, dx, dh0.data(), pointers); });
    engine.join();
    twice = gradients[1];
    function.backward(saved, dy, dx, dh0.data(), pointers);
    require(twice == gradients[1], "backward of one saved run gives two gradients");
    check_gradient(function, model, model.x.data, dx.data, "dx differs from the difference quotient");
    check_gradient(function, model, model.h0, dh0, "dh0 differs from the difference quotient");
    for (int i = 0; i < 4; i++)
        check_gradient(function, model, model.parameters[i], gradients[i],
                       "a weight's gradient differs from the difference quotient");
}

void threads_share_a_layer(GruFunction &function, const Model &model) {
    Tensor y[2] = {outputs(H), outputs(H)};
    function.update(model.weights());
    std::thread a([&] { function.forward(model.x, y[0], nullptr, nullptr, T, N, false); });
    std::thread b([&] { function.forward(model.x, y[1], nullptr, nullptr, T, N, false); });
    a.join();
    b.join();
    require(y[0].data == y[1].data, "two threads got different outputs");
    require(std::fabs(y[0].data[0]) > 0, "the output is zero");
}

} // namespace

int main() try {
    Model model;
    gru_layer_config config{};
    config.inputs = I, config.hidden = H;
    config.io_type = config.state_type = config.weight_type = GRU_F64;
    GruFunction function(config, model.weights());
    gradients_are_right(function, model);
    threads_share_a_layer(function, model);
    std::puts("gradients equal the difference quotients");
    return 0;
} catch (const std::exception &failure) {
    std::fprintf(stderr, "%s\n", failure.what());
    return 1;
}
