/* SPDX-License-Identifier: Apache-2.0 */
/* headroom limit --set: gives what `headroom run` watches another limit. */
#include "cli.h"
#include "run/run.h"

#include <errno.h>
#include <string.h>

int limit_set(int pid, uint64_t limit_bytes, char *answer, size_t size)
{
    int error = run_control_set(pid, limit_bytes, answer, size);
    if (error == -ERANGE)
        fprintf(stderr, "headroom limit: %s\n", answer);
    else if (error == -ESRCH)
        fprintf(stderr, "headroom limit: no 'headroom run' watches process %d\n", pid);
    else if (error == -EPERM)
        fprintf(stderr, "headroom limit: process %d is watched for another user\n", pid);
    else if (error)
        fprintf(stderr, "headroom limit: the watcher of process %d gives no answer: %s\n", pid, strerror(-error));
    return error;
}
