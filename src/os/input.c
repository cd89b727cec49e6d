/* SPDX-License-Identifier: Apache-2.0 */
/* Reads are plain read() calls of a whole buffer: with the file in the page cache nothing else was faster here, see
 * docs/flow.md. If a wait can be ended from outside, a descriptor that may have to wait for a writer is polled
 * first. A non-blocking one is polled when it says EAGAIN.
 *
 * Locking: none; one thread at a time an input. */
#define _GNU_SOURCE
#include "os/input.h"

#include "base/uncancelled.h"
#include "os/file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

/* How much is read before its cache is given back: each time costs a walk over the pages. */
#define DROP_BYTES (INT64_C(8) << 20)

/* The cache is in folios of several pages, each at a multiple of its size. The kernel gives back only folios that lie
 * wholly within a range. So ranges begin at a multiple of this, the size of the largest or more. */
#define FOLIO_BYTES (INT64_C(4) << 20)

/* How far the kernel may have read ahead of what was asked for: devices here have 8 MiB, and POSIX_FADV_SEQUENTIAL
 * makes it twice that. */
#define AHEAD_BYTES (INT64_C(32) << 20)

/* The size that a pipe is given: writer and reader then take turns less often, and three times as much comes through
 * (docs/flow.md). More was not worth more. */
#define PIPE_BYTES (256 << 10)

static bool widen_pipe(int fd)
{
    int held = fcntl(fd, F_GETPIPE_SZ);
    return held > 0 && held < PIPE_BYTES && fcntl(fd, F_SETPIPE_SZ, PIPE_BYTES) >= PIPE_BYTES;
}

int hri_input_open(hri_input *input, int fd, bool drop_behind)
{
    struct stat facts;
    if (fstat(fd, &facts) < 0)
        return -errno;
    if (S_ISDIR(facts.st_mode))
        return -EISDIR;
    bool regular = S_ISREG(facts.st_mode);
    int64_t start = lseek(fd, 0, SEEK_CUR);
    *input = (hri_input){.fd = fd, .regular = regular, .drop_behind = drop_behind, .start = start, .size = -1};
    input->direct = start >= 0 && fcntl(fd, F_GETFL) & O_DIRECT;
    input->widened = S_ISFIFO(facts.st_mode) && widen_pipe(fd);
    if (!regular || start < 0)
        return 0;
    /* A file of /proc says 0 and has more: then the size is not known. */
    if (facts.st_size > start)
        input->size = facts.st_size - start;
    (void)posix_fadvise(fd, start, 0, POSIX_FADV_SEQUENTIAL);
    return 0;
}

/* Waits until a descriptor can be read. Gives 0, -ECANCELED after a wake, or a negative errno. */
static int wait_readable(int fd, hri_wake wake)
{
    struct pollfd asked[] = {
        {.fd = fd, .events = POLLIN},
        {.fd = wake.cancel_fd, .events = POLLIN},
        {.fd = wake.stop_fd, .events = POLLIN},
    };
    int ready;
    do
        ready = poll(asked, 3, -1);
    while (ready < 0 && errno == EINTR);
    if (ready < 0)
        return -errno;
    return asked[1].revents || asked[2].revents ? -ECANCELED : 0;
}

/* Gives back the cache from the folio in which the last range ended up to this many bytes beyond the next read. */
static void drop(hri_input *input, int64_t beyond)
{
    if (!input->regular || input->start < 0)
        return;
    int64_t begin = (input->start + input->dropped) / FOLIO_BYTES * FOLIO_BYTES;
    int64_t end = input->start + input->position;
    if (end > INT64_MAX - beyond)
        beyond = INT64_MAX - end;
    (void)posix_fadvise(input->fd, begin, end + beyond - begin, POSIX_FADV_DONTNEED);
    input->dropped = input->position;
}

void hri_input_drop(hri_input *input)
{
    if (input->drop_behind)
        drop(input, AHEAD_BYTES);
}

ssize_t hri_input_read(hri_input *input, hri_wake wake, void *buffer, size_t size)
{
    bool can_be_woken = !input->regular && (wake.cancel_fd >= 0 || wake.stop_fd >= 0);
    bool waits = can_be_woken;
    for (;;) {
        int error = waits ? wait_readable(input->fd, wake) : 0;
        if (error)
            return error;
        ssize_t got = read(input->fd, buffer, size);
        if (got >= 0) {
            input->position += got;
            if (got == 0)
                hri_input_drop(input);
            else if (input->drop_behind && input->position - input->dropped >= DROP_BYTES)
                drop(input, 0);
            return got;
        }
        if (errno != EINTR && errno != EAGAIN)
            return -errno;
        waits = can_be_woken || errno == EAGAIN;
    }
}

int hri_input_seek(hri_input *input, uint64_t offset)
{
    if (input->start < 0 || offset > INT64_MAX - (uint64_t)input->start)
        return -ESPIPE;
    if (lseek(input->fd, input->start + (int64_t)offset, SEEK_SET) < 0)
        return -errno;
    input->position = (int64_t)offset;
    input->dropped = input->position;
    return 0;
}

ssize_t hri_input_read_file(hri_stdio *input, hri_wake wake, void *buffer, size_t size, bool *ret_end)
{
    FILE *file = input->file;
    int error = input->kept_error;
    input->kept_error = 0;
    while (!error) {
        errno = 0;
        size_t got = fread(buffer, 1, size, file);
        if (got < size && feof(file))
            *ret_end = true;
        else if (got < size)
            error = errno ? -errno : -EIO;
        if (error)
            clearerr(file);
        bool passes = error == -EINTR || error == -EAGAIN;
        if (got > 0 || !error) {
            input->kept_error = passes ? 0 : error;
            return (ssize_t)got;
        }
        int fd = fileno(file);
        if (passes && (error == -EINTR || fd >= 0))
            error = error == -EINTR ? 0 : wait_readable(fd, wake);
    }
    return error;
}

/* ── folders ────────────────────────────────────────────────────────────────────────────────────────────────────── */

/* As getdents64(2) describes it; what readdir() would read, without its allocation. */
struct entry {
    uint64_t inode;
    int64_t offset;
    unsigned short length;
    unsigned char type;
    char name[];
};

int hri_names_open(hri_names *names, const char *path, const char *inside)
{
    HRI_UNCANCELLED;
    names->inside = inside;
    do
        names->fd = openat(AT_FDCWD, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    while (names->fd < 0 && errno == EINTR);
    names->at = names->length = 0;
    return names->fd < 0 ? -errno : 0;
}

void hri_names_close(hri_names *names)
{
    hri_file_close(names->fd);
}

/* Gives the entry that is next; NULL with 0 after the last, or with a negative errno. */
static const struct entry *next_entry(hri_names *names, int *ret_error)
{
    *ret_error = 0;
    if (names->at >= names->length) {
        long got = syscall(SYS_getdents64, names->fd, names->entries, sizeof names->entries);
        if (got <= 0) {
            *ret_error = got < 0 ? -errno : 0;
            return NULL;
        }
        names->at = 0;
        names->length = (size_t)got;
    }
    return (const struct entry *)(const void *)(names->entries + names->at);
}

void hri_names_pass(hri_names *names)
{
    int error;
    const struct entry *entry = next_entry(names, &error);
    if (entry)
        names->at += entry->length;
}

/* Gives a regular file's descriptor, -ENOENT for what is none or has vanished, or another negative errno. */
static int open_entry(const hri_names *names, const struct entry *entry)
{
    char path[2 * HRI_NAME_BYTES];
    bool dots = strcmp(entry->name, ".") == 0 || strcmp(entry->name, "..") == 0, folder = entry->type == DT_DIR;
    bool fits = entry->type == DT_LNK || entry->type == DT_UNKNOWN || (names->inside ? folder : entry->type == DT_REG);
    if (!fits || dots)
        return -ENOENT;
    snprintf(path, sizeof path, "%s%s%s", entry->name, names->inside ? "/" : "", names->inside ? names->inside : "");
    /* Without waiting, should it be a pipe after all. */
    int fd = openat(names->fd, path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0)
        return errno == ENXIO || (names->inside && errno == ENOTDIR) ? -ENOENT : -errno; /* a socket; a file */
    struct stat facts;
    if (fstat(fd, &facts) == 0 && S_ISREG(facts.st_mode))
        return fd;
    hri_file_close(fd);
    return -ENOENT;
}

int hri_names_open_next(hri_names *names, char ret_name[HRI_NAME_BYTES])
{
    HRI_UNCANCELLED;
    int error;
    const struct entry *entry;
    ret_name[0] = '\0';
    while ((entry = next_entry(names, &error))) {
        int fd = open_entry(names, entry);
        if (fd != -ENOENT) {
            memccpy(ret_name, entry->name, '\0', HRI_NAME_BYTES);
            ret_name[HRI_NAME_BYTES - 1] = '\0';
            return fd;
        }
        hri_names_pass(names);
    }
    return error ? error : -ENODATA;
}
