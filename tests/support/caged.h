/* SPDX-License-Identifier: Apache-2.0 */
/* The common part of tests that run functions in a cgroup with a limit. */
#ifndef HRT_SUPPORT_CAGED_H
#define HRT_SUPPORT_CAGED_H

#include "support/cgroup.h"
#include "support/cmocka.h"

#include <stdlib.h>
#include <sys/wait.h>

/* A group's set-up: skips all of it, with the reason, where no cgroup can be made. */
static inline int hrt_caged_set_up(void **state)
{
    (void)state;
    char reason[HRT_REASON];
    if (!hrt_cgroup_available(reason)) {
        print_message("skipped: %s\n", reason);
        exit(77);
    }
    return 0;
}

/* Runs a function in a group with a limit in bytes; gives its wait status and how many the kernel killed. */
static inline int hrt_caged_run(const char *name, uint64_t limit_bytes, hrt_cgroup_function *function,
                                uint64_t *ret_kills)
{
    hrt_cgroup group;
    assert_int_equal(hrt_cgroup_new(name, limit_bytes, &group), 0);
    int status = hrt_cgroup_run(&group, function, NULL);
    *ret_kills = hrt_cgroup_oom_kills(&group);
    hrt_cgroup_free(&group);
    return status;
}

/* It comes to its end, with nothing to complain of. */
static inline void hrt_caged_survives(const char *name, uint64_t limit_bytes, hrt_cgroup_function *function)
{
    uint64_t kills;
    int status = hrt_caged_run(name, limit_bytes, function, &kills);
    assert_int_equal(kills, 0);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
}

/* For such a function: says what does not hold, and ends it. */
#define HRT_CAGED_CHECK(condition)                                                                                     \
    do {                                                                                                               \
        if (!(condition)) {                                                                                            \
            print_error("%s:%d: %s\n", __FILE__, __LINE__, #condition);                                                \
            return 1;                                                                                                  \
        }                                                                                                              \
    } while (0)

#endif
