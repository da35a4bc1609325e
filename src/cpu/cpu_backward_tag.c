/* cpu_backward_tag.c: the tag that the data part of a backward pass writes to its workspace. */
#include "cpu_backward_tag.h"

#include <string.h>

#include "core/error.h"

static const uint64_t MAGIC = 0x6772755f64617461u; /* "gru_data" */

typedef struct tag {
    uint64_t magic;
    int64_t T, N, owner;
    const void *reserve;
    uint64_t reserved[3];
} tag;

_Static_assert(sizeof(tag) == GRU_CPU_TAG_BYTES, "the tag is a cache line");

uint32_t gru_cpu_wanted_parts(const gru_gradients *gradients) {
    const uint32_t both = GRU_GRAD_DATA | GRU_GRAD_WEIGHTS, parts = gradients->parts & both;
    return parts ? parts : both;
}

void gru_cpu_backward_tag_write(const gru_run *run, int32_t owner) {
    const tag written = {MAGIC, run->T, run->N, owner, run->reserve, {0}};
    memcpy(run->workspace, &written, sizeof written);
}

gru_status gru_cpu_backward_tag_check(const gru_run *run, int32_t owner) {
    tag found;
    memcpy(&found, run->workspace, sizeof found);
    if (found.magic == MAGIC && found.T == run->T && found.N == run->N && found.owner == owner &&
        found.reserve == run->reserve)
        return GRU_OK;
    return gru_fail(
        GRU_BAD_ARGUMENT,
        "gradients.parts is GRU_GRAD_WEIGHTS, but run.workspace does not hold the data part of this run");
}
