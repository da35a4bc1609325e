/* chosen_fault.c: GRU_TEST_FAULT=NAME chooses a fault of faults.txt for this program's kernels; without it, or with a fault of PTX
 * (tests/cuda/ptx_faults.txt), they have none. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

extern const char *const gru_mutations[]; /* names.c */
extern const int gru_mutation_count;
/* Read by the kernels; -1: no fault. */
extern int gru_mutation;
int gru_mutation = -1;

__attribute__((constructor)) static void choose_fault(void) {
    const char *wanted = getenv("GRU_TEST_FAULT");
    if (!wanted || strncmp(wanted, "ptx_", 4) == 0) return;
    for (int i = 0; i < gru_mutation_count; i++)
        if (strcmp(gru_mutations[i], wanted) == 0) gru_mutation = i;
    if (gru_mutation >= 0) return;
    (void)fprintf(stderr, "GRU_TEST_FAULT is %s, which is no fault of tests/mutation/faults.txt\n", wanted);
    exit(2);
}
