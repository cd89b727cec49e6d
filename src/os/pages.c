/* SPDX-License-Identifier: Apache-2.0 */
#define _GNU_SOURCE
#include "os/pages.h"

#include "base/assert.h"

#include <errno.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/uio.h>
#include <unistd.h>

size_t hri_page_size(void)
{
    return (size_t)sysconf(_SC_PAGESIZE);
}

size_t hri_cpu_count(void)
{
    long count = sysconf(_SC_NPROCESSORS_ONLN);
    return count > 0 ? (size_t)count : 1;
}

int hri_pages_map(size_t size, void **ret_pages)
{
    void *pages = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (pages == MAP_FAILED)
        return -errno;
    *ret_pages = pages;
    return 0;
}

int hri_pages_move(void *pages, size_t size, void *to, size_t to_size)
{
    int saved = errno;
    int error = mremap(pages, size, to_size, MREMAP_MAYMOVE | MREMAP_FIXED, to) == MAP_FAILED ? -errno : 0;
    errno = saved;
    return error;
}

void hri_pages_keep_small(void *pages, size_t size)
{
    madvise(pages, size, MADV_NOHUGEPAGE);
}

void hri_pages_unmap(void *pages, size_t size)
{
    munmap(pages, size);
}

/* Having the kernel copy them from ourselves is the one way that no fault can come of. At most 64 bytes are tried. */
bool hri_pages_are_readable(const void *bytes, size_t size)
{
    char copy[64];
    struct iovec to = {copy, size < sizeof copy ? size : sizeof copy};
    struct iovec from = {(void *)(uintptr_t)bytes, to.iov_len};
    int saved = errno;
    ssize_t got = process_vm_readv(getpid(), &to, 1, &from, 1, 0);
    bool readable = got >= 0 ? (size_t)got == to.iov_len : errno != EFAULT;
    errno = saved;
    return readable;
}

void hri_pages_touch(void *bytes, size_t size)
{
    char *at = bytes;
    const size_t page = hri_page_size();
    for (size_t offset = 0; offset < size; offset += page)
        __atomic_fetch_or(&at[offset], 0, __ATOMIC_RELAXED); /* one fault: a read would have another before */
    if (size > 0)
        __atomic_fetch_or(&at[size - 1], 0, __ATOMIC_RELAXED);
}

#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23 /* Linux has it since 5.14 */
#endif

int hri_pages_populate(void *pages, size_t size)
{
    int saved = errno, error = 0;
    do
        error = madvise(pages, size, MADV_POPULATE_WRITE) == 0 ? 0 : -errno;
    while (error == -EAGAIN || error == -EINTR);
    if (error == -EINVAL) { /* an older kernel */
        hri_pages_touch(pages, size);
        error = 0;
    }
    errno = saved;
    return error;
}

int hri_pages_decommit(void *pages, size_t size)
{
    int saved = errno, error = madvise(pages, size, MADV_DONTNEED) == 0 ? 0 : -errno;
    errno = saved;
    return error;
}

void hri_pages_drop(void *pages, size_t size)
{
    HRI_ASSERT((uintptr_t)pages % hri_page_size() == 0);
    if (madvise(pages, size, MADV_DONTNEED) != 0)
        memset(pages, 0, size);
}
