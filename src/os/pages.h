/* SPDX-License-Identifier: Apache-2.0 */
/* Whole pages, mapped directly: for memory that must be there, or gone, without asking the allocator. */
#ifndef HRI_OS_PAGES_H
#define HRI_OS_PAGES_H

#include <stdbool.h>
#include <stddef.h>

size_t hri_page_size(void);

/* CPUs that are online: at least 1. */
size_t hri_cpu_count(void);

/* Maps `size` bytes (rounded up to pages), not yet resident. Gives 0 or a negative errno. */
int hri_pages_map(size_t size, void **ret_pages);
void hri_pages_unmap(void *pages, size_t size);

/* Moves pages with what is in them to addresses that are mapped already, and `to_size` bytes of them, all of one mapping.
 * Nothing is copied. Gives 0, and those addresses are theirs; or a negative errno, and both are as they were. */
int hri_pages_move(void *pages, size_t size, void *to, size_t to_size);

/* No huge pages here: then only what was touched is resident, and what is dropped is not. */
void hri_pages_keep_small(void *pages, size_t size);

/* May these bytes be read? True where the kernel does not say. A system call. */
bool hri_pages_are_readable(const void *bytes, size_t size);

/* Makes the pages of these bytes resident by writing to each what is there. */
void hri_pages_touch(void *bytes, size_t size);

/* Makes whole pages resident, which are charged to the cgroup by that. Gives 0 or a negative errno. Beyond a cgroup's
 * limit the kernel kills the process and gives no error. */
int hri_pages_populate(void *pages, size_t size);

/* Gives whole pages back to the kernel and keeps their addresses. Gives 0, and they read as zeros; or a negative
 * errno, and they are as they were (-EINVAL: they are locked). */
int hri_pages_decommit(void *pages, size_t size);

/* Gives the pages back to the kernel and keeps their addresses. They read as zeros then, also where the kernel keeps
 * them since they are locked (mlockall()). `pages` is where a page begins. */
void hri_pages_drop(void *pages, size_t size);

#endif
