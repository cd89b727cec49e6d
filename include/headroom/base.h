/* SPDX-License-Identifier: Apache-2.0 */
/* The words that every headroom header shares: levels, "none", sizes as people write them, the version.
 *
 * Results are 0 or a negative errno: -EDQUOT when a limit of ours refused, -ENOMEM when the machine did.
 * Bytes are uint64_t in accounts and size_t for one allocation. Times are int64_t nanoseconds, ratios are
 * doubles from 0 to 1. Outputs come last, are called ret_…, and are untouched on failure unless their
 * comment says "always written". Names given to the library are copied.
 *
 * NULL: every call answers it and none crashes. Without something that it needs a call does nothing: it returns
 * -EINVAL, or NULL with errno EINVAL where it gives memory, 0 where it counts bytes; what takes something back or frees
 * it accepts NULL. A comment says where it is otherwise. Options may be NULL where all defaults make sense.
 *
 * Cancellation: a thread may be cancelled (pthread_cancel(), deferred) while it is in the library. Three calls are
 * cancellation points, and leave nothing behind: hr_budget_charge_wait() while it sleeps (what was granted meanwhile is
 * given back), hr_guard_wait(), and hr_reader_read() where read() is one. No other call is: it ends first, whatever it
 * has to wait for, and what it calls back runs with cancellation disabled (a custom reader outside of a stream does
 * not). A callback has to return: never by pthread_exit(), longjmp() or a C++ exception. An exit that passes through
 * the library leaves its unfinished work behind: memory charged, threads running, locks held, cancellation disabled.
 */
#ifndef HEADROOM_BASE_H
#define HEADROOM_BASE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define HR_VERSION_MAJOR 0
#define HR_VERSION_MINOR 1
#define HR_VERSION_PATCH 0

#define HR_API __attribute__((visibility("default")))
#define HR_MUST_CHECK __attribute__((warn_unused_result))

/* In a count of bytes: "no limit", or "none of it" where zero means the default. */
#define HR_NONE UINT64_MAX

#ifdef __cplusplus
extern "C" {
#endif

typedef struct hr_guard hr_guard;
typedef struct hr_budget hr_budget;

/* How short memory is. The order is part of the contract: a higher value is a worse level. */
typedef enum hr_level {
    HR_NORMAL,   /* everything is served */
    HR_WARNING,  /* caches stop growing half way to degraded */
    HR_DEGRADED, /* relief runs, large requests are refused */
    HR_CRITICAL, /* new requests are refused, the reserve is dropped */
} hr_level;

/* Names a level: "normal", "warning", "degraded", "critical".
 *
 * returns  a constant string; "unknown" for any other value
 * threads  any, signal handlers too
 */
HR_API const char *hr_level_text(hr_level level);

/* Names the version of the library that is loaded, such as "0.1.0".
 *
 * returns  a constant string
 * threads  any, signal handlers too
 */
HR_API const char *hr_version(void);

/* Reads a size as people write it: "512MiB", "1.5G", "65536", "none".
 *
 * A number with an optional fraction, then nothing, B, or K, M, G, T, P, E with or without iB or B: all are powers
 * of 1024, as the kernel and container runtimes read them. Case and spaces around the parts do not matter.
 * "none" and "unlimited" give HR_NONE.
 *
 * returns  0; -EINVAL if the text is no size, -ERANGE if it does not fit below HR_NONE
 * threads  any
 * memory   never allocates
 */
HR_API HR_MUST_CHECK int hr_size_parse(const char *text, uint64_t *ret_bytes);

/* Writes a size for people: "100.0 MiB", "512 B", "none". Always terminated; 16 bytes are enough for any value.
 *
 * returns  `buffer`, even where it is NULL
 * threads  any
 * memory   never allocates
 */
HR_API char *hr_size_format(uint64_t bytes, char *buffer, size_t size);

/* Takes a sentence for the person who runs the program: one line, without a full stop. */
typedef void hr_message_fn(void *context, const char *sentence);

/* Sets for the whole process where such sentences go. There is one kind so far: a value of an environment variable of
 * ours is none that it can have, and hr_guard_new() answers -EINVAL, which alone would not say which and why. With
 * NULL, as from the start, a sentence is written to standard error, once; everything else the library leaves to its
 * results.
 *
 * threads  any; `take` is called on the thread that makes the guard, with no lock held
 * memory   never allocates
 */
HR_API void hr_message_set(hr_message_fn *take, void *context);

#ifdef __cplusplus
}
#endif

#endif
