/* SPDX-License-Identifier: Apache-2.0 */
/* A memory cgroup of our own, to be short of memory in for real.
 *
 *     char reason[HRT_REASON];
 *     if (!hrt_cgroup_available(reason)) {
 *         print_message("no cgroup: %s\n", reason);
 *         skip();
 *     }
 *     hrt_cgroup group;
 *     assert_int_equal(hrt_cgroup_new("hog", 32 << 20, &group), 0);
 *     int status = hrt_cgroup_run(&group, hog, NULL);      // in a forked child, inside
 *     assert_true(WIFSIGNALED(status));
 *     hrt_cgroup_free(&group);
 *
 * v1 or v2, whichever has the memory controller here. Groups that others made are left alone: ours stand under the
 * mount's root, or where that is not permitted under the group that we are in.
 */
#ifndef HRT_SUPPORT_CGROUP_H
#define HRT_SUPPORT_CGROUP_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#define HRT_REASON 256
#define HRT_CGROUP_PATH 4096

/* The exit status that hrt_cgroup_run() and hrt_cgroup_start() give a child that could not enter. */
#define HRT_CGROUP_NOT_ENTERED 125

typedef struct hrt_cgroup {
    int version; /* 1 or 2 */
    char path[HRT_CGROUP_PATH];
} hrt_cgroup;

/* Runs in the child; what it returns is the child's exit status. */
typedef int hrt_cgroup_function(void *context);

/* Says whether cgroups can be made here, by making one; if not, why, in `reason` (HRT_REASON bytes). */
bool hrt_cgroup_available(char *reason);

/* Makes a group with a limit (UINT64_MAX: none) and no swap. `name` need not be unique.
 *
 * returns  0 or a negative errno
 * undo     hrt_cgroup_free()
 */
int hrt_cgroup_new(const char *name, uint64_t limit_bytes, hrt_cgroup *ret_group);

/* Makes a group inside another one. On v2 `parent` must hold no process, then or later.
 *
 * undo     hrt_cgroup_free(), before the parent's
 */
int hrt_cgroup_new_inside(const hrt_cgroup *parent, const char *name, uint64_t limit_bytes, hrt_cgroup *ret_group);

int hrt_cgroup_set_limit(const hrt_cgroup *group, uint64_t limit_bytes);

/* Forks a child that enters the group and runs `function`.
 *
 * returns  its pid, for waitpid(); or a negative errno
 */
pid_t hrt_cgroup_start(const hrt_cgroup *group, hrt_cgroup_function *function, void *context);

/* As hrt_cgroup_start(), and waits for the child's end.
 *
 * returns  its wait status; or a negative errno
 */
int hrt_cgroup_run(const hrt_cgroup *group, hrt_cgroup_function *function, void *context);

/* Use, with page cache, as the kernel counts it; and the processes that it killed. UINT64_MAX if it does not say. */
uint64_t hrt_cgroup_usage(const hrt_cgroup *group);
uint64_t hrt_cgroup_oom_kills(const hrt_cgroup *group);

/* Kills what is left in the group and removes it. */
void hrt_cgroup_free(hrt_cgroup *group);

#endif
