/* SPDX-License-Identifier: Apache-2.0 */
/* How `headroom limit --set` reaches a supervisor: a socket without a file, named by the supervisor's process namespace
 * and number. One line asks, one line answers. Only the supervisor's own user and root are heard.
 *
 * A supervisor is found from any process of its tree: by its parents, one of which it is.
 */
#include "supervisor.h"

#include <errno.h>
#include <inttypes.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#define WAIT_US 500000

/* Gives the length of the address. */
static socklen_t name_socket(int pid, struct sockaddr_un *address)
{
    char space[64] = "";
    ssize_t length = readlink("/proc/self/ns/pid", space, sizeof space - 1);
    space[length > 0 ? length : 0] = '\0';
    *address = (struct sockaddr_un){.sun_family = AF_UNIX};
    int written = snprintf(address->sun_path + 1, sizeof address->sun_path - 1, "headroom-run %s %d", space, pid);
    return (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + (size_t)written);
}

/* A peer that says nothing holds nobody up for long. */
static void limit_waiting(int fd)
{
    struct timeval time = {.tv_usec = WAIT_US};
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &time, sizeof time);
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &time, sizeof time);
}

static bool may_ask(int fd, bool supervisor_too)
{
    struct ucred peer;
    socklen_t size = sizeof peer;
    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) != 0)
        return false;
    return peer.uid == geteuid() || peer.uid == 0 || (supervisor_too && geteuid() == 0);
}

/* ── the supervisor's side ──────────────────────────────────────────────────────────────────────────────────────── */

int run_control_open(int pid)
{
    struct sockaddr_un address;
    socklen_t length = name_socket(pid, &address);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), error = fd < 0 ? -errno : 0;
    if (!error && (bind(fd, (struct sockaddr *)&address, length) != 0 || listen(fd, 4) != 0)) {
        error = -errno;
        close(fd);
    }
    return error ? error : fd;
}

/* Sets the limit. Writes "ok" or "no", and a sentence. */
static void set_limit(run_supervisor *run, uint64_t bytes, char *answer, size_t size)
{
    char now[16], use[16];
    bool again = hr_survey_again(run->around) == 0; /* it may have been raised too */
    uint64_t ceiling, wall = run_wall_place(run, bytes, &ceiling), around = again ? run->around->limit_bytes : HR_NONE;
    hr_size_format(bytes, now, sizeof now);
    hr_size_format(run->use.use_bytes, use, sizeof use);
    int error = bytes <= run->use.use_bytes ? -EBUSY : run_wall_set(&run->wall, wall);
    if (error) {
        snprintf(answer, size, "no the limit of %s (%d) stays: %s is used, and %s is asked for: %s\n", run->name,
                 run->pid, use, now, strerror(-error));
        return;
    }
    run->use.limit_bytes = bytes;
    run->wall.ceiling_bytes = ceiling;
    snprintf(run->limit_source, sizeof run->limit_source, "headroom limit --set");
    run_note_action(run, "limit --set", now);
    run_tell(run, "the limit of %s (%d) is %s now", run->name, run->pid, now);
    run->heap.least_bytes = bytes;
    run_thaw(run, "the limit was set");
    run->limit_reached = false;
    run_look(run); /* the heap has its new bound before the answer is read */
    char size_around[16];
    hr_size_format(around, size_around, sizeof size_around);
    snprintf(answer, size,
             bytes < around ? "ok the limit of %s (%d) is %s\n"
                            : "ok the limit of %s (%d) is %s; the limit around it is %s\n",
             run->name, run->pid, now, size_around);
}

void run_control_answer(run_supervisor *run, int control_fd)
{
    char line[64] = "", answer[512] = "no only its own user may set the limit\n";
    int fd = accept4(control_fd, NULL, NULL, SOCK_CLOEXEC);
    if (fd < 0)
        return;
    limit_waiting(fd);
    ssize_t length = may_ask(fd, false) ? read(fd, line, sizeof line - 1) : -1;
    uint64_t bytes;
    if (length > 0 && sscanf(line, "set %" SCNu64, &bytes) == 1 && bytes > 0)
        set_limit(run, bytes, answer, sizeof answer);
    else if (length >= 0)
        snprintf(answer, sizeof answer, "no this is not understood\n");
    if (send(fd, answer, strlen(answer), MSG_NOSIGNAL) < 0)
        run_tell(run, "whoever set the limit did not wait for the answer");
    close(fd);
}

/* ── the other side ─────────────────────────────────────────────────────────────────────────────────────────────── */

/* The parent of a process; 0 where there is none, or /proc is another PID namespace's. */
static int parent_of(int pid)
{
    char folder[32];
    uint64_t parent = 0;
    if (run_proc_depth() != 0)
        return 0;
    snprintf(folder, sizeof folder, "/proc/%d", pid);
    char text[4096];
    if (run_file_read(folder, "status", text, sizeof text) <= 0)
        return 0;
    const char *line = strstr(text, "\nPPid:");
    parent = line ? strtoull(line + 6, NULL, 10) : 0;
    return (int)parent;
}

/* Connects to the supervisor of `pid`. Gives the socket or a negative errno. */
static int reach(int pid)
{
    for (int depth = 0; depth < 64 && pid > 0; depth++, pid = parent_of(pid)) {
        struct sockaddr_un address;
        socklen_t length = name_socket(pid, &address);
        int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
        if (fd < 0)
            return -errno;
        limit_waiting(fd);
        if (connect(fd, (struct sockaddr *)&address, length) == 0) {
            if (may_ask(fd, true))
                return fd;
            close(fd);
            return -EPERM;
        }
        close(fd);
    }
    return -ESRCH;
}

int run_control_set(int pid, uint64_t limit_bytes, char *answer, size_t size)
{
    char line[512] = "";
    int fd = reach(pid);
    if (fd < 0)
        return fd;
    int length = snprintf(line, sizeof line, "set %" PRIu64 "\n", limit_bytes);
    ssize_t got = send(fd, line, (size_t)length, MSG_NOSIGNAL) == length ? read(fd, line, sizeof line - 1) : -1;
    int error = got < 0 ? -errno : 0;
    close(fd);
    if (got <= 3)
        return error ? error : -EIO;
    line[got] = '\0';
    line[strcspn(line, "\n")] = '\0';
    snprintf(answer, size, "%s", line + 3);
    return strncmp(line, "ok ", 3) == 0 ? 0 : -ERANGE;
}
