/* SPDX-License-Identifier: Apache-2.0 */
/* The kernel's own order: a thread registers its struct rseq, a process registers its intention to use membarrier's
 * command. glibc has done the first; the second is done here, once.
 */
#define _GNU_SOURCE
#include "os/rseq.h"

#include "base/assert.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Of linux/membarrier.h; older headers lack these. */
#define CMD_EXPEDITED_RSEQ (1 << 7)
#define CMD_REGISTER_EXPEDITED_RSEQ (1 << 8)
#define FLAG_CPU 1

/* Defined where ThreadSanitizer is in the process. It sees the locks of a library that is not instrumented, and no
 * sequence: in a program under it, blocks that pass from thread to thread were reported as races. */
extern __attribute__((weak)) void __tsan_init(void);

/* glibc's, since 2.35. */
extern const ptrdiff_t __rseq_offset __attribute__((weak));
extern const unsigned int __rseq_size __attribute__((weak));

ptrdiff_t hri_rseq_offset;

static bool usable;
static bool assumed;
static const char *why;
static pthread_once_t decided = PTHREAD_ONCE_INIT;

/* The kernel's layout: cpu_id_start, cpu_id, the address of the sequence's description, flags. */
static const uint32_t *own_area(void)
{
    return (const uint32_t *)(const void *)((const char *)__builtin_thread_pointer() + hri_rseq_offset);
}

bool hri_rseq_registered(void)
{
    return assumed || (usable && (int32_t)own_area()[1] >= 0);
}

static int membarrier(int command, unsigned flags, int cpu)
{
    return (int)syscall(SYS_membarrier, command, flags, cpu);
}

static bool is_set(const char *name)
{
    const char *value = getenv(name);
    return value && *value && strcmp(value, "0") != 0;
}

static const char *find_obstacle(void)
{
#if !defined(__x86_64__) && !defined(__aarch64__)
    return "not written for this processor";
#else
    if (&__tsan_init)
        return "ThreadSanitizer does not see into them";
    if (is_set("HEADROOM_NO_RSEQ"))
        return "HEADROOM_NO_RSEQ is set";
    if (!&__rseq_offset || !&__rseq_size)
        return "the libc does not register threads (glibc does since 2.35)";
    if (__rseq_size == 0)
        return "the libc did not register this thread (GLIBC_TUNABLES glibc.pthread.rseq, or the kernel refused)";
    if ((int32_t)own_area()[1] < 0)
        return "the kernel refused to register this thread";
    if (membarrier(CMD_REGISTER_EXPEDITED_RSEQ, 0, 0) != 0)
        return errno == EINVAL ? "membarrier(2) has no command for them (Linux has since 5.10)"
                               : "membarrier(2) is not permitted (a seccomp filter?)";
    return NULL;
#endif
}

/* Sequences announce themselves in any case, even where nobody listens: then here. */
static __attribute__((tls_model("initial-exec"))) _Alignas(32) _Thread_local char nobody[32];

static void decide(void)
{
    hri_rseq_offset = &__rseq_offset ? __rseq_offset : nobody - (const char *)__builtin_thread_pointer();
    assumed = is_set("HEADROOM_ASSUME_RSEQ");
    why = assumed ? NULL : find_obstacle();
    usable = !why;
    if (assumed)
        why = "taken for granted: HEADROOM_ASSUME_RSEQ is set";
    else if (usable)
        why = "registered by the libc, membarrier(PRIVATE_EXPEDITED_RSEQ)";
}

bool hri_rseq_usable(const char **ret_why)
{
    pthread_once(&decided, decide);
    if (ret_why)
        *ret_why = why;
    return usable;
}

/* For a kernel that finds no memory for the set of processors: one after the other. A thread that moves from one to
 * another meanwhile is preempted, which restarts it as well. Gives whether it could. */
static bool fence_each_cpu(void)
{
    bool reached = false;
    for (int cpu = 0; cpu < CPU_SETSIZE; cpu++)
        reached |= membarrier(CMD_EXPEDITED_RSEQ, FLAG_CPU, cpu) == 0;
    return reached;
}

/* For the time after membarrier has been taken away (a filter that the program has put itself under). A thread that
 * runs on a processor is preempted by this thread's coming there, and so restarts. */
static void visit_each_cpu(void)
{
    cpu_set_t before, one;
    if (sched_getaffinity(0, sizeof before, &before) != 0)
        return;
    for (int cpu = 0; cpu < CPU_SETSIZE; cpu++) {
        CPU_ZERO(&one);
        CPU_SET((size_t)cpu, &one);
        sched_setaffinity(0, sizeof one, &one); /* fails where there is no such processor for us */
    }
    sched_setaffinity(0, sizeof before, &before);
}

/* The fences around it are for what membarrier leaves out: it does nothing in a process of one thread, even where the
 * other one has just ended. */
void hri_rseq_fence(void)
{
    atomic_thread_fence(memory_order_seq_cst);
    if (!assumed && membarrier(CMD_EXPEDITED_RSEQ, 0, 0) != 0 && !fence_each_cpu()) {
        hri_fault_note();
        visit_each_cpu();
    }
    atomic_thread_fence(memory_order_seq_cst);
}

void hri_rseq_fork(void)
{
    if (usable && !assumed)
        membarrier(CMD_REGISTER_EXPEDITED_RSEQ, 0, 0);
}
