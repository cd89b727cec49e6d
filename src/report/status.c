/* SPDX-License-Identifier: Apache-2.0 */
#include "report/status.h"

#include "base/uncancelled.h"
#include "os/clock.h"
#include "os/file.h"
#include "os/start.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define FOLDER "/dev/shm"
#define PREFIX "headroom_status."
#define NAME_BYTES 96
#define PATH_BYTES (sizeof FOLDER + NAME_BYTES)
#define MAGIC UINT64_C(0x68656164726f7332) /* with the layout's version in its last byte */
#define FILE_BYTES 4096
#define POINT_NS INT64_C(1000000000)
#define RATE_POINTS 5
#define ATTEMPTS 100

struct hri_status_file {
    _Atomic uint64_t magic;
    _Atomic uint64_t count;
    hr_status status;
};

_Static_assert(sizeof(struct hri_status_file) <= FILE_BYTES, "a status is one page");

/* ── processes ──────────────────────────────────────────────────────────────────────────────────────────────────── */

/* The PID namespace of this process. A number in another one is that of another process here. */
static uint64_t own_space(void)
{
    struct stat space;
    return stat("/proc/self/ns/pid", &space) == 0 ? (uint64_t)space.st_ino : 0;
}

/* After 'unshare --pid' alone /proc is still that of the namespace around, and has other numbers. */
static bool proc_is_ours(void)
{
    char self[16];
    ssize_t length = readlink("/proc/self", self, sizeof self - 1);
    self[length > 0 ? length : 0] = '\0';
    return strtol(self, NULL, 10) == getpid();
}

struct owner {
    unsigned user;
    int pid;
    uint64_t start, space;
};

static void name_file(char name[NAME_BYTES], const struct owner *owner)
{
    snprintf(name, NAME_BYTES, PREFIX "%u.%d.%llu.%llu", owner->user, owner->pid, (unsigned long long)owner->start,
             (unsigned long long)owner->space);
}

/* Takes a name apart. Gives false where it is none, or another namespace's. */
static bool parse_name(const char *name, struct owner *ret_owner)
{
    unsigned long long start, space;
    char again[NAME_BYTES];
    if (sscanf(name, PREFIX "%u.%d.%llu.%llu", &ret_owner->user, &ret_owner->pid, &start, &space) != 4 ||
        ret_owner->pid <= 0)
        return false;
    ret_owner->start = start;
    ret_owner->space = space;
    name_file(again, ret_owner);
    return strcmp(name, again) == 0 && space == own_space();
}

static int sweep_file(int folder, const char *name, void *context)
{
    struct owner owner;
    (void)context;
    if (parse_name(name, &owner) && owner.user == geteuid() && hri_process_start(owner.pid, NULL) != owner.start)
        unlinkat(folder, name, 0);
    return 0;
}

/* ── writing ────────────────────────────────────────────────────────────────────────────────────────────────────── */

static int map_file(int fd, hri_status_file **ret_file)
{
    static const char zeros[FILE_BYTES];
    ssize_t written =
        pwrite(fd, zeros, sizeof zeros, 0); /* a page that there is no room for is a signal when touched */
    if (written != FILE_BYTES)
        return written < 0 ? -errno : -ENOSPC;
    void *pages = mmap(NULL, FILE_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (pages == MAP_FAILED)
        return -errno;
    *ret_file = pages;
    atomic_store_explicit(&(*ret_file)->magic, MAGIC, memory_order_release);
    return 0;
}

static void write_path(const hri_status *status, char path[PATH_BYTES])
{
    char name[NAME_BYTES];
    const struct owner owner = {(unsigned)geteuid(), status->pid, status->start, status->space};
    name_file(name, &owner);
    snprintf(path, PATH_BYTES, FOLDER "/%s", name);
}

int hri_status_open(hri_status *status, int pid)
{
    char path[PATH_BYTES];
    *status = (hri_status){.pid = pid, .start = hri_process_start(pid, NULL), .space = own_space()};
    if (!status->start || !proc_is_ours())
        return -ESRCH;
    hri_file_each_name(FOLDER, sweep_file, NULL);
    write_path(status, path);
    int fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0)
        return -errno;
    int error = map_file(fd, &status->file);
    close(fd);
    if (error)
        unlink(path);
    return error;
}

/* Adds a point where a second has passed since the last, and says how fast use has grown over the last of them. */
static void follow(hri_status *status, int64_t now_ns)
{
    hr_status *last = &status->last;
    uint32_t count = last->point_count;
    if (count == 0 || now_ns - status->past_ns[count - 1] >= POINT_NS) {
        if (count == HR_STATUS_POINTS) {
            count--;
            memmove(last->points, last->points + 1, count * sizeof *last->points);
            memmove(status->past_ns, status->past_ns + 1, count * sizeof *status->past_ns);
            memmove(status->past_bytes, status->past_bytes + 1, count * sizeof *status->past_bytes);
        }
        bool known = last->limit_bytes != HR_NONE && last->limit_bytes > 0;
        double share = known ? (double)last->use_bytes / (double)last->limit_bytes : 0;
        last->points[count] = (uint16_t)(share < 60 ? share * 1000 : 60000);
        status->past_ns[count] = now_ns;
        status->past_bytes[count] = last->use_bytes;
        last->point_count = count + 1;
    }
    uint32_t from = last->point_count > RATE_POINTS ? last->point_count - RATE_POINTS : 0;
    int64_t span_ns = now_ns - status->past_ns[from];
    last->rate_bytes_per_s =
        span_ns > 0 ? ((double)last->use_bytes - (double)status->past_bytes[from]) * 1e9 / (double)span_ns : 0;
    last->full_in_ns = -1;
    if (last->rate_bytes_per_s >= 1 && last->limit_bytes != HR_NONE) {
        double left = last->use_bytes < last->limit_bytes ? (double)(last->limit_bytes - last->use_bytes) : 0;
        double time_ns = left / last->rate_bytes_per_s * 1e9;
        last->full_in_ns = time_ns < 0x1p62 ? (int64_t)time_ns : -1;
    }
}

void hri_status_put(hri_status *status, const hr_status *said, int64_t now_ns)
{
    hri_status_file *file = status->file;
    hr_status *last = &status->last;
    if (!file)
        return;
    last->pid = status->pid;
    last->watched = said->watched;
    last->level = said->level;
    memcpy(last->name, said->name, sizeof last->name);
    last->name[sizeof last->name - 1] = '\0';
    last->use_bytes = said->use_bytes;
    last->limit_bytes = said->limit_bytes;
    last->peak_bytes = said->peak_bytes;
    last->refusals = said->refusals;
    last->live_bytes = said->live_bytes;
    last->time_ns = now_ns;
    follow(status, now_ns);
    uint64_t count = atomic_load_explicit(&file->count, memory_order_relaxed);
    atomic_store_explicit(&file->count, count + 1, memory_order_relaxed);
    atomic_thread_fence(memory_order_release);
    memcpy(&file->status, last, sizeof *last);
    atomic_store_explicit(&file->count, count + 2, memory_order_release);
}

void hri_status_close(hri_status *status)
{
    char path[PATH_BYTES];
    if (!status->file)
        return;
    write_path(status, path);
    unlink(path);
    munmap(status->file, FILE_BYTES);
    status->file = NULL;
}

void hri_status_fork(hri_status *status, hri_fork moment)
{
    if (moment != HRI_FORK_CHILD || !status->file)
        return;
    munmap(status->file, FILE_BYTES);
    *status = (hri_status){0};
}

/* ── reading ────────────────────────────────────────────────────────────────────────────────────────────────────── */

/* Copies a file whole, from between two writes. */
static bool read_status(int fd, hr_status *ret_status)
{
    struct hri_status_file copy;
    uint64_t before, after;
    for (int attempt = 0; attempt < ATTEMPTS; attempt++) {
        if (pread(fd, &before, sizeof before, offsetof(struct hri_status_file, count)) != sizeof before ||
            pread(fd, &copy, sizeof copy, 0) != sizeof copy ||
            pread(fd, &after, sizeof after, offsetof(struct hri_status_file, count)) != sizeof after)
            return false;
        if (before == 0 || atomic_load(&copy.magic) != MAGIC)
            return false;
        if (before == after && before % 2 == 0) {
            *ret_status = copy.status;
            return true;
        }
    }
    return false;
}

/* Could a process have said this of itself? */
static bool is_sound(hr_status *status, int pid)
{
    status->name[sizeof status->name - 1] = '\0';
    return status->pid == pid && (unsigned)status->level <= HR_CRITICAL && status->point_count <= HR_STATUS_POINTS &&
           status->rate_bytes_per_s == status->rate_bytes_per_s;
}

struct visitor {
    hr_status_visit_fn *visit;
    void *context;
};

static int read_file(int folder, const char *name, void *context)
{
    const struct visitor *visitor = context;
    struct stat file, process;
    char path[32];
    struct owner owner;
    hr_status status;
    if (!parse_name(name, &owner) || (geteuid() != 0 && geteuid() != owner.user) ||
        hri_process_start(owner.pid, NULL) != owner.start)
        return 0;
    int fd = openat(folder, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0)
        return 0;
    snprintf(path, sizeof path, "/proc/%d", owner.pid);
    bool good = fstat(fd, &file) == 0 && S_ISREG(file.st_mode) && file.st_nlink == 1 && file.st_uid == owner.user &&
                (file.st_mode & 0077) == 0 && stat(path, &process) == 0 &&
                (process.st_uid == owner.user || owner.user == 0) && read_status(fd, &status) &&
                is_sound(&status, owner.pid);
    close(fd);
    return good ? visitor->visit(visitor->context, &status) : 0;
}

int hr_status_visit(hr_status_visit_fn *visit, void *context)
{
    HRI_UNCANCELLED; /* descriptors are to be closed */
    if (!visit)
        return -EINVAL;
    if (!proc_is_ours())
        return 0; /* a number may be that of another process */
    return hri_file_each_name(FOLDER, read_file, &(struct visitor){visit, context});
}

/* ── a page of another process ──────────────────────────────────────────────────────────────────────────────────── */

struct hr_status_page {
    hri_status status;
};

int hr_status_page_new(int pid, hr_status_page **ret_page)
{
    HRI_UNCANCELLED;
    if (pid <= 0 || !ret_page)
        return -EINVAL;
    hr_status_page *page = malloc(sizeof *page);
    if (!page)
        return -ENOMEM;
    int error = hri_status_open(&page->status, pid);
    if (error) {
        free(page);
        return error;
    }
    *ret_page = page;
    return 0;
}

int hr_status_page_set(hr_status_page *page, const hr_status *status)
{
    if (!page || !status)
        return -EINVAL;
    hri_status_put(&page->status, status, hri_clock_now(&hri_os_clock));
    return 0;
}

void hr_status_page_free(hr_status_page *page)
{
    HRI_UNCANCELLED;
    if (!page)
        return;
    hri_status_close(&page->status);
    free(page);
}
