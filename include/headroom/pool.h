/* SPDX-License-Identifier: Apache-2.0 */
/* Pools: memory that is used again, and knows its budget.
 *
 *     hr_byte_pool *buffers;
 *     int error = hr_byte_pool_new(guard, &(hr_byte_pool_options){.name = "buffers", .size_bytes = 65536}, &buffers);
 *     void *buffer = hr_byte_pool_get(buffers, 65536);   // NULL with errno EDQUOT: the budget refused, after relief
 *     hr_byte_pool_put(buffers, buffer);                 // any thread may
 *
 * A *byte pool* hands out buffers of one size, or of sizes between a minimum and a maximum. An *object pool* hands out
 * objects that are constructed once and reset each time they come back, before the next user can see them. A *slice
 * pool* hands out arrays that grow.
 *
 * Every block is charged to the pool's budget from when it is first handed out until its memory goes back to the
 * kernel. Blocks that wait in the pool are idle. (Threads' stacks of idle blocks are charged too, some hundred bytes to
 * 4 KiB each. They are in no figure except the budget's. A trim frees them, and counts their bytes in its result.) When
 * any charge of the guard is short, idle blocks go first. The guard drains every pool, and the stacks of other threads,
 * before anything is refused. When the level becomes warning, pools free half of their idle blocks. At each later
 * sample of the guard they free the blocks that were not needed since the sample before: of its monitor, or by
 * hr_guard_check() where none runs. From degraded on they free all
 * idle blocks. Otherwise the janitor frees the blocks that were not needed since its last visit.
 *
 * Getting and putting take some nanoseconds. They are `static inline` here where restartable sequences can be used:
 * glibc from 2.35 on, x86-64 or arm64, GCC 11 or clang. Otherwise they are calls, as they are without optimization, or
 * where HR_NO_INLINE is defined. The functions of the same names exist in any case, for other languages. Pools of many
 * sizes, and slices, are always called; that takes no lock either. None of this is for signal handlers. Locks are taken
 * where a thread's own stack of idle blocks is empty, full or absent, and the interrupted code may hold them.
 *
 * A block is with one user. A put of a block that no user has is refused: one that was put before, one of another pool,
 * or any other address, whose memory is not looked at. It is a fault, counted for the pool (hr_pool_figures.faults) and
 * for the process (hr_figures.faults), and debug builds of the library abort. Each block has a word of the library's in
 * front of it or elsewhere, which says whether a user has the block. All builds look at it in each put and each get.
 * Two cases cannot be seen: a second put after another user got the block, and a program that writes over the word.
 * Where two threads put a block in the same instant, both puts may be accepted; the fault is counted later, and the
 * block is handed out once. The use of a pool that was freed is a fault too. It is not seen in a thread that uses the
 * pool while it is freed, or once the handle is a new pool's, which it never is in debug builds. AddressSanitizer and
 * Valgrind see blocks in the pool as freed; Valgrind also says who put them, and that what is in a new buffer is not
 * defined.
 */
#ifndef HEADROOM_POOL_H
#define HEADROOM_POOL_H

#include <headroom/base.h>
#include <headroom/pool_inline.h>

#ifdef __cplusplus
extern "C" {
#endif

/* A pool's figures, all at one instant: reading drains what threads have in hand. */
typedef struct hr_pool_figures {
    uint64_t in_use;       /* blocks that users have */
    uint64_t idle;         /* blocks that wait in the pool */
    uint64_t in_use_bytes; /* what they take, charged */
    uint64_t idle_bytes;   /* the same; can be given back at once, except for what shares a page with blocks in use */
    uint64_t peak_bytes;   /* the most that both were together */
    uint64_t hits;         /* blocks that were handed out again */
    uint64_t misses;       /* blocks that had to be made, without `unpooled` ones */
    uint64_t trimmed;      /* blocks whose memory went back to the kernel */
    uint64_t refused;      /* gets that the budget, the machine or `construct` refused */
    uint64_t unpooled; /* blocks larger than the pool's that were ever handed out; those that are out are in in_use */
    uint64_t faults;   /* puts that were refused: of a block that no user had, or of what is no block of the pool */
} hr_pool_figures;

/* ── bytes ──────────────────────────────────────────────────────────────────────────────────────────────────────── */

typedef struct hr_byte_pool hr_byte_pool;

/* Either size_bytes, or min_bytes and max_bytes: then sizes grow by a quarter of a power of two from one to the
 * other. */
typedef struct hr_byte_pool_options {
    const char *name;  /* for reports; copied; default "bytes" */
    hr_budget *budget; /* who pays; NULL: the root */
    size_t size_bytes; /* each buffer; at most 1 TiB */
    size_t min_bytes;  /* the smallest class */
    size_t max_bytes;  /* the largest; at most 1 TiB */
    bool wipe;         /* overwrite with zeros what comes back */
} hr_byte_pool_options;

/* Makes a pool without buffers.
 *
 * returns  0; -EINVAL without a size, with both kinds, for one beyond 1 TiB, or for a budget of another guard; -ENOMEM;
 *          -EDQUOT
 * threads  any
 * memory   allocates
 * undo     hr_byte_pool_free()
 */
HR_API HR_MUST_CHECK int hr_byte_pool_new(hr_guard *guard, const hr_byte_pool_options *options,
                                          hr_byte_pool **ret_pool);

/* Gives a buffer of at least `size` bytes, whose contents are not defined. More than the pool's largest size is served
 * as by hr_alloc(), charged and counted.
 *
 * returns  the buffer; NULL with errno EDQUOT (refused after relief), ENOMEM, or EINVAL without a pool
 * threads  any
 * memory   may map; may run reclaimers
 * undo     hr_byte_pool_put()
 */
HR_INLINE_API HR_MUST_CHECK void *hr_byte_pool_get(hr_byte_pool *pool, size_t size);

/* Takes a buffer back. NULL is fine, and nothing happens without a pool.
 *
 * threads  any, also another one than got it
 */
HR_INLINE_API void hr_byte_pool_put(hr_byte_pool *pool, void *block);

/* Frees a pool with all that is idle. NULL is fine.
 *
 * returns  0; -EBUSY while buffers are out (hr_byte_pool_read() says how many): nothing is freed then
 * threads  any, as the last user
 */
HR_API int hr_byte_pool_free(hr_byte_pool *pool);

/* Gives what is idle back to the kernel, also what other threads have in hand: all but what shares a page with blocks
 * in use.
 *
 * returns  bytes given back and uncharged
 * threads  any
 * memory   never allocates
 */
HR_API uint64_t hr_byte_pool_trim(hr_byte_pool *pool);

/* Reads the figures.
 *
 * returns  0; -EINVAL
 * threads  any
 */
HR_API int hr_byte_pool_read(hr_byte_pool *pool, hr_pool_figures *ret_figures);

/* ── objects ────────────────────────────────────────────────────────────────────────────────────────────────────── */

typedef struct hr_object_pool hr_object_pool;

typedef struct hr_object_pool_options {
    const char *name;  /* for reports; copied; default "objects" */
    hr_budget *budget; /* who pays; NULL: the root */
    size_t size;       /* of an object, in bytes; at most 1 GiB */
    size_t align;      /* a power of two up to a page; 0: for any type */
    int (*construct)(void *object,
                     void *context); /* once, when the object is made of zeros; a negative errno refuses it, and so
                                       does a positive result, as -EINVAL */
    void (*reset)(void *object, void *context);   /* each time it comes back */
    void (*destroy)(void *object, void *context); /* before its memory goes back */
    void *context;                                /* for the three */
    bool wipe; /* overwrite with zeros what comes back; not together with construct */
} hr_object_pool_options;

/* Makes a pool without objects. Its callbacks run with no lock held, on the thread that gets, puts or trims. When idle
 * objects are freed, destroy() also runs on the guard's monitor, and on any thread whose charge is short or finds a new
 * level. They may use the library, but not free their own pool.
 *
 * returns  0; -EINVAL without a size or beyond 1 GiB, for a strange alignment, or a budget of another guard; -ENOMEM;
 *          -EDQUOT
 * threads  any
 * memory   allocates
 * undo     hr_object_pool_free()
 */
HR_API HR_MUST_CHECK int hr_object_pool_new(hr_guard *guard, const hr_object_pool_options *options,
                                            hr_object_pool **ret_pool);

/* Gives an object: constructed, and as reset() left it.
 *
 * returns  the object; NULL with errno EDQUOT (refused after relief), ENOMEM, EINVAL without a pool, or what
 *          construct() said
 * threads  any
 * memory   may map; may run reclaimers
 * undo     hr_object_pool_put()
 */
HR_INLINE_API HR_MUST_CHECK void *hr_object_pool_get(hr_object_pool *pool);

/* Takes an object back, and resets it before anybody else can get it: once, even where it is put twice. NULL is fine.
 *
 * threads  any, also another one than got it
 */
HR_INLINE_API void hr_object_pool_put(hr_object_pool *pool, void *object);

/* Frees a pool with all that is idle. NULL is fine.
 *
 * returns  0; -EBUSY while objects are out (hr_object_pool_read() says how many): nothing is freed then
 * threads  any, as the last user
 */
HR_API int hr_object_pool_free(hr_object_pool *pool);

/* Gives what is idle back to the kernel, also what other threads have in hand: all but what shares a page with objects
 * in use. Destroys it first.
 *
 * returns  bytes given back and uncharged
 * threads  any
 * memory   never allocates
 */
HR_API uint64_t hr_object_pool_trim(hr_object_pool *pool);

/* Reads the figures.
 *
 * returns  0; -EINVAL
 * threads  any
 */
HR_API int hr_object_pool_read(hr_object_pool *pool, hr_pool_figures *ret_figures);

/* ── slices ─────────────────────────────────────────────────────────────────────────────────────────────────────── */

typedef struct hr_slice_pool hr_slice_pool;

typedef struct hr_slice_pool_options {
    const char *name;  /* for reports; copied; default "slices" */
    hr_budget *budget; /* who pays; NULL: the root */
    size_t item_size;  /* bytes; `pooled_max` of them are at most 1 TiB */
    size_t capacity;   /* items that a new slice has room for; default 16 */
    size_t pooled_max; /* items; slices that have grown beyond come as by hr_alloc(); default 64 times the capacity */
    bool wipe; /* slices are zeros at first, and again when they come back: nobody finds another's items beyond his
                 length */
} hr_slice_pool_options;

/* An array that grows. {0} is none. */
typedef struct hr_slice {
    void *data;           /* the items; moves when it grows */
    size_t length;        /* items that are there */
    size_t capacity;      /* items that there is room for */
    hr_slice_pool *pool_; /* the library's, from here on */
    uintptr_t seal_;      /* scope.h */
} hr_slice;

/* Makes a pool without slices.
 *
 * returns  0; -EINVAL without an item_size, where sizes overflow or pooled_max is below the capacity, or for a budget
 *          of another guard; -ENOMEM; -EDQUOT
 * threads  any
 * memory   allocates
 * undo     hr_slice_pool_free()
 */
HR_API HR_MUST_CHECK int hr_slice_pool_new(hr_guard *guard, const hr_slice_pool_options *options,
                                           hr_slice_pool **ret_pool);

/* Gives an empty slice.
 *
 * returns  0; -EDQUOT (refused after relief), -ENOMEM, -EINVAL
 * threads  any
 * undo     hr_slice_pool_put()
 */
HR_API HR_MUST_CHECK int hr_slice_pool_get(hr_slice_pool *pool, hr_slice *ret_slice);

/* Takes a slice back, whatever it has grown to: its array goes where arrays of its size are. The slice is {0} then;
 * twice is harmless, and so is NULL.
 *
 * threads  any
 */
HR_API void hr_slice_pool_put(hr_slice_pool *pool, hr_slice *slice);

/* Adds a copy of `item` at the end; it may be an item of the slice itself. Where there is no room the slice grows to
 * twice its capacity: charged before it is made.
 *
 * returns  0; -EDQUOT, -ENOMEM: the slice is as it was; -EINVAL for NULL or a slice of no pool
 * threads  one at a time a slice
 */
HR_API HR_MUST_CHECK int hr_slice_push(hr_slice *slice, const void *item);

/* Makes room for `capacity` items.
 *
 * returns  0; -EDQUOT, -ENOMEM: the slice is as it was; -EINVAL for NULL or a slice of no pool
 * threads  one at a time a slice
 */
HR_API HR_MUST_CHECK int hr_slice_reserve(hr_slice *slice, size_t capacity);

/* Frees a pool with all that is idle. NULL is fine.
 *
 * returns  0; -EBUSY while slices are out (hr_slice_pool_read() says how many): nothing is freed then
 * threads  any, as the last user
 */
HR_API int hr_slice_pool_free(hr_slice_pool *pool);

/* Gives what is idle back to the kernel, also what other threads have in hand: all but what shares a page with blocks
 * in use.
 *
 * returns  bytes given back and uncharged
 * threads  any
 * memory   never allocates
 */
HR_API uint64_t hr_slice_pool_trim(hr_slice_pool *pool);

/* Reads the figures: blocks are arrays.
 *
 * returns  0; -EINVAL
 * threads  any
 */
HR_API int hr_slice_pool_read(hr_slice_pool *pool, hr_pool_figures *ret_figures);

/* ── the inline faces ───────────────────────────────────────────────────────────────────────────────────────────── */

HR_API void *hr_byte_pool_get_slowly_(hr_byte_pool *pool, size_t size);
HR_API void hr_byte_pool_put_slowly_(hr_byte_pool *pool, void *block);
HR_API void *hr_object_pool_get_slowly_(hr_object_pool *pool);
HR_API void hr_object_pool_put_slowly_(hr_object_pool *pool, void *object);

#ifdef HR_POOL_FACE_INLINE_

/* As declared above: with this thread's magazine, where that can serve it. */
static inline void *hr_byte_pool_get(hr_byte_pool *pool, size_t size)
{
    void *block;
    if (pool && size <= hr_pool_face_of_(pool)->size_bytes && hr_pool_pop_any_(pool, &block))
        return block;
    return hr_byte_pool_get_slowly_(pool, size);
}

/* As declared above: with this thread's magazine, where that can serve it. */
static inline void hr_byte_pool_put(hr_byte_pool *pool, void *block)
{
    if (!pool || !hr_pool_push_any_(pool, block))
        hr_byte_pool_put_slowly_(pool, block);
}

/* As declared above: with this thread's magazine, where that can serve it. */
static inline void *hr_object_pool_get(hr_object_pool *pool)
{
    void *object;
    return pool && hr_pool_pop_any_(pool, &object) ? object : hr_object_pool_get_slowly_(pool);
}

/* As declared above: with this thread's magazine, where that can serve it. */
static inline void hr_object_pool_put(hr_object_pool *pool, void *object)
{
    if (!pool || !hr_pool_push_any_(pool, object))
        hr_object_pool_put_slowly_(pool, object);
}

#endif

#ifndef HR_NO_SIZES_ /* see base.h */

HR_SIZED_ int hr_byte_pool_new(hr_guard *guard, const hr_byte_pool_options *options, hr_byte_pool **ret_pool)
{
    return hr_sized_(HR_SIZED_BYTE_POOL_NEW_, guard, options, ret_pool, HR_SIZES_(sizeof *options, 0));
}

HR_SIZED_ int hr_byte_pool_read(hr_byte_pool *pool, hr_pool_figures *ret_figures)
{
    return hr_sized_(HR_SIZED_BYTE_POOL_READ_, pool, NULL, ret_figures, HR_SIZES_(0, sizeof *ret_figures));
}

HR_SIZED_ int hr_object_pool_new(hr_guard *guard, const hr_object_pool_options *options, hr_object_pool **ret_pool)
{
    return hr_sized_(HR_SIZED_OBJECT_POOL_NEW_, guard, options, ret_pool, HR_SIZES_(sizeof *options, 0));
}

HR_SIZED_ int hr_object_pool_read(hr_object_pool *pool, hr_pool_figures *ret_figures)
{
    return hr_sized_(HR_SIZED_OBJECT_POOL_READ_, pool, NULL, ret_figures, HR_SIZES_(0, sizeof *ret_figures));
}

HR_SIZED_ int hr_slice_pool_new(hr_guard *guard, const hr_slice_pool_options *options, hr_slice_pool **ret_pool)
{
    return hr_sized_(HR_SIZED_SLICE_POOL_NEW_, guard, options, ret_pool, HR_SIZES_(sizeof *options, 0));
}

HR_SIZED_ int hr_slice_pool_read(hr_slice_pool *pool, hr_pool_figures *ret_figures)
{
    return hr_sized_(HR_SIZED_SLICE_POOL_READ_, pool, NULL, ret_figures, HR_SIZES_(0, sizeof *ret_figures));
}

#endif

#ifdef __cplusplus
}
#endif

#endif
