/* SPDX-License-Identifier: Apache-2.0 */
/* How pools get and put; pool.h includes this. Version 1 of the library's layout is used here. A pool begins with an
 * hr_pool_face_. In every thread hr_cells_mine_ points to an array of cells, one for each pool.
 *
 * A cell is a stack of idle blocks: where its top is, where it begins, where it ends; and how many were taken. A get
 * takes the block below the top and moves the top, as one restartable sequence. From label 1 to 2 the kernel sends an
 * interrupted thread to label 4, and the last instruction commits. The library may close the cell at any time from
 * another thread: then its top is neither above its beginning nor below its end. How that is made safe: os/cells.h in
 * the library's sources.
 *
 * A block is with one user or in one stack. The word in front of each block, its *mark*, says which. While a user has
 * the block, the mark is the complement of the pool's address. While a stack has it, the mark is the address of that
 * stack's beginning.
 *  - A put accepts a block only if the mark says that a user has it. So the second of two puts is refused, and so is a
 *    block of another pool. A table has the pieces of 64 KiB of the address space in which pools have blocks. It says
 *    whether the mark can be read, so an address that is no block at all is refused and not looked at.
 *  - A get accepts a block only if the mark names the stack in which it was found. Two threads that put a block in the
 *    same instant may both get past the first rule, and the block is in two stacks then. Its mark names one of them.
 *    The other stack may have its address for long: the library keeps the addresses of blocks readable when their pages
 *    have gone back to the kernel.
 *  - A mark is written only by the thread that has the block: by a put before it is in a stack, by a get after it has
 *    left.
 * A put reads the beginning before its sequence. Only this thread opens its cell. A thread that closes it changes the
 * end before the beginning. So a cell that was seen closed by its beginning is seen closed by its end. So a sequence
 * that succeeds has pushed to the stack whose beginning was read.
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

/* Before a function that is inline where it can be, and the library's otherwise. Without optimization it would be a
 * function of its own in the program, and what debug builds of the library take for the caller. */
#if defined(HR_POOL_INLINE_) && !defined(HR_NO_INLINE) && defined(__OPTIMIZE__)
#define HR_POOL_FACE_INLINE_ 1
#define HR_INLINE_API static inline
#else
#define HR_INLINE_API HR_API
#endif

#ifdef __cplusplus
extern "C" {
#endif

/* The beginning of a pool. A place of 0 leads to a cell that is always closed, and so to the library. */
struct hr_pool_face_ {
    uint32_t get_place;
    uint32_t put_place;
    size_t size_bytes;
};

#define HR_PIECES_ 65536u
#define HR_PIECE_SHIFT_ 16

static inline const struct hr_pool_face_ *hr_pool_face_of_(const void *pool)
{
#ifdef __cplusplus
    return static_cast<const struct hr_pool_face_ *>(pool);
#else
    return (const struct hr_pool_face_ *)pool;
#endif
}

typedef uintptr_t __attribute__((may_alias)) hr_pool_mark_;

static inline uintptr_t hr_pool_address_(const void *pointer)
{
#ifdef __cplusplus
    return reinterpret_cast<uintptr_t>(pointer);
#else
    return (uintptr_t)pointer;
#endif
}

static inline hr_pool_mark_ *hr_pool_mark_at_(uintptr_t address)
{
#ifdef __cplusplus
    return reinterpret_cast<hr_pool_mark_ *>(address);
#else
    return (hr_pool_mark_ *)address;
#endif
}

/* The mark of a block that a user has. */
static inline uintptr_t hr_pool_used_(const void *pool)
{
    return ~hr_pool_address_(pool);
}

#ifdef HR_POOL_INLINE_

extern HR_API __attribute__((tls_model("initial-exec"))) __thread void *hr_cells_mine_;
extern HR_API const uintptr_t *const hr_pool_pieces_; /* HR_PIECES_ entries: numbers of pieces */
extern const ptrdiff_t __rseq_offset;                 /* glibc's: <sys/rseq.h> would bring the kernel's names too */

static inline char *hr_pool_cell_(uint32_t place)
{
#ifdef __cplusplus
    return static_cast<char *>(hr_cells_mine_) + place;
#else
    return (char *)hr_cells_mine_ + place;
#endif
}

/* x86-64. A cell is addressed by one register, and its top is changed in a register: Intel processors then forward
 * each store to the next load at no cost. Keep this form; os/cell_x86_64.h in the sources says what other forms cost.
 * The count is one addition in memory. It waits only for the addition of the get before, beside the rest. */
#if defined(__x86_64__)

#define HR_SEQUENCE_BEGIN_                                                                                             \
    ".pushsection __rseq_cs, \"aw\"\n\t.balign 32\n3:\n\t.long 0, 0\n\t.quad 1f, 2f - 1f, 4f\n\t.popsection\n\t"       \
    "leaq 3b(%%rip), %[work]\n\tmovq %[work], %%fs:8(%[rseq])\n1:\n\t"
#define HR_SEQUENCE_END_                                                                                               \
    "2:\n\t.pushsection __rseq_failure, \"ax\"\n\t.byte 0x0f, 0xb9, 0x3d\n\t.long 0x53053053\n4:\n\tjmp %l[slow]\n\t"  \
    ".popsection\n\t"

/* Takes the topmost block; false if there is none, its mark does not name this stack, or the sequence was interrupted.
 * `used` is what its mark becomes. Compilers are told that a block is not NULL, so that the program's own question
 * costs nothing here. */
static inline bool hr_pool_pop_(uint32_t place, uintptr_t used, void **ret_block)
{
    void *block, *top;
    uintptr_t begin;
    char *cell = hr_pool_cell_(place);
    __asm__ volatile goto(HR_SEQUENCE_BEGIN_ "movq (%[cell]), %[top]\n\t"
                                             "movq 8(%[cell]), %[begin]\n\t"
                                             "cmpq %[begin], %[top]\n\t"
                                             "jbe %l[slow]\n\t"
                                             "movq -8(%[top]), %[work]\n\t"
                                             "cmpq %[begin], -8(%[work])\n\t"
                                             "jne %l[slow]\n\t"
                                             "subq $8, %[top]\n\t"
                                             "movq %[top], (%[cell])\n" HR_SEQUENCE_END_ "\tincq 48(%[cell])\n"
                          : [work] "=&r"(block), [top] "=&r"(top), [begin] "=&r"(begin)
                          : [cell] "r"(cell), [rseq] "r"(__rseq_offset)
                          : "memory", "cc"
                          : slow);
    if (!block)
        __builtin_unreachable();
    *hr_pool_mark_at_(hr_pool_address_(block) - sizeof(uintptr_t)) = used;
    *ret_block = block;
    return true;
slow:
    return false;
}

/* Puts a block on top whose mark the caller has set to the cell's beginning; false if there is no room, or if the
 * sequence was interrupted. */
static inline bool hr_pool_push_marked_(char *cell, void *block)
{
    void *work;
    __asm__ volatile goto(HR_SEQUENCE_BEGIN_ "movq (%[cell]), %[work]\n\t"
                                             "cmpq 16(%[cell]), %[work]\n\t"
                                             "jae %l[slow]\n\t"
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

/* Takes the topmost block; false if there is none, its mark does not name this stack, or the sequence was interrupted.
 * `used` is what its mark becomes. */
static inline bool hr_pool_pop_(uint32_t place, uintptr_t used, void **ret_block)
{
    void *block, *top;
    uintptr_t begin, mark;
    char *cell = hr_pool_cell_(place);
    uint64_t *gets = (uint64_t *)(void *)(cell + 48);
    __asm__ volatile goto(HR_SEQUENCE_BEGIN_ "ldar %[begin], [%[stop]]\n\t"
                                             "ldr %[top], [%[cell]]\n\t"
                                             "cmp %[top], %[begin]\n\t"
                                             "b.ls %l[slow]\n\t"
                                             "ldr %[work], [%[top], #-8]!\n\t"
                                             "ldur %[mark], [%[work], #-8]\n\t"
                                             "cmp %[mark], %[begin]\n\t"
                                             "b.ne %l[slow]\n\t"
                                             "stlr %[top], [%[cell]]\n" HR_SEQUENCE_END_
                          : [work] "=&r"(block), [top] "=&r"(top), [begin] "=&r"(begin), [mark] "=&r"(mark)
                          : [cell] "r"(cell), [stop] "r"(cell + 8), [rseq] "r"(hr_pool_rseq_())
                          : "memory", "cc"
                          : slow);
    __atomic_store_n(gets, __atomic_load_n(gets, __ATOMIC_RELAXED) + 1, __ATOMIC_RELAXED);
    if (!block)
        __builtin_unreachable();
    *hr_pool_mark_at_(hr_pool_address_(block) - sizeof(uintptr_t)) = used;
    *ret_block = block;
    return true;
slow:
    return false;
}

/* Puts a block on top whose mark the caller has set to the cell's beginning; false if there is no room, or if the
 * sequence was interrupted. */
static inline bool hr_pool_push_marked_(char *cell, void *block)
{
    void *work, *top;
    __asm__ volatile goto(HR_SEQUENCE_BEGIN_ "ldar %[work], [%[end]]\n\t"
                                             "ldr %[top], [%[cell]]\n\t"
                                             "cmp %[top], %[work]\n\t"
                                             "b.hs %l[slow]\n\t"
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

/* Puts a block that is of the pool; false if its mark says that no user has it, and as above. */
static inline bool hr_pool_push_(uint32_t place, uintptr_t used, hr_pool_mark_ *mark, void *block)
{
    if (__builtin_expect(*mark != used, 0))
        return false;
    char *cell = hr_pool_cell_(place);
    *mark = __atomic_load_n(hr_pool_mark_at_(hr_pool_address_(cell) + 8), __ATOMIC_ACQUIRE);
    if (hr_pool_push_marked_(cell, block))
        return true;
    *mark = used;
    return false;
}

static inline bool hr_pool_pop_any_(const void *pool, void **ret_block)
{
    return hr_pool_pop_(hr_pool_face_of_(pool)->get_place, hr_pool_used_(pool), ret_block);
}

/* The same for any address: false too if it is none of a pool's, or NULL. */
static inline bool hr_pool_push_any_(const void *pool, void *block)
{
    const struct hr_pool_face_ *face = hr_pool_face_of_(pool);
    uintptr_t at = hr_pool_address_(block) - sizeof(uintptr_t), piece = at >> HR_PIECE_SHIFT_;
    if (__builtin_expect(hr_pool_pieces_[piece & (HR_PIECES_ - 1)] != piece, 0))
        return false;
    return hr_pool_push_(face->put_place, hr_pool_used_(pool), hr_pool_mark_at_(at), block);
}

#endif

#ifdef __cplusplus
}
#endif

#endif
