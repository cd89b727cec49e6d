/* SPDX-License-Identifier: Apache-2.0 */
/* How pools get and put; pool.h includes this. What is here of the library's own layout is version 1 of it: a pool begins
 * with an hr_pool_face_, and hr_cells_mine_ points to an array of cells, one for each pool, in every thread.
 *
 * A cell is a stack of idle blocks: where its top is, where it begins, where it ends; and how many were taken. Who wants a block takes the one below
 * the top and moves the top, as one restartable sequence: from label 1 to 2 the kernel sends an interrupted thread to
 * label 4, and the last instruction commits. The library may close the cell at any time from another thread: then it is
 * neither above its beginning nor below its end. How that is made safe: os/cells.h in the library's sources.
 */
#ifndef HEADROOM_POOL_INLINE_H
#define HEADROOM_POOL_INLINE_H

#include <headroom/base.h>

#if defined(__has_include) && defined(__linux__) && defined(__LP64__) && (defined(__x86_64__) || defined(__aarch64__))
#if __has_include(<sys/rseq.h>) && (defined(__clang__) || __GNUC__ >= 11)
#define HR_POOL_INLINE_ 1
#endif
#endif
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#undef HR_POOL_INLINE_
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer) || __has_feature(memory_sanitizer)
#undef HR_POOL_INLINE_
#endif
#endif

/* Before a function that is inline where it can be, and the library's otherwise. */
#if defined(HR_POOL_INLINE_) && !defined(HR_NO_INLINE)
#define HR_INLINE_API static inline
#else
#define HR_INLINE_API HR_API
#endif

#ifdef __cplusplus
extern "C" {
#endif

/* What a pool begins with. A place of 0 leads to a cell that is always closed, and so to the library. */
struct hr_pool_face_ {
    uint32_t get_place;
    uint32_t put_place;
    size_t size_bytes;
};

static inline const struct hr_pool_face_ *hr_pool_face_of_(const void *pool)
{
#ifdef __cplusplus
    return static_cast<const struct hr_pool_face_ *>(pool);
#else
    return (const struct hr_pool_face_ *)pool;
#endif
}

#ifdef HR_POOL_INLINE_

extern HR_API __attribute__((tls_model("initial-exec"))) __thread void *hr_cells_mine_;
extern const ptrdiff_t __rseq_offset; /* glibc's: <sys/rseq.h> would bring the kernel's names too */

static inline char *hr_pool_cell_(uint32_t place)
{
#ifdef __cplusplus
    return static_cast<char *>(hr_cells_mine_) + place;
#else
    return (char *)hr_cells_mine_ + place;
#endif
}

/* x86-64. A cell is addressed by one register, and its top and its count are changed in registers: Intel processors
 * then forward each store to the next load at no cost. Keep this form; os/cell_x86_64.h in the sources says what
 * other forms cost. The count need not be safe from signal handlers, which may not use pools. */
#if defined(__x86_64__)

#define HR_SEQUENCE_BEGIN_                                                                                             \
    ".pushsection __rseq_cs, \"aw\"\n\t.balign 32\n3:\n\t.long 0, 0\n\t.quad 1f, 2f - 1f, 4f\n\t.popsection\n\t"       \
    "leaq 3b(%%rip), %[work]\n\tmovq %[work], %%fs:8(%[rseq])\n1:\n\t"
#define HR_SEQUENCE_END_                                                                                               \
    "2:\n\t.pushsection __rseq_failure, \"ax\"\n\t.byte 0x0f, 0xb9, 0x3d\n\t.long 0x53053053\n4:\n\tjmp %l[slow]\n\t"  \
    ".popsection\n\t"

/* Takes the topmost block; false if there is none, or the sequence was interrupted. Compilers are told that a block is
 * not NULL, so that the program's own question costs nothing here. */
static inline bool hr_pool_pop_(const void *pool, void **ret_block)
{
    void *block, *top;
    char *cell = hr_pool_cell_(hr_pool_face_of_(pool)->get_place);
    __asm__ volatile goto(HR_SEQUENCE_BEGIN_ "movq (%[cell]), %[top]\n\t"
                                             "cmpq 8(%[cell]), %[top]\n\t"
                                             "jbe %l[slow]\n\t"
                                             "movq -8(%[top]), %[work]\n\t"
                                             "subq $8, %[top]\n\t"
                                             "movq %[top], (%[cell])\n" HR_SEQUENCE_END_
                                             "\tmovq 48(%[cell]), %[top]\n\t"
                                             "incq %[top]\n\t"
                                             "movq %[top], 48(%[cell])\n"
                          : [work] "=&r"(block), [top] "=&r"(top)
                          : [cell] "r"(cell), [rseq] "r"(__rseq_offset)
                          : "memory", "cc"
                          : slow);
    if (!block)
        __builtin_unreachable();
    *ret_block = block;
    return true;
slow:
    return false;
}

/* Puts a block on top; false if there is no room, if it is the block that was put last, or if the sequence was
 * interrupted. */
static inline bool hr_pool_push_(const void *pool, void *block)
{
    void *work;
    char *cell = hr_pool_cell_(hr_pool_face_of_(pool)->put_place);
    __asm__ volatile goto(HR_SEQUENCE_BEGIN_ "movq (%[cell]), %[work]\n\t"
                                             "cmpq 16(%[cell]), %[work]\n\t"
                                             "jae %l[slow]\n\t"
                                             "cmpq %[block], -8(%[work])\n\t"
                                             "je %l[slow]\n\t"
                                             "movq %[block], (%[work])\n\t"
                                             "addq $8, %[work]\n\t"
                                             "movq %[work], (%[cell])\n" HR_SEQUENCE_END_
                          : [work] "=&r"(work)
                          : [cell] "r"(cell), [rseq] "r"(__rseq_offset), [block] "r"(block)
                          : "memory", "cc"
                          : slow);
    return true;
slow:
    return false;
}

#else /* arm64; bounds are loaded with acquire, and tops stored with release: see os/cell_aarch64.h in the sources */

#define HR_SEQUENCE_BEGIN_                                                                                             \
    ".pushsection __rseq_cs, \"aw\"\n\t.balign 32\n3:\n\t.long 0, 0\n\t.quad 1f, 2f - 1f, 4f\n\t.popsection\n\t"       \
    "adrp %[work], 3b\n\tadd %[work], %[work], :lo12:3b\n\tstr %[work], [%[rseq], #8]\n1:\n\t"
#define HR_SEQUENCE_END_                                                                                               \
    "2:\n\t.pushsection __rseq_failure, \"ax\"\n\t.inst 0xd428bc00\n4:\n\tb %l[slow]\n\t.popsection\n\t"

static inline char *hr_pool_rseq_(void)
{
    return (char *)__builtin_thread_pointer() + __rseq_offset;
}

/* Takes the topmost block; false if there is none, or the sequence was interrupted. */
static inline bool hr_pool_pop_(const void *pool, void **ret_block)
{
    void *block, *top;
    char *cell = hr_pool_cell_(hr_pool_face_of_(pool)->get_place);
    uint64_t *gets = (uint64_t *)(void *)(cell + 48);
    __asm__ volatile goto(HR_SEQUENCE_BEGIN_ "ldar %[work], [%[begin]]\n\t"
                                             "ldr %[top], [%[cell]]\n\t"
                                             "cmp %[top], %[work]\n\t"
                                             "b.ls %l[slow]\n\t"
                                             "ldr %[work], [%[top], #-8]!\n\t"
                                             "stlr %[top], [%[cell]]\n" HR_SEQUENCE_END_
                          : [work] "=&r"(block), [top] "=&r"(top)
                          : [cell] "r"(cell), [begin] "r"(cell + 8), [rseq] "r"(hr_pool_rseq_())
                          : "memory", "cc"
                          : slow);
    __atomic_store_n(gets, __atomic_load_n(gets, __ATOMIC_RELAXED) + 1, __ATOMIC_RELAXED);
    if (!block)
        __builtin_unreachable();
    *ret_block = block;
    return true;
slow:
    return false;
}

/* Puts a block on top; false if there is no room, if it is the block that was put last, or if the sequence was
 * interrupted. */
static inline bool hr_pool_push_(const void *pool, void *block)
{
    void *work, *top;
    char *cell = hr_pool_cell_(hr_pool_face_of_(pool)->put_place);
    __asm__ volatile goto(HR_SEQUENCE_BEGIN_ "ldar %[work], [%[end]]\n\t"
                                             "ldr %[top], [%[cell]]\n\t"
                                             "cmp %[top], %[work]\n\t"
                                             "b.hs %l[slow]\n\t"
                                             "ldr %[work], [%[top], #-8]\n\t"
                                             "cmp %[work], %[block]\n\t"
                                             "b.eq %l[slow]\n\t"
                                             "str %[block], [%[top]], #8\n\t"
                                             "stlr %[top], [%[cell]]\n" HR_SEQUENCE_END_
                          : [work] "=&r"(work), [top] "=&r"(top)
                          : [cell] "r"(cell), [end] "r"(cell + 16), [rseq] "r"(hr_pool_rseq_()), [block] "r"(block)
                          : "memory", "cc"
                          : slow);
    return true;
slow:
    return false;
}

#endif

#undef HR_SEQUENCE_BEGIN_
#undef HR_SEQUENCE_END_

#endif

#ifdef __cplusplus
}
#endif

#endif
