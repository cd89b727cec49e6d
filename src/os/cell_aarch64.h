/* SPDX-License-Identifier: Apache-2.0 */
/* The sequences of os/cells.h for arm64, and the counting beside them; see os/cell_x86_64.h.
 *
 * The bound is loaded with acquire and the value is stored with release. So a drain sees what a thread did to memory
 * before it gave. A thread that takes from a cell sees what was drained before the cell was opened again.
 */
#ifndef HRI_OS_CELL_AARCH64_H
#define HRI_OS_CELL_AARCH64_H

#if defined(__aarch64__)

#if defined(__clang__) || __GNUC__ >= 11 /* else an asm goto has no outputs */
#define HRI_SEQUENCE_STACKS 1
#endif

#include "os/cell.h"
#include "os/rseq.h"

/* The signature is a brk instruction that nobody executes. x9 to x11 are free for use between calls. */
#define HRI_SEQUENCE_BEGIN                                                                                             \
    ".pushsection __rseq_cs, \"aw\"\n\t"                                                                               \
    ".balign 32\n"                                                                                                     \
    "3:\n\t"                                                                                                           \
    ".long 0, 0\n\t"                                                                                                   \
    ".quad 1f, 2f - 1f, 4f\n\t"                                                                                        \
    ".popsection\n\t"                                                                                                  \
    "adrp x9, 3b\n\t"                                                                                                  \
    "add x9, x9, :lo12:3b\n\t"                                                                                         \
    "str x9, [%[rseq], #8]\n"                                                                                          \
    "1:\n\t"

#define HRI_SEQUENCE_END                                                                                               \
    "2:\n\t"                                                                                                           \
    ".pushsection __rseq_failure, \"ax\"\n\t"                                                                          \
    ".inst 0xd428bc00\n"                                                                                               \
    "4:\n\t"                                                                                                           \
    "b %l[slow]\n\t"                                                                                                   \
    ".popsection\n\t"

static inline char *hri_rseq_area(ptrdiff_t rseq)
{
    return (char *)__builtin_thread_pointer() + rseq;
}

static inline bool hri_sequence_take(hri_cell *cell, uint64_t n, ptrdiff_t rseq)
{
    __asm__ goto(HRI_SEQUENCE_BEGIN "ldar x10, [%[stop]]\n\t"
                                    "ldr x9, [%[cell]]\n\t"
                                    "subs x9, x9, %[n]\n\t"
                                    "b.lo %l[slow]\n\t"
                                    "cbnz x10, %l[slow]\n\t"
                                    "stlr x9, [%[cell]]\n" HRI_SEQUENCE_END
                 :
                 : [cell] "r"(cell), [stop] "r"(&cell->stop), [n] "r"(n), [rseq] "r"(hri_rseq_area(rseq))
                 : "x9", "x10", "memory", "cc"
                 : slow);
    return true;
slow:
    return false;
}

static inline bool hri_sequence_give(hri_cell *cell, uint64_t n, ptrdiff_t rseq)
{
    __asm__ goto(HRI_SEQUENCE_BEGIN "ldar x10, [%[high]]\n\t"
                                    "ldr x9, [%[cell]]\n\t"
                                    "adds x9, x9, %[n]\n\t"
                                    "b.hs %l[slow]\n\t"
                                    "cmp x9, x10\n\t"
                                    "b.hi %l[slow]\n\t"
                                    "stlr x9, [%[cell]]\n" HRI_SEQUENCE_END
                 :
                 : [cell] "r"(cell), [high] "r"(&cell->high), [n] "r"(n), [rseq] "r"(hri_rseq_area(rseq))
                 : "x9", "x10", "memory", "cc"
                 : slow);
    return true;
slow:
    return false;
}

#ifdef HRI_SEQUENCE_STACKS

static inline bool hri_sequence_pop(hri_cell *cell, void **ret_block, ptrdiff_t rseq)
{
    void *block, *top;
    __asm__ volatile goto(HRI_SEQUENCE_BEGIN "ldar x10, [%[stop]]\n\t"
                                             "ldr %[top], [%[cell]]\n\t"
                                             "cmp %[top], x10\n\t"
                                             "b.ls %l[slow]\n\t"
                                             "ldr %[block], [%[top], #-8]!\n\t"
                                             "stlr %[top], [%[cell]]\n" HRI_SEQUENCE_END
                          : [block] "=&r"(block), [top] "=&r"(top)
                          : [cell] "r"(cell), [stop] "r"(&cell->stop), [rseq] "r"(hri_rseq_area(rseq))
                          : "x9", "x10", "memory", "cc"
                          : slow);
    *ret_block = block;
    return true;
slow:
    return false;
}

static inline bool hri_sequence_push(hri_cell *cell, void *block, ptrdiff_t rseq)
{
    __asm__ volatile goto(
        HRI_SEQUENCE_BEGIN "ldar x10, [%[high]]\n\t"
                           "ldr x9, [%[cell]]\n\t"
                           "cmp x9, x10\n\t"
                           "b.hs %l[slow]\n\t"
                           "str %[block], [x9], #8\n\t"
                           "stlr x9, [%[cell]]\n" HRI_SEQUENCE_END
        :
        : [cell] "r"(cell), [high] "r"(&cell->high), [block] "r"(block), [rseq] "r"(hri_rseq_area(rseq))
        : "x9", "x10", "memory", "cc"
        : slow);
    return true;
slow:
    return false;
}
#endif

/* Adds to a count that this thread alone changes; a signal handler of its own may come in between. */
static inline void hri_cell_count(hri_cell *cell, int which, uint64_t n)
{
    atomic_fetch_add_explicit(&cell->more[which], n, memory_order_relaxed);
}

#endif
#endif
