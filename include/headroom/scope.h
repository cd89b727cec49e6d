/* SPDX-License-Identifier: Apache-2.0 */
/* Prompt release: what a scope takes, it gives back when it is left, by any path and exactly once.
 *
 *     HR_SCOPED_ALLOC char *line = hr_alloc(budget, 4096);         // hr_free()
 *     HR_SCOPED_CHARGE hr_charge held = hr_charge_make(budget, n); // hr_budget_uncharge(), if held.error is 0
 *     HR_SCOPED_TICKET hr_ticket ticket = {0};                     // hr_ticket_release()
 *     HR_DEFER(fclose, file);                                      // fclose(file)
 *
 * Releases run in reverse order at return, goto, break and the closing brace; with -fexceptions (which headroom's
 * pkg-config and CMake packages pass on) also when the thread is cancelled or exits, where the libc unwinds: glibc
 * does, musl does not. In C++ they run when an exception passes, too. GCC and Clang: this is their `cleanup` attribute.
 */
#ifndef HEADROOM_SCOPE_H
#define HEADROOM_SCOPE_H

#include <headroom/budget.h>
#include <headroom/relief.h>
#include <string.h>

/* Frees the block that this variable points to when its scope ends, unless HR_KEEP() took it out. */
#define HR_SCOPED_ALLOC __attribute__((cleanup(hr_scoped_free_), unused))

/* Uncharges this hr_charge when its scope ends. */
#define HR_SCOPED_CHARGE __attribute__((cleanup(hr_charge_release), unused))

/* Releases this hr_ticket when its scope ends. Give it = {0} where the scope can end before hr_admit(). */
#define HR_SCOPED_TICKET __attribute__((cleanup(hr_ticket_release), unused))

/* Bytes held for the length of a scope. */
typedef struct hr_charge {
    hr_budget *budget;
    uint64_t bytes;
    int error; /* 0: held; -EDQUOT: refused, nothing is held */
} hr_charge;

/* Charges for a scope: hr_budget_charge() with its result in `error`.
 *
 * undo     hr_charge_release(), or the end of a HR_SCOPED_CHARGE variable's scope
 */
static inline hr_charge hr_charge_make(hr_budget *budget, uint64_t bytes)
{
    hr_charge charge = {budget, bytes, hr_budget_charge(budget, bytes)};
    return charge;
}

/* Uncharges now what is held. Twice is harmless. */
static inline void hr_charge_release(hr_charge *charge)
{
    if (charge->error == 0 && charge->budget)
        hr_budget_uncharge(charge->budget, charge->bytes);
    charge->budget = NULL;
}

/* What HR_SCOPED_ALLOC calls: `variable` is the address of a pointer of any type. */
static inline void hr_scoped_free_(void *variable)
{
    void *block;
    memcpy(&block, variable, sizeof block);
    hr_free(block);
}

#define HR_JOIN_2_(a, b) a##b
#define HR_JOIN_(a, b) HR_JOIN_2_(a, b)

#ifdef __cplusplus

/* C++ has the same by RAII: HR_DEFER is an object whose destructor makes the call. */
template <class Argument> struct hr_deferred_ {
    void (*call)(Argument);
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
#define HR_DEFER(function, argument)                                                                                   \
    const hr_deferred_<decltype(argument)> HR_JOIN_(hr_deferred_, __COUNTER__) = {                                     \
        [](decltype(argument) hr_argument_) { (void)function(hr_argument_); }, argument}

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

/* Runs function(argument) at the end of the scope. The argument, a pointer or an integer, is read now; the function's
 * result is dropped. The sizeof makes the compiler check the call without making it. */
#define HR_DEFER(function, argument)                                                                                   \
    __attribute__((cleanup(hr_deferred_run_), unused)) hr_deferred_ HR_JOIN_(hr_deferred_at_, __COUNTER__) = {         \
        (void (*)(void *))(void (*)(void))(function),                                                                  \
        (void *)(intptr_t)(sizeof((function)(argument), 0) ? (intptr_t)(argument) : 0)}

#endif

#endif
