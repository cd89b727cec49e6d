/* SPDX-License-Identifier: Apache-2.0 */
/* Children of a process that share its pages: forked, and no other program called by exec. For a survey; a guard asks
 * about its own process by os/resident.h. */
#ifndef HRI_OS_CHILDREN_H
#define HRI_OS_CHILDREN_H

/* Counts them for a process of this machine; 0: this one. Where the kernel does not show where their stacks begin, a
 * child that runs the same program counts. Looks at every process; allocates. Gives a negative errno where it cannot
 * look. */
int hri_children_count(int pid);

#endif
