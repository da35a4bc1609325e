/* cpu_jobs.c: the jobs of a call, one after the other or beside each other. */
#include "cpu_jobs.h"

#include "cpu_threads.h"

typedef struct job_list {
    const gru_job *jobs;
    const gru_plan *plan;
    gru_cpu_run_job run;
    gru_phases phases;
    gru_phase_claims claims[2];
} job_list;

static void job_part(void *argument, int32_t part) {
    const job_list *list = argument;
    list->run(&list->jobs[part], list->plan, gru_cpu_one_thread(gru_cpu_plan_of(list->plan)->schedule));
}

static void job_task(void *argument, int32_t index) {
    job_list *list = argument;
    gru_phase_member member = gru_phase_member_of(&list->phases, index);
    gru_phase_run(&member, job_part, list);
}

static int run_apart(const gru_job *jobs, const gru_plan *plan, gru_cpu_run_job run) {
    job_list list = {.jobs = jobs, .plan = plan, .run = run};
    gru_phases_start(&list.phases, list.claims, plan->count);
    return gru_pool_try(jobs[0].layer->context, &list.phases, job_task, &list);
}

void gru_cpu_run_jobs(const gru_job *jobs, const gru_plan *plan, gru_cpu_run_job run) {
    const gru_cpu_call_plan *own = gru_cpu_plan_of(plan);
    if (own->apart && run_apart(jobs, plan, run)) return;
    for (int32_t i = 0; i < plan->count; i++) run(&jobs[i], plan, own->schedule);
}
