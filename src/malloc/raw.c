/* SPDX-License-Identifier: Apache-2.0 */
#include "malloc/raw.h"

#include <errno.h>
#include <limits.h>
#include <linux/futex.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

void *hri_raw_mmap(void *address, size_t size, int protection, int flags, int fd, off_t offset)
{
    return (void *)syscall(SYS_mmap, address, size, protection, flags, fd, offset);
}

int hri_raw_munmap(void *address, size_t size)
{
    return (int)syscall(SYS_munmap, address, size);
}

int hri_raw_mprotect(void *address, size_t size, int protection)
{
    return (int)syscall(SYS_mprotect, address, size, protection);
}

void *hri_raw_mremap(void *address, size_t old_size, size_t new_size, int flags, void *new_address)
{
    return (void *)syscall(SYS_mremap, address, old_size, new_size, flags, new_address);
}

int hri_raw_madvise(void *address, size_t size, int advice)
{
    return (int)syscall(SYS_madvise, address, size, advice);
}

void hri_raw_futex_wait(_Atomic uint32_t *word, uint32_t value, uint64_t most_ns)
{
    const struct timespec most = {.tv_sec = (time_t)(most_ns / 1000000000), .tv_nsec = (long)(most_ns % 1000000000)};
    int saved = errno;
    syscall(SYS_futex, word, FUTEX_WAIT, value, &most, NULL, 0);
    errno = saved;
}

void hri_raw_futex_wake(_Atomic uint32_t *word)
{
    int saved = errno;
    syscall(SYS_futex, word, FUTEX_WAKE, INT_MAX, NULL, NULL, 0);
    errno = saved;
}
