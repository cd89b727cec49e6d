/* SPDX-License-Identifier: Apache-2.0 */
/* A PSI trigger is armed by writing it, with its terminating NUL, to a file opened for writing; then POLLPRI says that
 * it fired, at most once a window. Unprivileged windows are multiples of 2 s. An armed trigger is proved by a poll that
 * reports no error. Sources: the kernel's Documentation/accounting/psi.rst, systemd's memory pressure protocol.
 */
#include "os/pressure.h"

#include "base/uncancelled.h"
#include "os/file.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

/* Some thread stood still for a 20th of two seconds, waiting for memory: early, and never at rest. */
static const char trigger[] = "some 100000 2000000";

static __attribute__((format(printf, 2, 3))) void explain(hri_pressure *pressure, const char *format, ...)
{
    if (pressure->why[0])
        return; /* the best source's reason is the one that is told */
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(pressure->why, sizeof pressure->why, format, arguments);
    va_end(arguments);
}

/* A long path is cut. */
static void name_source(hri_pressure *pressure, const char *path)
{
    snprintf(pressure->source, sizeof pressure->source, "%.*s", (int)sizeof pressure->source - 1, path);
}

/* ── arming ─────────────────────────────────────────────────────────────────────────────────────────────────────── */

/* Gives 0 if what is armed can be polled. */
static int prove(const hri_pressure *pressure)
{
    struct pollfd asked = {.fd = pressure->fd, .events = pressure->events};
    if (poll(&asked, 1, 0) < 0)
        return -errno;
    return asked.revents & (POLLERR | POLLNVAL) ? -EOPNOTSUPP : 0;
}

/* Writes what arms the file. Gives 0 or a negative errno. */
static int write_whole(int fd, const char *bytes, size_t size)
{
    ssize_t put;
    do
        put = size ? write(fd, bytes, size) : 0;
    while (put < 0 && errno == EINTR);
    if (put < 0)
        return -errno;
    return (size_t)put == size ? 0 : -EIO;
}

/* Arms a descriptor with `size` bytes; on failure closes it and says why. Gives whether it is armed. */
static bool arm(hri_pressure *pressure, const char *path, const char *bytes, size_t size)
{
    int error = write_whole(pressure->fd, bytes, size);
    if (!error)
        error = prove(pressure);
    if (!error) {
        name_source(pressure, path);
        return true;
    }
    explain(pressure, "%s cannot be armed: %s", path, strerror(-error));
    hri_file_close(pressure->fd);
    pressure->fd = -1;
    return false;
}

/* Opens a file of the kernel's to arm it. Gives 0 (armed or not), or a shortage. */
static int try_file(hri_pressure *pressure, const char *path, const char *bytes, size_t size)
{
    pressure->events = POLLPRI;
    pressure->stream = false;
    pressure->fd = open(path, (size ? O_RDWR : O_RDONLY) | O_CLOEXEC | O_NONBLOCK);
    if (pressure->fd >= 0) {
        arm(pressure, path, bytes, size);
        return 0;
    }
    int error = -errno;
    explain(pressure, "%s: %s", path, strerror(-error));
    return hri_file_shortage(error);
}

/* ── $MEMORY_PRESSURE_WATCH ─────────────────────────────────────────────────────────────────────────────────────── */

static int sextet(char digit)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    const char *at = digit ? strchr(digits, digit) : NULL;
    return at ? (int)(at - digits) : -1;
}

/* Decodes base64 (RFC 4648, 4). Gives the number of bytes, or -EINVAL. */
static ssize_t decode(const char *text, char *ret_bytes, size_t size)
{
    size_t length = strlen(text), count = 0;
    while (length > 0 && text[length - 1] == '=')
        length--;
    uint32_t bits = 0;
    for (size_t i = 0; i < length; i++) {
        int value = sextet(text[i]);
        if (value < 0 || count == size)
            return -EINVAL;
        bits = bits << 6 | (uint32_t)value;
        if (i % 4 != 0)
            ret_bytes[count++] = (char)(bits >> (6 - i % 4 * 2));
    }
    return (ssize_t)count;
}

/* Connects to a socket, or opens a FIFO: then each thing that arrives is a signal. Gives 0 or a shortage. */
static int try_stream(hri_pressure *pressure, const char *path, bool is_socket, const char *bytes, size_t size)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    if (is_socket && strlen(path) >= sizeof address.sun_path) {
        explain(pressure, "%s: %s", path, strerror(ENAMETOOLONG));
        return 0;
    }
    if (is_socket) {
        memcpy(address.sun_path, path, strlen(path) + 1);
        pressure->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    } else { /* for writing too, so that the last writer's end is not the end */
        pressure->fd = open(path, O_RDWR | O_CLOEXEC | O_NONBLOCK);
    }
    int error = pressure->fd < 0 ? -errno : 0;
    if (!error && is_socket && connect(pressure->fd, (struct sockaddr *)&address, sizeof address) != 0)
        error = -errno;
    if (error) {
        explain(pressure, "%s: %s", path, strerror(-error));
        hri_file_close(pressure->fd);
        pressure->fd = -1;
        return hri_file_shortage(error);
    }
    pressure->events = POLLIN;
    pressure->stream = true;
    if (!is_socket)
        size = 0; /* it would come back to us */
    arm(pressure, path, bytes, size);
    return 0;
}

/* Gives whether the environment has decided; `*ret_error` is a shortage. */
static bool try_environment(hri_pressure *pressure, int *ret_error)
{
    const char *path = getenv("MEMORY_PRESSURE_WATCH"), *write = getenv("MEMORY_PRESSURE_WRITE");
    if (!path)
        return false;
    if (strcmp(path, "/dev/null") == 0) {
        explain(pressure, "MEMORY_PRESSURE_WATCH is /dev/null: watch nothing");
        return true;
    }
    char bytes[128];
    ssize_t size = write ? decode(write, bytes, sizeof bytes) : 0;
    struct stat status;
    if (size < 0)
        explain(pressure, "MEMORY_PRESSURE_WRITE is no base64 of up to %zu bytes", sizeof bytes);
    else if (stat(path, &status) != 0)
        explain(pressure, "%s: %s", path, strerror(errno));
    else if (S_ISFIFO(status.st_mode) || S_ISSOCK(status.st_mode))
        *ret_error = try_stream(pressure, path, S_ISSOCK(status.st_mode), bytes, (size_t)size);
    else
        *ret_error = try_file(pressure, path, bytes, (size_t)size);
    return pressure->fd >= 0 || *ret_error;
}

/* ── all of them ────────────────────────────────────────────────────────────────────────────────────────────────── */

/* Writes the path of a file beside an open one. */
static bool find_sibling(int fd, const char *name, char *ret_path, size_t size)
{
    char link[64];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, ret_path, size - 1);
    if (fd < 0 || length <= 0)
        return false;
    ret_path[length] = '\0';
    char *slash = strrchr(ret_path, '/');
    size_t folder = slash ? (size_t)(slash - ret_path) + 1 : 0;
    return folder > 0 && (size_t)snprintf(ret_path + folder, size - folder, "%s", name) < size - folder;
}

#define CANDIDATES 3

/* Gives the path of the `index`th of the kernel's own sources, best first; false where there is none such. */
static bool candidate(const hri_site *site, const hri_cgroup_chain *chain, unsigned index, char *ret_path, size_t size)
{
    static const char *const of_group[] = {"memory.pressure", "memory.events"};
    if (index < 2)
        return chain->version == 2 && chain->count > 0 &&
               find_sibling(chain->groups[0].fds[HRI_FILE_STAT], of_group[index], ret_path, size);
    return (size_t)snprintf(ret_path, size, "%s/proc/pressure/memory", site->root) < size;
}

int hri_pressure_open(hri_pressure *pressure, const hri_site *site, const hri_cgroup_chain *chain)
{
    HRI_UNCANCELLED;
    bool ours = site->root[0] == '\0' && site->pid == 0;
    int error = 0;
    *pressure = (hri_pressure){.fd = -1};
    if (ours && try_environment(pressure, &error)) {
        pressure->mark = hri_file_mark_of(pressure->fd);
        return error;
    }
    for (unsigned i = 0; i < CANDIDATES && pressure->fd < 0 && !error; i++) {
        char path[PATH_MAX];
        if (!candidate(site, chain, i, path, sizeof path))
            continue;
        if (ours) {
            bool is_psi = i != 1;
            error = try_file(pressure, path, trigger, is_psi ? sizeof trigger : 0);
        } else if (access(path, R_OK) == 0) {
            name_source(pressure, path);
            explain(pressure, "only looked at: it would be armed by the process itself");
            break;
        }
    }
    pressure->mark = hri_file_mark_of(pressure->fd);
    if (!pressure->source[0])
        explain(pressure, "the kernel has no pressure stall information (CONFIG_PSI, psi=1)");
    return error;
}

void hri_pressure_close(hri_pressure *pressure)
{
    hri_file_close_own(pressure->fd, &pressure->mark);
    pressure->fd = -1;
}

bool hri_pressure_take(hri_pressure *pressure, short revents)
{
    char bytes[512];
    bool ended = !hri_file_is(pressure->fd, &pressure->mark) || revents & (POLLNVAL | POLLHUP) ||
                 (revents & POLLERR && !(revents & POLLPRI));
    if (!ended && pressure->stream)
        ended = read(pressure->fd, bytes, sizeof bytes) == 0;
    else if (!ended) /* memory.events signals again only once it has been read */
        ended = pread(pressure->fd, bytes, sizeof bytes, 0) < 0 && errno == ENODEV;
    if (ended) {
        snprintf(pressure->why, sizeof pressure->why, "%.200s ended", pressure->source);
        pressure->source[0] = '\0';
        hri_pressure_close(pressure);
    }
    return !ended && revents & pressure->events;
}
