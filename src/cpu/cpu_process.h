/* cpu_process.h: tells a forked child from its parent without a system call. */
#ifndef GRU_CPU_PROCESS_H
#define GRU_CPU_PROCESS_H

/* Once before the first gru_process_number, and as often as wanted. 0: no memory. */
int gru_process_prepare(void);

/* A number that this process has, and no process that it was forked from: by fork, or by _Fork or clone, which call no
 * handlers. */
unsigned gru_process_number(void);

#endif
