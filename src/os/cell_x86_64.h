/* SPDX-License-Identifier: Apache-2.0 */
/* The sequences of os/cells.h for x86-64, and the counting beside them.
 *
 * A sequence is announced by storing the address of its description into the thread's struct rseq; from label 1 up to 2
 * the kernel sends an interrupted thread to label 4, which lies elsewhere behind the signature that the kernel wants to
 * see there. The description stays announced after the end: it means nothing outside of 1 to 2. Loads and the store may
 * be plain: the only other writers are on this thread (signals), or have a fence between their stores and their loads.
 */
#ifndef HRI_OS_CELL_X86_64_H
#define HRI_OS_CELL_X86_64_H

#if defined(__x86_64__)

#include "os/cell.h"
#include "os/rseq.h"

#define HRI_SEQUENCE_BEGIN                                                                                             \
    ".pushsection __rseq_cs, \"aw\"\n\t"                                                                               \
    ".balign 32\n"                                                                                                     \
    "3:\n\t"                                                                                                           \
    ".long 0, 0\n\t"                                                                                                   \
    ".quad 1f, 2f - 1f, 4f\n\t"                                                                                        \
    ".popsection\n\t"                                                                                                  \
    "leaq 3b(%%rip), %%rax\n\t"                                                                                        \
    "movq %%rax, %%fs:8(%[rseq])\n"                                                                                    \
    "1:\n\t"

#define HRI_SEQUENCE_END                                                                                               \
    "2:\n\t"                                                                                                           \
    ".pushsection __rseq_failure, \"ax\"\n\t"                                                                          \
    ".byte 0x0f, 0xb9, 0x3d\n\t" /* ud1, whose operand is the signature */                                             \
    ".long 0x53053053\n"                                                                                               \
    "4:\n\t"                                                                                                           \
    "jmp %l[slow]\n\t"                                                                                                 \
    ".popsection\n\t"

/* The commit is one instruction that loads, subtracts and stores: it has happened or not. */
static inline bool hri_sequence_take(hri_cell *record, uint64_t place, uint64_t n)
{
    __asm__ goto(HRI_SEQUENCE_BEGIN "cmpq %[n], (%[record], %[place])\n\t"
                                    "jb %l[slow]\n\t"
                                    "cmpq $0, 8(%[record], %[place])\n\t"
                                    "jne %l[slow]\n\t"
                                    "subq %[n], (%[record], %[place])\n" HRI_SEQUENCE_END
                 :
                 : [record] "r"(record), [place] "r"(place), [n] "r"(n), [rseq] "r"(hri_rseq_offset)
                 : "rax", "memory", "cc"
                 : slow);
    return true;
slow:
    return false;
}

static inline bool hri_sequence_give(hri_cell *record, uint64_t place, uint64_t n)
{
    __asm__ goto(HRI_SEQUENCE_BEGIN "movq (%[record], %[place]), %%rax\n\t"
                                    "addq %[n], %%rax\n\t"
                                    "jc %l[slow]\n\t"
                                    "cmpq 16(%[record], %[place]), %%rax\n\t"
                                    "ja %l[slow]\n\t"
                                    "movq %%rax, (%[record], %[place])\n" HRI_SEQUENCE_END
                 :
                 : [record] "r"(record), [place] "r"(place), [n] "r"(n), [rseq] "r"(hri_rseq_offset)
                 : "rax", "memory", "cc"
                 : slow);
    return true;
slow:
    return false;
}

/* Adds to a count that this thread alone changes: one instruction, so that a signal handler's is not lost. */
static inline void hri_cell_count(_Atomic uint64_t *count, uint64_t n)
{
    __asm__("addq %[n], %[count]" : [count] "+m"(*count) : [n] "er"(n) : "cc");
}

#endif
#endif
