/* SPDX-License-Identifier: Apache-2.0 */
/* Restartable sequences: whether this process has them, and the fence that goes with them.
 *
 * A restartable sequence is a few instructions that the kernel makes restart if the thread is preempted, migrated or
 * signalled among them. Its last instruction, a store, commits it. (Linux: rseq(2), since 4.18; glibc registers each
 * thread since 2.35.) hri_rseq_fence() makes every other thread that is inside of one restart too.
 *
 * Decided once, at the first question. There are none without glibc's registration (musl, an older glibc, Valgrind,
 * qemu-user, a seccomp filter), nor without membarrier's command for them. There are none under ThreadSanitizer, which
 * does not see into them, and none with HEADROOM_NO_RSEQ=1 in the environment.
 *
 * HEADROOM_ASSUME_RSEQ=1 is for tools that run a program one instruction after the other and know nothing of sequences
 * (callgrind, qemu-user). It takes sequences for granted, which is right only for one thread without signal handlers.
 */
#ifndef HRI_OS_RSEQ_H
#define HRI_OS_RSEQ_H

#include <stdbool.h>
#include <stddef.h>

/* Where this thread's struct rseq lies, from its thread pointer; read by the sequences. Not before the first
 * hri_rseq_usable(). */
extern __attribute__((visibility("hidden"))) ptrdiff_t hri_rseq_offset;

/* Are there restartable sequences in this process? `ret_why` (NULL is fine) says why not, or what they rest on. */
bool hri_rseq_usable(const char **ret_why);

/* Is this thread registered? A thread that glibc did not make is not. */
bool hri_rseq_registered(void);

/* After this, no other thread is still inside a sequence that it had begun before, and what it begins now sees what was
 * stored before the call. Threads that do not run are not waited for. */
void hri_rseq_fence(void);

/* Again after a fork, in the child: the kernel may ask for it. */
void hri_rseq_fork(void);

#endif
