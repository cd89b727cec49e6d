/* SPDX-License-Identifier: Apache-2.0 */
/* Prompt release: what a scope takes, it gives back when it is left, by any path and exactly once.
 *
 *     HR_SCOPED_ALLOC char *line = hr_alloc(budget, 4096);                     // hr_free()
 *     HR_SCOPED_CHARGE hr_charge held = hr_charge_make(budget, n);             // hr_budget_uncharge() if it held
 *     HR_SCOPED_TICKET hr_ticket ticket = {0};                                 // hr_ticket_release()
 *     HR_SCOPED_BYTES hr_bytes buffer = hr_bytes_make(pool, size);             // hr_byte_pool_put() of buffer.data
 *     HR_SCOPED_OBJECT hr_object item = hr_object_make(pool);                  // hr_object_pool_put() of item.data
 *     HR_SCOPED_SLICE hr_slice list = hr_slice_make(pool);                     // hr_slice_pool_put()
 *     HR_SCOPED_CACHE_REF hr_cache_ref value = hr_cache_ref_make(cache, k, n); // hr_cache_release()
 *     HR_DEFER(fclose, file);                                                  // fclose(file)
 *
 * Releases run in reverse order at return, goto, break and the closing brace. With -fexceptions, which headroom's
 * pkg-config and CMake packages pass on, they also run when the thread is cancelled or exits, where the libc unwinds:
 * glibc does, musl does not. In C++ they run when an exception passes, too. GCC and Clang: this is their `cleanup`
 * attribute.
 *
 * A goto must not jump forward past one of these declarations into its scope: the release would run on a variable that
 * was never set. Clang and C++ refuse to compile such a jump; GCC warns of it with -Wjump-misses-init, which is worth
 * setting in C. Where one "out:" label ends a function, declare the variables at its top, set to NULL or {0}, and
 * assign them later. If it happens all the same, the forms that are structs give nothing back, since what they find is
 * not what their _make() made; HR_SCOPED_ALLOC and HR_DEFER cannot know.
 */
#ifndef HEADROOM_SCOPE_H
#define HEADROOM_SCOPE_H

#include <headroom/budget.h>
#include <headroom/cache.h>
#include <headroom/pool.h>
#include <headroom/relief.h>
#include <errno.h>
#include <string.h>

/* Frees the block that this variable points to when its scope ends, unless HR_KEEP() took it out. */
#define HR_SCOPED_ALLOC __attribute__((cleanup(hr_scoped_free_), unused))

/* Uncharges this hr_charge when its scope ends. */
#define HR_SCOPED_CHARGE __attribute__((cleanup(hr_charge_release), unused))

/* Releases this hr_ticket when its scope ends. Give it = {0} where the scope can end before hr_admit(). */
#define HR_SCOPED_TICKET __attribute__((cleanup(hr_ticket_release), unused))

/* Puts this hr_bytes, hr_object or hr_slice into its pool when its scope ends. HR_KEEP() of the member `data` takes a
 * buffer or an object out, which the caller puts then. A slice is more than its items: it is copied whole, and {0} is
 * left in the variable. The copy is put with hr_slice_pool_put(). */
#define HR_SCOPED_BYTES __attribute__((cleanup(hr_bytes_release), unused))
#define HR_SCOPED_OBJECT __attribute__((cleanup(hr_object_release), unused))
#define HR_SCOPED_SLICE __attribute__((cleanup(hr_slice_release), unused))

/* Gives this hr_cache_ref back when its scope ends. */
#define HR_SCOPED_CACHE_REF __attribute__((cleanup(hr_cache_ref_release), unused))

/* The mark that a _make() leaves in its struct: without it nothing is given back. */
static inline uintptr_t hr_scoped_seal_(const void *owner)
{
#ifdef __cplusplus
    return ~reinterpret_cast<uintptr_t>(owner);
#else
    return ~(uintptr_t)owner;
#endif
}

/* Is it there? Takes it away, also from the memory of a variable whose life ends now: the next one may lie there. */
static inline bool hr_scoped_unseal_(uintptr_t *seal, const void *owner)
{
    bool sealed = owner && *seal == hr_scoped_seal_(owner);
    *seal = 0;
    __asm__ volatile("" : : "r"(seal) : "memory");
    return sealed;
}

/* Bytes held for the length of a scope. */
typedef struct hr_charge {
    hr_budget *budget;
    uint64_t bytes;
    int error; /* 0: held; -EDQUOT: refused, nothing is held */
    uintptr_t seal_;
} hr_charge;

/* Charges for a scope: hr_budget_charge() with its result in `error`.
 *
 * undo     hr_charge_release(), or the end of a HR_SCOPED_CHARGE variable's scope
 */
static inline hr_charge hr_charge_make(hr_budget *budget, uint64_t bytes)
{
    hr_charge charge = {budget, bytes, hr_budget_charge(budget, bytes), hr_scoped_seal_(budget)};
    return charge;
}

/* Uncharges now what is held. Twice is harmless. */
static inline void hr_charge_release(hr_charge *charge)
{
    if (hr_scoped_unseal_(&charge->seal_, charge->budget) && charge->error == 0)
        hr_budget_uncharge(charge->budget, charge->bytes);
    charge->budget = NULL;
}

/* A buffer of a byte pool for the length of a scope. */
typedef struct hr_bytes {
    void *data; /* NULL: refused */
    size_t size;
    int error; /* 0; what errno says after hr_byte_pool_get(), negative */
    hr_byte_pool *pool;
    uintptr_t seal_;
} hr_bytes;

/* Gets a buffer: hr_byte_pool_get() with what it says in `error`.
 *
 * undo     hr_bytes_release(), or the end of a HR_SCOPED_BYTES variable's scope
 */
static inline hr_bytes hr_bytes_make(hr_byte_pool *pool, size_t size)
{
    void *data = hr_byte_pool_get(pool, size);
    hr_bytes bytes = {data, size, data ? 0 : -errno, pool, hr_scoped_seal_(pool)};
    return bytes;
}

/* Puts the buffer now. Twice is harmless. */
static inline void hr_bytes_release(hr_bytes *bytes)
{
    if (hr_scoped_unseal_(&bytes->seal_, bytes->pool))
        hr_byte_pool_put(bytes->pool, bytes->data);
    bytes->data = NULL;
}

/* An object of an object pool for the length of a scope. */
typedef struct hr_object {
    void *data; /* NULL: refused */
    int error;  /* 0; what errno says after hr_object_pool_get(), negative */
    hr_object_pool *pool;
    uintptr_t seal_;
} hr_object;

/* Gets an object: hr_object_pool_get() with what it says in `error`.
 *
 * undo     hr_object_release(), or the end of a HR_SCOPED_OBJECT variable's scope
 */
static inline hr_object hr_object_make(hr_object_pool *pool)
{
    void *data = hr_object_pool_get(pool);
    hr_object object = {data, data ? 0 : -errno, pool, hr_scoped_seal_(pool)};
    return object;
}

/* Puts the object now. Twice is harmless. */
static inline void hr_object_release(hr_object *object)
{
    if (hr_scoped_unseal_(&object->seal_, object->pool))
        hr_object_pool_put(object->pool, object->data);
    object->data = NULL;
}

/* Gets a slice for a scope; {0} with errno where hr_slice_pool_get() refuses. It is used as any other.
 *
 * undo     hr_slice_release(), or the end of a HR_SCOPED_SLICE variable's scope
 */
static inline hr_slice hr_slice_make(hr_slice_pool *pool)
{
    hr_slice slice = {NULL, 0, 0, NULL, 0};
    int error = hr_slice_pool_get(pool, &slice);
    if (error)
        errno = -error;
    slice.seal_ = hr_scoped_seal_(slice.pool_);
    return slice;
}

/* Puts the slice now. Twice is harmless. */
static inline void hr_slice_release(hr_slice *slice)
{
    if (hr_scoped_unseal_(&slice->seal_, slice->pool_) && slice->data)
        hr_slice_pool_put(slice->pool_, slice);
    slice->data = NULL;
}

/* Borrows a value of a cache for a scope; {0} with errno where hr_cache_get() finds none, such as ENOENT.
 *
 * undo     hr_cache_ref_release(), or the end of a HR_SCOPED_CACHE_REF variable's scope
 */
static inline hr_cache_ref hr_cache_ref_make(hr_cache *cache, const void *key, size_t key_size)
{
    hr_cache_ref ref = {NULL, 0, NULL, NULL, 0};
    int error = hr_cache_get(cache, key, key_size, &ref);
    if (error) {
        errno = -error;
        return ref;
    }
    ref.cache_ = cache;
    ref.seal_ = hr_scoped_seal_(cache);
    return ref;
}

/* Gives the value back now. Twice is harmless. */
static inline void hr_cache_ref_release(hr_cache_ref *ref)
{
    if (hr_scoped_unseal_(&ref->seal_, ref->cache_))
        hr_cache_release(ref->cache_, ref);
    ref->data = NULL;
}

/* The function that HR_SCOPED_ALLOC calls: `variable` is the address of a pointer of any type. */
static inline void hr_scoped_free_(void *variable)
{
    void *block;
    memcpy(&block, variable, sizeof block);
    memset(variable, 0, sizeof block);
    __asm__ volatile("" : : "r"(variable) : "memory");
    hr_free(block);
}

#define HR_JOIN_2_(a, b) a##b
#define HR_JOIN_(a, b) HR_JOIN_2_(a, b)

#ifdef __cplusplus

/* C++ has the same by RAII: HR_DEFER is an object whose destructor makes the call. */
template <class Call, class Argument> struct hr_deferred_ {
    Call call;
    Argument argument;
    ~hr_deferred_()
    {
        call(argument);
    }
};

template <class Pointer> inline Pointer hr_keep_(Pointer &variable)
{
    Pointer kept = variable;
    variable = nullptr;
    return kept;
}

#define HR_KEEP(block) hr_keep_(block)
#define HR_DEFER(function, argument) HR_DEFER_AS_(__COUNTER__, function, argument)
#define HR_DEFER_AS_(number, function, argument)                                                                       \
    const auto HR_JOIN_(hr_call_, number) = [&](decltype(argument) hr_argument_) { (void)function(hr_argument_); };    \
    const hr_deferred_<decltype(HR_JOIN_(hr_call_, number)), decltype(argument)> HR_JOIN_(hr_deferred_, number) = {    \
        HR_JOIN_(hr_call_, number), argument}

#else

/* A call to be made: any function of one pointer or integer, kept as the types that all of them are passed as. */
typedef struct hr_deferred_ {
    void (*function)(void *);
    void *argument;
} hr_deferred_;

static inline void hr_deferred_run_(hr_deferred_ *deferred)
{
    deferred->function(deferred->argument);
}

/* Takes a block out of its HR_SCOPED_ALLOC variable: the caller frees it from now on.
 *
 * returns  the block
 */
#define HR_KEEP(block)                                                                                                 \
    (__extension__({                                                                                                   \
        __auto_type hr_kept_ = (block);                                                                                \
        (block) = NULL;                                                                                                \
        hr_kept_;                                                                                                      \
    }))

/* Does a call with such an argument compile, where it may be a pointer or an integer? Both are passed as a pointer is.
 * So a function of a floating number or of a struct is an error, and so is an argument of another type than its own. */
#define HR_DEFER_CHECK_(function, argument)                                                                            \
    _Pragma("GCC diagnostic push") _Pragma("GCC diagnostic ignored \"-Wint-conversion\"") _Static_assert(              \
        sizeof(((function)((void *)0), 0)) > 0, "a function of a pointer or an integer");                              \
    _Pragma("GCC diagnostic error \"-Wint-conversion\"")                                                               \
        _Pragma("GCC diagnostic error \"-Wincompatible-pointer-types\"") _Static_assert(                               \
            _Generic((argument), float : 0, double : 0, long double : 0, default : 1) &&                               \
                sizeof((function)(argument), 0),                                                                       \
            "a pointer or an integer");                                                                                \
    _Pragma("GCC diagnostic pop")

/* Runs function(argument) at the end of the scope. The argument, a pointer or an integer, is read now; the function's
 * result is dropped. */
#define HR_DEFER(function, argument)                                                                                   \
    HR_DEFER_CHECK_(function, argument)                                                                                \
    __attribute__((cleanup(hr_deferred_run_), unused)) hr_deferred_ HR_JOIN_(hr_deferred_at_, __COUNTER__) = {         \
        (void (*)(void *))(void (*)(void))(function), (void *)(intptr_t)(argument)}

#endif

#endif
