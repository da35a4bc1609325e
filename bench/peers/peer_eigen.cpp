/* peer_eigen.cpp: a streaming step over Eigen's matrices, whose sizes the compiler knows: what a program with one fixed model
 * can do. Compiled with -Ofast for this processor.
 * SPDX-License-Identifier: Apache-2.0 */
#include <Eigen/Dense>
#include <algorithm>
#include <cstring>
#include <new>

extern "C" {
#include "../candidate.h"
}

#include <gru/gru.h>

namespace {

/* Carries its state from step to step, as a stream does. */
struct Model {
    virtual ~Model() = default;
    virtual void step(const float *x) = 0;
    virtual const float *state() const = 0;
};

template <int H> struct FixedModel final : Model {
    using Vector = Eigen::Matrix<float, H, 1>;
    using Gates = Eigen::Matrix<float, 3 * H, 1>;
    using Weights =
        Eigen::Matrix<float, 3 * H,
                      H>; /* column-major: a product adds columns, as many rows at a time as fit */
    using RowMajor = Eigen::Matrix<float, 3 * H, H, Eigen::RowMajor>;

    Weights W, R;
    Gates bW, bR;
    Vector h;

    explicit FixedModel(const bench_problem &problem)
        : W(Eigen::Map<const RowMajor>(problem.W)), R(Eigen::Map<const RowMajor>(problem.R)),
          bW(Eigen::Map<const Gates>(problem.bW)), bR(Eigen::Map<const Gates>(problem.bR)),
          h(Eigen::Map<const Vector>(problem.h0)) {}

    void step(const float *input) override {
        const Vector x = Eigen::Map<const Vector>(input);
        Gates a = bW, c = bR;
        a.noalias() += W * x;
        c.noalias() += R * h;
        const Eigen::Array<float, 2 * H, 1> rz =
            (a.template head<2 * H>() + c.template head<2 * H>()).array().logistic();
        const auto r = rz.template head<H>(), z = rz.template tail<H>();
        const Eigen::Array<float, H, 1> n =
            (a.template tail<H>().array() + r * c.template tail<H>().array()).tanh();
        h = ((1 - z) * n + z * h.array()).matrix();
    }

    const float *state() const override { return h.data(); }
};

template <int H> Model *make(const bench_problem &problem) {
    return problem.shape.H == H ? new (std::nothrow) FixedModel<H>(problem) : nullptr;
}

template <int... H> Model *make_any(const bench_problem &problem) {
    Model *model = nullptr;
    (void)((model = make<H>(problem)) || ...);
    return model;
}

struct State {
    const bench_problem *problem;
    Model *model;
};

void *prepare(const bench_candidate *, const bench_problem *problem, char *) {
    if (problem->layer != BENCH_GRU || problem->stage != BENCH_STREAMING || problem->type != BENCH_F32 ||
        problem->reset_mode != GRU_RESET_AFTER || problem->threads != 1 || problem->shape.N != 1 ||
        problem->shape.I != problem->shape.H)
        return nullptr;
    Model *model = make_any<8, 12, 16, 20, 24, 32, 40, 48, 64, 96>(*problem);
    return model ? new (std::nothrow) State{problem, model} : nullptr;
}

void run(void *opaque) {
    const State *state = static_cast<State *>(opaque);
    state->model->step(state->problem->x);
}

void collect(void *opaque) {
    const State *state = static_cast<State *>(opaque);
    std::copy_n(state->model->state(), state->problem->shape.H, state->problem->hT);
}

void release(void *opaque) {
    State *state = static_cast<State *>(opaque);
    delete state->model;
    delete state;
}

bench_candidate describe() {
    bench_candidate candidate = {};
    candidate.name = "Eigen fixed";
    candidate.prepare = prepare;
    candidate.run = run;
    candidate.release = release;
    candidate.collect = collect;
    return candidate;
}

} // namespace

extern "C" const bench_candidate bench_peer_eigen = describe();
