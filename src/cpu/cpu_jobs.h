/* cpu_jobs.h: the jobs of a call, one after the other or beside each other. */
#ifndef GRU_CPU_JOBS_H
#define GRU_CPU_JOBS_H

#include "cpu_schedule.h"

/* Runs one job on the threads of the schedule. */
typedef void (*gru_cpu_run_job)(const gru_job *job, const gru_plan *plan, gru_cpu_schedule schedule);

/* Runs the jobs of a plan of the CPU: each on a thread of its own, where the plan says so and the pool is free. */
void gru_cpu_run_jobs(const gru_job *jobs, const gru_plan *plan, gru_cpu_run_job run);

#endif
