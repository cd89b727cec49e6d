/* SPDX-License-Identifier: Apache-2.0 */
/* The words that every headroom header shares: levels, "none", sizes as people write them, the version.
 *
 * Results are 0 or a negative errno: -EDQUOT when a limit of ours refused, -ENOMEM when the machine did.
 * Bytes are uint64_t in accounts and size_t for one allocation. Times are int64_t nanoseconds, ratios are
 * doubles from 0 to 1. Outputs come last, are called ret_…, and are untouched on failure unless their
 * comment says "always written". Names given to the library are copied.
 *
 * NULL: every call answers it and none crashes. Without something that it needs a call does nothing. It returns
 * -EINVAL, or NULL with errno EINVAL where it gives memory, or 0 where it counts bytes. A call that takes something
 * back or frees it accepts NULL. A comment says where it is otherwise. Options may be NULL where all defaults make
 * sense.
 *
 * Cancellation: a thread may be cancelled (pthread_cancel(), deferred) while it is in the library. Three calls are
 * cancellation points, and leave nothing behind: hr_budget_charge_wait() while it sleeps (what was granted meanwhile is
 * given back), hr_guard_wait(), and hr_reader_read() where read() is one. No other call is: it ends first, whatever it
 * has to wait for. Callbacks run with cancellation disabled, except for a custom reader outside of a stream. A callback
 * has to return: never by pthread_exit(), longjmp() or a C++ exception. An exit that passes through the library leaves
 * its unfinished work behind: memory charged, threads running, locks held, cancellation disabled.
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

/* Options and results grow at their end, and a program may be older or newer than the library that is loaded. So the
 * calls that take or fill one say how large it was when the program was compiled. The functions of these names in the
 * headers are inline, and call this one, which fills no more. A library that is older than the program fills the fields
 * that it does not know with zeros. It answers -E2BIG to an option that it does not know and that is not zero.
 *
 * The exported functions of the same names stay for other languages, and take structs as this library has them. Structs
 * of which programs have arrays (hr_record) do not grow, nor do those that the library and the program both use
 * (hr_ticket). A new call with a new struct takes their place.
 *
 * The numbers stay what they are. With HR_NO_SIZES_, as in the library itself, there are no inline functions. */
enum {
    HR_SIZED_GUARD_NEW_ = 1,
    HR_SIZED_GUARD_READ_ = 2,
    HR_SIZED_GUARD_THRESHOLDS_ = 3,
    HR_SIZED_BUDGET_READ_ = 4,
    HR_SIZED_BUDGET_REFUSAL_ = 5,
    HR_SIZED_BYTE_POOL_NEW_ = 6,
    HR_SIZED_BYTE_POOL_READ_ = 7,
    HR_SIZED_OBJECT_POOL_NEW_ = 8,
    HR_SIZED_OBJECT_POOL_READ_ = 9,
    HR_SIZED_SLICE_POOL_NEW_ = 10,
    HR_SIZED_SLICE_POOL_READ_ = 11,
    HR_SIZED_CACHE_NEW_ = 12,
    HR_SIZED_CACHE_READ_ = 13,
    HR_SIZED_STREAM_RUN_ = 14,
    HR_SIZED_STREAM_NEW_ = 15,
    HR_SIZED_STREAM_CONTINUE_ = 16,
    HR_SIZED_BATCH_NEW_ = 17,
    HR_SIZED_BATCH_READ_ = 18,
    HR_SIZED_HISTORY_FILE_READ_ = 19,
    HR_SIZED_TREND_READ_ = 20,
    HR_SIZED_PAGE_READ_PARTS_ = 21,
    HR_SIZED_SURVEY_NEW_ = 22,
};

HR_API int hr_sized_(unsigned call, void *object, const void *in, void *out, uint64_t sizes);

/* The sizes of `in` and `out`; 0 for an `out` that does not grow. */
#define HR_SIZES_(in_bytes, out_bytes) (UINT64_C(1) * (in_bytes) << 32 | (out_bytes))

#define HR_SIZED_ extern inline __attribute__((always_inline, gnu_inline, artificial))

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
 * A number with an optional fraction, then nothing, B, or K, M, G, T, P, E with or without i, iB or B. All are powers
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

/* Sets for the whole process where such sentences go. There is one kind so far. hr_guard_new() answers -EINVAL for an
 * environment variable of ours or for its options, and the sentence says which of them is wrong, and why. With NULL, as
 * from the start, a sentence is written to standard error, once. The library writes nothing else.
 *
 * threads  any; `take` is called on the thread that makes the guard, with no lock held
 * memory   never allocates
 */
HR_API void hr_message_set(hr_message_fn *take, void *context);

#ifdef __cplusplus
}
#endif

#endif
