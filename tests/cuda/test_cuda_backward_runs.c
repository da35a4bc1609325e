/* test_cuda_backward_runs.c: what a backward pass asks of the device and of the caller's memory. */
#include <string.h>

#include "control.h"
#include "cuda_fixture.h"

/* The first test of this program, so that no kernel has been loaded by another. */
TEST(cuda_backward_runs, first_passes_load_and_allocate_nothing) {
    for (int i = 0; i < BACKWARD_KERNEL_CONFIGS * COMPUTE_TYPES; i++) {
        const kernel_config *f = &backward_kernel_configs[i % BACKWARD_KERNEL_CONFIGS];
        const int projected = i % 3 == 1;
        if (!kernel_config_is_selected(i)) continue;
        cuda_fixture s = open_fixture(f, i / BACKWARD_KERNEL_CONFIGS, i,
                                      projected ? fixture_options | PROBLEM_PROJECTED : fixture_options, 0);
        uploaded l = upload(&s);
        kernel_config_override_backward(f, (gru_cuda_compute_type)(i / BACKWARD_KERNEL_CONFIGS));
        const uint64_t allocated = emu_allocations(), loaded = emu_loaded(), launched = emu_launches();
        REQUIRE(gru_layer_backward(s.r.layer, &l.backward, &l.gradients) == GRU_OK, "%s: %s", f->name,
                gru_last_error());
        device_mirror_receive(l.m);
        CHECK(emu_launches() > launched, "nothing was launched");
        CHECK(emu_allocations() == allocated, "%s: the first backward left %d allocations more", f->name,
              (int)(emu_allocations() - allocated));
        CHECK(emu_loaded() == loaded, "%s: the first backward loaded %d kernels", f->name,
              (int)(emu_loaded() - loaded));
        kernel_config_clear_override();
        download(&l);
        close_fixture(&s);
    }
}

/* ---- nothing to do ------------------------------------------------------------------------------------------------ */

/* Without steps dhT is dh0; without rows nothing is; sums over nothing are zeros, where they are set. */
TEST(cuda_backward_runs, no_steps_and_no_rows) {
    for (int i = 0; i < BACKWARD_KERNEL_CONFIGS; i++) {
        if (!kernel_config_is_selected(i)) continue;
        cuda_fixture s =
            open_fixture(&backward_kernel_configs[i], i % COMPUTE_TYPES, i, PROBLEM_H0 | PROBLEM_H_RESET, 0);
        uploaded l = upload(&s);
        const float *dhT = s.p->dhT, *dh0 = l.here.data[GRAD_H0], *dR = l.here.data[GRAD_R];
        l.backward.N = 0;
        CHECK(gru_layer_backward(s.r.layer, &l.backward, &l.gradients) == GRU_OK, "N 0: %s",
              gru_last_error());
        device_mirror_receive(l.m);
        CHECK(tester_untouched(dh0, N * H * sizeof *dh0) && dR[5] == 0, "no rows wrote something");
        l.backward.N = N, l.backward.T = 0;
        CHECK(gru_layer_backward(s.r.layer, &l.backward, &l.gradients) == GRU_OK, "T 0: %s",
              gru_last_error());
        device_mirror_receive(l.m);
        CHECK(memcmp(dh0, dhT, N * H * sizeof *dh0) == 0, "%s: after no steps dh0 is not dhT",
              backward_kernel_configs[i].name);
        ((float *)l.here.data[GRAD_R])[5] = ((float *)l.here.data[GRAD_BR])[7] = 3;
        device_mirror_send(l.m);
        CHECK(gru_layer_backward(s.r.layer, &l.backward, &l.gradients) == GRU_OK, "%s", gru_last_error());
        device_mirror_receive(l.m);
        CHECK(dR[5] == 3, "nothing was added, and dR is %g", (double)dR[5]);
        l.gradients.parts = GRU_GRAD_OVERWRITE;
        CHECK(gru_layer_backward(s.r.layer, &l.backward, &l.gradients) == GRU_OK, "%s", gru_last_error());
        device_mirror_receive(l.m);
        CHECK(dR[5] == 0 && ((float *)l.here.data[GRAD_BR])[7] == 0, "the sum of nothing is %g",
              (double)dR[5]);
        download(&l);
        close_fixture(&s);
    }
}

/* ---- arguments ---------------------------------------------------------------------------------------------------- */

/* Every buffer of the gradients in turn as memory of the host: refused by its name, before anything is launched. */
TEST(cuda_backward_runs, host_memory_is_refused) {
    cuda_fixture s = open_fixture(&backward_kernel_configs[0], 0, 0, fixture_options, 0);
    uploaded l = upload(&s);
    void *host = tester_allocate(1 << 16);
    const uint64_t launched = emu_launches();
#define REFUSED(field)                                                                                 \
    do {                                                                                               \
        gru_gradients wrong = l.gradients;                                                             \
        *(void **)&wrong.field = host;                                                                 \
        CHECK(gru_layer_backward(s.r.layer, &l.backward, &wrong) == GRU_BAD_ARGUMENT &&                \
                  strstr(gru_last_error(), "host memory") &&                                           \
                  strncmp(gru_last_error(), "gradients." #field, sizeof "gradients." #field - 1) == 0, \
              #field " in host memory: \"%s\"", gru_last_error());                                     \
    } while (0)
    REFUSED(dhT);
    REFUSED(loss_scale);
    REFUSED(dh0);
    REFUSED(dh_restart);
    REFUSED(dW);
    REFUSED(dR);
    REFUSED(dbW);
    REFUSED(dbR);
#undef REFUSED
#define REFUSED(field)                                                                                 \
    do {                                                                                               \
        gru_gradients wrong = l.gradients;                                                             \
        wrong.field.data = host;                                                                       \
        CHECK(gru_layer_backward(s.r.layer, &l.backward, &wrong) == GRU_BAD_ARGUMENT &&                \
                  strstr(gru_last_error(), "host memory") &&                                           \
                  strncmp(gru_last_error(), "gradients." #field, sizeof "gradients." #field - 1) == 0, \
              #field " in host memory: \"%s\"", gru_last_error());                                     \
    } while (0)
    REFUSED(dy);
    REFUSED(dx);
    REFUSED(dattention);
#undef REFUSED
    gru_run wrong = l.backward;
    wrong.reserve = host;
    CHECK(gru_layer_backward(s.r.layer, &wrong, &l.gradients) == GRU_BAD_ARGUMENT &&
              strstr(gru_last_error(), "run.reserve"),
          "the reserve in host memory: \"%s\"", gru_last_error());
    CHECK(emu_launches() == launched, "a refused call launched something");
    tester_free(host);
    download(&l);
    close_fixture(&s);
}

/* ---- a lost device ------------------------------------------------------------------------------------------------ */

TEST(cuda_backward_runs, a_fault_loses_the_context) {
    cuda_fixture s = open_fixture(&backward_kernel_configs[0], 0, 0, fixture_options, 0);
    uploaded l = upload(&s);
    void *small;
    REQUIRE(gru_allocate(s.context, 256, &small) == GRU_OK, "%s", gru_last_error());
    l.gradients.dh0 = (char *)small + 256 - sizeof(float); /* room for one number */
    CHECK(gru_layer_backward(s.r.layer, &l.backward, &l.gradients) == GRU_OK, "%s", gru_last_error());
    CHECK(gru_wait(s.context, l.run.stream) == GRU_DEVICE_FAILED &&
              strstr(gru_last_error(), "the context is lost"),
          "the fault: \"%s\"", gru_last_error());
    CHECK(gru_layer_backward(s.r.layer, &l.backward, &l.gradients) == GRU_DEVICE_FAILED &&
              strstr(gru_last_error(), "in an earlier call"),
          "afterwards: \"%s\"", gru_last_error());
    gru_free(s.context, small);
    download(&l);
    close_fixture(&s);
    CHECK(*emu_take_findings(), "the emulator found nothing");
}
