/* SPDX-License-Identifier: Apache-2.0 */
/* Both are asked, not guessed from version numbers: sandboxes refuse system calls that the kernel has. */
#define _GNU_SOURCE
#include "os/feature.h"

#include <errno.h>
#include <linux/membarrier.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

/* How much of the rseq area glibc has registered for each thread; 0: it has not. Since glibc 2.35; musl has none. */
extern const unsigned int __rseq_size __attribute__((weak));

bool hri_feature_rseq(char *ret_detail, size_t size)
{
    unsigned registered = &__rseq_size ? __rseq_size : 0;
    if (registered) {
        snprintf(ret_detail, size, "registered by libc for each thread (%u bytes)", registered);
        return true;
    }
    /* No area can be registered at address 0: a kernel that knows the call says EINVAL. */
    long result = syscall(SYS_rseq, NULL, 0, 0, 0);
    if (result != 0 && errno != EINVAL)
        snprintf(ret_detail, size, "the kernel or a sandbox refuses it: %s", strerror(errno));
    else if (&__rseq_size)
        snprintf(ret_detail, size, "the kernel has it; libc has not registered it (glibc.pthread.rseq=0?)");
    else
        snprintf(ret_detail, size, "the kernel has it; this libc does not register it (glibc does from 2.35 on)");
    return false;
}

bool hri_feature_membarrier(char *ret_detail, size_t size)
{
    long commands = syscall(SYS_membarrier, MEMBARRIER_CMD_QUERY, 0, 0);
    if (commands < 0) {
        snprintf(ret_detail, size, "the kernel or a sandbox refuses it: %s", strerror(errno));
        return false;
    }
    bool usable = commands & MEMBARRIER_CMD_PRIVATE_EXPEDITED_RSEQ;
    snprintf(ret_detail, size,
             usable ? "PRIVATE_EXPEDITED_RSEQ" : "the kernel has no PRIVATE_EXPEDITED_RSEQ (Linux 5.10)");
    return usable;
}
