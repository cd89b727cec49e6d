/* SPDX-License-Identifier: Apache-2.0 */
/* `headroom run`: a command is started, watched, and dealt with before the kernel kills it. This is what the command
 * line hands over; supervisor.h has the parts.
 */
#ifndef RUN_RUN_H
#define RUN_RUN_H

#include "serve.h"
#include "trigger.h"

#define RUN_TRIGGERS_MAX 32

/* Exit statuses of `headroom run` itself, where the command did not give one. */
#define RUN_EXIT_FAILED 125
#define RUN_EXIT_CANNOT_EXECUTE 126
#define RUN_EXIT_NOT_FOUND 127

/* At the limit itself. */
typedef enum run_on_limit {
    RUN_LIMIT_TERM,   /* SIGTERM, and SIGKILL after the grace */
    RUN_LIMIT_FREEZE, /* stopped with all it holds, until the limit is raised */
    RUN_LIMIT_ABORT,  /* SIGABRT, and SIGKILL after the grace */
    RUN_LIMIT_FAIL,   /* headroom's malloc in the command gives NULL */
    RUN_LIMIT_WAIT,   /* it waits for memory that comes back, for the grace at the most */
} run_on_limit;

typedef struct run_options {
    uint64_t limit_bytes; /* 0: by `limit_share` */
    double limit_share;   /* of the limit that is found; 0: that one less run_limit_below() */
    run_trigger triggers[RUN_TRIGGERS_MAX];
    size_t trigger_count;
    run_on_limit on_limit;
    int64_t grace_ns;
    bool observe; /* look and tell, and do nothing */
    bool quiet;
    int pid;                  /* watch this one, which runs already; 0: `command` */
    const char *report;       /* a history file; NULL: none */
    const char *summary;      /* a file for the summary as JSON; NULL: none */
    const char *http;         /* where the page is served; NULL: nowhere */
    const run_server *server; /* serves it */
    char **command;           /* ends with NULL */
} run_options;

/* Runs and watches. Gives the exit status. */
int run_supervise(const run_options *options);

/* "term", "freeze" …; NULL beyond the last. */
const char *run_on_limit_text(run_on_limit on_limit);

/* Sets the limit of a running supervisor, which is `pid` or watches it: writes its answer, a sentence. Gives 0; -ESRCH
 * if nobody watches `pid`; -EPERM if that is somebody else's; -ERANGE if the limit was refused; another negative
 * errno. */
int run_control_set(int pid, uint64_t limit_bytes, char *answer, size_t size);

#endif
