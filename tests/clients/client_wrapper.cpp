/* client_wrapper.cpp: a program over gru.hpp: every object once, moved, and a failure that throws. */
#include <gru/gru.hpp>

#include <cmath>
#include <cstdio>
#include <cstring>
#include <type_traits>
#include <utility>

static int failures;

static void expect(bool condition, const char *what) {
    if (condition) return;
    std::printf("%s\n", what);
    failures++;
}

static_assert(!std::is_copy_constructible_v<gru::Stack> && std::is_nothrow_move_constructible_v<gru::Stack>);
static_assert(!std::is_copy_assignable_v<gru::Stream> && std::is_nothrow_move_assignable_v<gru::Stream>);
static_assert(!std::is_copy_constructible_v<gru::Memory<float>> &&
              std::is_move_constructible_v<gru::RunMemory>);

/* The layer of README.md, whose last state is known. */
static gru::Weights readme_weights() {
    return {{0.5f, -0.5f, 0.25f, 0.75f, 1.0f, -1.0f},
            {0.5f, 0, 0, 0.5f, 0.25f, 0, 0, 0.25f, 1.0f, -0.5f, 0.5f, 1.0f},
            {},
            {}};
}

static const float x[3] = {1, 0, -1};

static void expect_readme(const float *h, const char *what) {
    expect(std::fabs(h[0] + 0.2449f) < 5e-5f && std::fabs(h[1] - 0.4812f) < 5e-5f, what);
}

static gru_layer_config shape() {
    gru_layer_config config = GRU_INIT;
    config.inputs = 1, config.hidden = 2;
    return config;
}

static void run_layer(const gru::Context &context) {
    const gru::Weights weights = readme_weights();
    gru::Layer first(context, shape(), weights.view()), layer(std::move(first));
    expect(!first.get() && layer.config().hidden == 2, "a moved layer is still where it was");
    gru::Memory<float> h(context, 2);
    gru_run run = GRU_INIT;
    run.T = 3, run.N = 1, run.x.data = x, run.hT = h.data();
    const gru::RunMemory memory(context, layer, run);
    expect(run.workspace_size == layer.sizes(3, 1).workspace, "the run got another workspace");
    layer.forward(run);
    expect_readme(h.data(), "the layer's state is not the one in README.md");
    expect(h.size() == 2, "two numbers");
    const gru::Weights read = layer.weights();
    expect(read.W == weights.W && read.R == weights.R && read.bW == std::vector<float>(6),
           "other weights came out");
    const gru::Weights zeros{std::vector<float>(6), std::vector<float>(12), {}, {}};
    layer.update(zeros.view());
    layer.forward(run);
    expect(h.data()[0] == 0 && h.data()[1] == 0, "zero weights give another state than zero");
}

static void stream(const gru::Context &context) {
    const gru::Weights weights = readme_weights();
    const gru::Layer layer(context, shape(), weights.view());
    gru::Stream steps(layer);
    float y[2];
    steps.step(&x[0], y);
    const auto state = steps.state();
    steps.step(&x[1], nullptr);
    steps.step(&x[2], y);
    expect_readme(y, "three steps end elsewhere");
    steps.set_state(state);
    gru::Stream moved(std::move(steps));
    moved.step(&x[1], nullptr);
    moved.step(&x[2], y);
    expect_readme(y, "from the second step on it ends elsewhere");
    moved.reset();
    for (unsigned char byte : moved.state()) expect(byte == 0, "a reset left a state");
}

static gru::Stack stack_of(const gru::Context &context, const gru::Weights &weights) {
    gru_stack_layer description = GRU_INIT;
    description.config = shape();
    description.weights[0] = weights.view();
    gru_stack_config config = GRU_INIT;
    config.layers = &description, config.count = 1;
    return gru::Stack(context, config);
}

static void run_stack(const gru::Context &context) {
    const gru::Weights weights = readme_weights();
    gru::Stack stack = stack_of(context, weights);
    expect(stack.inputs() == 1 && stack.outputs() == 2 && stack.sublayers() == 1, "another stack");
    expect(stack.weights(0).R == weights.R && stack.config(0).hidden == 2, "another sublayer");
    gru::States states(stack, 1);
    gru_stack_run run = GRU_INIT;
    run.data.T = 1, run.data.N = 1;
    const gru::RunMemory memory(context, stack, run);
    states.attach(run);
    for (const float &number : x) {
        run.data.x.data = &number;
        stack.forward(run);
    }
    expect_readme(static_cast<const float *>(run.h0[0]), "the stack's state is not the one in README.md");
    states.reset();
    expect(static_cast<const float *>(run.h0[0])[0] == 0, "a reset left a state");
    stack.update({weights.view()});
    gru::Stream steps(stack);
    float y[2];
    for (const float &number : x) steps.step(&number, y);
    expect_readme(y, "a stream of the stack ends elsewhere");
}

/* Saves a stack with a head beside it, and takes the weights back. A library without files says so. */
static void keep(const gru::Context &context) {
    const gru::Weights weights = readme_weights(),
                       zeros{std::vector<float>(6), std::vector<float>(12), {}, {}};
    gru::Stack stack = stack_of(context, weights);
    const float head[2] = {3, 4};
    gru_named_tensor tensor = GRU_INIT;
    tensor.name = "head", tensor.data = head, tensor.rank = 1, tensor.shape[0] = 2;
    const char *path = "client_wrapper.safetensors";
    try {
        stack.save(path, "net.", {tensor});
        const gru::File file(path);
        expect(file.tensor("head").bytes == sizeof head, "the head is not there");
        stack.update({zeros.view()});
        stack.update(file);
        expect(stack.weights(0).R == weights.R && gru::Stack(context, file).weights(0).W == weights.W,
               "other weights came back");
        std::remove(path);
    } catch (const gru::Error &error) {
        expect(error.status() == GRU_NOT_BUILT, error.what());
    }
}

static void fail(const gru::Context &context) {
    gru_layer_config wrong = shape();
    wrong.hidden = -1;
    try {
        const gru::Layer layer(context, wrong, readme_weights().view());
        expect(false, "a layer of -1 units was made");
    } catch (const gru::Error &error) {
        expect(error.status() == GRU_BAD_ARGUMENT && std::strstr(error.what(), "hidden is -1"), error.what());
    }
    try {
        const gru::File file("/there/is/no/such/file");
        expect(false, "a file was opened that is not there");
    } catch (const gru::Error &error) {
        expect(error.status() == GRU_IO || error.status() == GRU_NOT_BUILT, error.what());
    }
}

int main() {
    const gru::Context context(GRU_BACKEND_CPU, 1);
    expect(context.backend() == GRU_BACKEND_CPU, "another backend");
    run_layer(context);
    stream(context);
    run_stack(context);
    keep(context);
    fail(context);
    if (!failures) std::printf("every object did what it should\n");
    return failures > 0;
}
