/* SPDX-License-Identifier: Apache-2.0 */
/* The sequences of os/cells.h for x86-64, and the counting beside them.
 *
 * A sequence is announced by storing the address of its description into the thread's struct rseq. From label 1 up to
 * 2 the kernel sends an interrupted thread to label 4. That lies elsewhere, behind the signature that the kernel
 * wants to see there. The description stays announced after the end: it means nothing outside of 1 to 2. Loads and
 * the store may be plain: the only other writers are on this thread (signals), or have a fence between their stores
 * and their loads.
 *
 * Each sequence addresses its cell by one register that holds the cell's address. It loads the value, computes in a
 * register, and commits by one plain store, which is the last instruction. Keep this form. A cell is loaded again
 * some nanoseconds after it was stored, so the time from a store to the next load decides. Intel processors (measured
 * on Sapphire Rapids) forward a store of this form at no cost: a take and a give together cost 0.75 ns. They cost 5.4
 * ns with a base and an index, `(%record, %place)`, or with arithmetic in memory, `subq %n, (%cell)`. AMD processors
 * (measured on Zen 5) do both at the same speed. The address is an "r" operand: for an "m" operand the compiler may
 * choose an index.
 */
#ifndef HRI_OS_CELL_X86_64_H
#define HRI_OS_CELL_X86_64_H

#if defined(__x86_64__)

#if defined(__clang__) || __GNUC__ >= 11 /* else an asm goto has no outputs */
#define HRI_SEQUENCE_STACKS 1
#endif

#include "os/cell.h"
#include "os/rseq.h"

#define HRI_SEQUENCE_BEGIN                                                                                             \
    ".pushsection __rseq_cs, \"aw\"\n\t"                                                                               \
    ".balign 32\n"                                                                                                     \
    "3:\n\t"                                                                                                           \
    ".long 0, 0\n\t"                                                                                                   \
    ".quad 1f, 2f - 1f, 4f\n\t"                                                                                        \
    ".popsection\n\t"                                                                                                  \
    "leaq 3b(%%rip), %%r10\n\t"                                                                                        \
    "movq %%r10, %%fs:8(%[rseq])\n"                                                                                    \
    "1:\n\t"

#define HRI_SEQUENCE_END                                                                                               \
    "2:\n\t"                                                                                                           \
    ".pushsection __rseq_failure, \"ax\"\n\t"                                                                          \
    ".byte 0x0f, 0xb9, 0x3d\n\t" /* ud1, whose operand is the signature */                                             \
    ".long 0x53053053\n"                                                                                               \
    "4:\n\t"                                                                                                           \
    "jmp %l[slow]\n\t"                                                                                                 \
    ".popsection\n\t"

static inline bool hri_sequence_take(hri_cell *cell, uint64_t n, ptrdiff_t rseq)
{
    __asm__ goto(HRI_SEQUENCE_BEGIN "movq (%[cell]), %%r10\n\t"
                                    "subq %[n], %%r10\n\t"
                                    "jb %l[slow]\n\t"
                                    "cmpq $0, 8(%[cell])\n\t"
                                    "jne %l[slow]\n\t"
                                    "movq %%r10, (%[cell])\n" HRI_SEQUENCE_END
                 :
                 : [cell] "r"(cell), [n] "r"(n), [rseq] "r"(rseq)
                 : "r10", "memory", "cc"
                 : slow);
    return true;
slow:
    return false;
}

static inline bool hri_sequence_give(hri_cell *cell, uint64_t n, ptrdiff_t rseq)
{
    __asm__ goto(HRI_SEQUENCE_BEGIN "movq (%[cell]), %%r10\n\t"
                                    "addq %[n], %%r10\n\t"
                                    "jc %l[slow]\n\t"
                                    "cmpq 16(%[cell]), %%r10\n\t"
                                    "ja %l[slow]\n\t"
                                    "movq %%r10, (%[cell])\n" HRI_SEQUENCE_END
                 :
                 : [cell] "r"(cell), [n] "r"(n), [rseq] "r"(rseq)
                 : "r10", "memory", "cc"
                 : slow);
    return true;
slow:
    return false;
}

#ifdef HRI_SEQUENCE_STACKS

static inline bool hri_sequence_pop(hri_cell *cell, void **ret_block, ptrdiff_t rseq)
{
    void *block;
    __asm__ volatile goto(HRI_SEQUENCE_BEGIN "movq (%[cell]), %%r10\n\t"
                                             "cmpq 8(%[cell]), %%r10\n\t"
                                             "jbe %l[slow]\n\t"
                                             "movq -8(%%r10), %[block]\n\t"
                                             "subq $8, %%r10\n\t"
                                             "movq %%r10, (%[cell])\n" HRI_SEQUENCE_END
                          : [block] "=&r"(block)
                          : [cell] "r"(cell), [rseq] "r"(rseq)
                          : "r10", "memory", "cc"
                          : slow);
    *ret_block = block;
    return true;
slow:
    return false;
}

static inline bool hri_sequence_push(hri_cell *cell, void *block, ptrdiff_t rseq)
{
    __asm__ volatile goto(HRI_SEQUENCE_BEGIN "movq (%[cell]), %%r10\n\t"
                                             "cmpq 16(%[cell]), %%r10\n\t"
                                             "jae %l[slow]\n\t"
                                             "movq %[block], (%%r10)\n\t"
                                             "addq $8, %%r10\n\t"
                                             "movq %%r10, (%[cell])\n" HRI_SEQUENCE_END
                          :
                          : [cell] "r"(cell), [block] "r"(block), [rseq] "r"(rseq)
                          : "r10", "memory", "cc"
                          : slow);
    return true;
slow:
    return false;
}
#endif

/* One instruction with arithmetic in memory, unlike above. With a load, an addition and a store, the count of a
 * signal handler that runs between them would be lost, and promises must be exact. As a sequence of its own it would
 * take four more instructions in each charge. An addition waits only for the addition of the charge before, beside
 * the rest. */
static inline void hri_cell_count(hri_cell *cell, int which, uint64_t n)
{
    __asm__("addq %[n], %[count]" : [count] "+m"(cell->more[which]) : [n] "er"(n) : "cc");
}

#endif
#endif
