/* SPDX-License-Identifier: Apache-2.0 */
/* System calls that are not counted: this library is libc's mmap() and its kin for the program, so for its own pages
 * it calls the kernel itself. They set errno as libc does. */
#ifndef HRI_MALLOC_RAW_H
#define HRI_MALLOC_RAW_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

void *hri_raw_mmap(void *address, size_t size, int protection, int flags, int fd, off_t offset);
int hri_raw_munmap(void *address, size_t size);
int hri_raw_mprotect(void *address, size_t size, int protection);
void *hri_raw_mremap(void *address, size_t old_size, size_t new_size, int flags, void *new_address);

int hri_raw_madvise(void *address, size_t size, int advice);

/* Between processes. Waits while the word has this value, for so long at the most. */
void hri_raw_futex_wait(_Atomic uint32_t *word, uint32_t value, uint64_t most_ns);
void hri_raw_futex_wake(_Atomic uint32_t *word);

#endif
