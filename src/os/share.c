/* SPDX-License-Identifier: Apache-2.0 */
/* Locking: `lock` guards everything; a leaf.
 *
 * The lock in the limit's file belongs to an open file description (F_OFD_SETLK): the library and the program may
 * open and close the same file elsewhere. It lies at [tag][slot][1 + pages], from the highest bits of its offset on;
 * the tag tells the page, so that those who share it are not counted twice.
 */
#define _GNU_SOURCE
#include "os/share.h"

#include "base/checked.h"
#include "base/hash.h"
#include "base/lock.h"

#include <errno.h>
#include <fcntl.h>
#include <stdalign.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define FOLDER "/dev/shm"
#define PREFIX "headroom-"
#define PATH_BYTES 128
#define SLOTS 1023
#define MAGIC UINT64_C(0x68656164726f6f32) /* with the layout's version in its last byte */

#define TAG_BITS 22
#define TAG_SHIFT 40
#define SLOT_SHIFT 30
#define PAGE_BYTES 4096
#define PAGES_MAX ((UINT64_C(1) << SLOT_SHIFT) - 2)

typedef struct page {
    struct {
        alignas(64) _Atomic uint64_t magic;
        _Atomic uint64_t granted;
        _Atomic uint32_t slots; /* no slot from this one on was ever in use */
    } head;
    struct {
        alignas(64) _Atomic uint64_t pending;
    } slots[SLOTS];
} page;

static _Atomic uint64_t granted_alone, pending_alone;
const hri_lease_word hri_word_alone = {&granted_alone, &pending_alone};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct {
    hri_file_mark group; /* the limit's file; zeros: nothing is shared */
    page *page;          /* NULL: this process counts by a word of its own */
    hri_file_mark mark;  /* of the page's file */
    int fd;
    int slot;
    int limit_fd; /* an open file description of our own of the limit's file */
    off_t lock_start;
    off_t lock_length; /* 0: none */
} here = {.fd = -1, .limit_fd = -1};

/* ── the page ───────────────────────────────────────────────────────────────────────────────────────────────────── */

static void path_of(const hri_file_mark *group, char path[PATH_BYTES])
{
    snprintf(path, PATH_BYTES, FOLDER "/" PREFIX "%llx-%llx-%u", (unsigned long long)group->device,
             (unsigned long long)group->inode, (unsigned)geteuid());
}

/* Opens or makes this user's file of a group. Nothing that somebody else may have put there is trusted. */
static int open_file(const char *path)
{
    struct stat status;
    int fd = open(path, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK, 0600);
    if (fd < 0)
        return -errno;
    bool good = fstat(fd, &status) == 0 && S_ISREG(status.st_mode) && status.st_uid == geteuid() &&
                status.st_nlink <= 1 && (status.st_mode & 0077) == 0 && ftruncate(fd, sizeof(page)) == 0;
    if (good)
        return fd;
    close(fd);
    return -EPERM;
}

static bool is_free(int fd, int slot)
{
    struct flock asked = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = slot, .l_len = 1};
    return fcntl(fd, F_GETLK, &asked) == 0 && asked.l_type == F_UNLCK;
}

/* Locks the first slot that is free; -1: there is none. */
static int take_slot(int fd)
{
    for (int slot = 0; slot < SLOTS; slot++) {
        struct flock wanted = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = slot, .l_len = 1};
        if (fcntl(fd, F_SETLK, &wanted) == 0)
            return slot;
    }
    return -1;
}

/* Maps the file and takes a slot in it. The page is never unmapped again: trees keep pointers into it. */
static bool enter(int fd)
{
    page *mapped = mmap(NULL, sizeof *mapped, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (mapped == MAP_FAILED)
        return false;
    uint64_t magic = 0;
    bool known = atomic_compare_exchange_strong(&mapped->head.magic, &magic, MAGIC) || magic == MAGIC;
    int slot = known ? take_slot(fd) : -1;
    if (slot < 0) {
        munmap(mapped, sizeof *mapped);
        return false;
    }
    atomic_store(&mapped->slots[slot].pending, 0);
    uint32_t slots = atomic_load(&mapped->head.slots);
    while (slots <= (uint32_t)slot && !atomic_compare_exchange_weak(&mapped->head.slots, &slots, (uint32_t)slot + 1))
        continue;
    here.page = mapped;
    here.slot = slot;
    here.fd = fd;
    here.mark = hri_file_mark_of(fd);
    return true;
}

static void leave_page(void)
{
    hri_file_close_own(here.fd, &here.mark); /* and the lock on its slot */
    here.page = NULL;
    here.fd = -1;
    here.mark = (hri_file_mark){0};
}

/* Enters the page of a group. Where the last process of it has removed the file meanwhile, a new one is made. */
static void enter_page(const hri_file_mark *group)
{
    char path[PATH_BYTES];
    struct stat status;
    path_of(group, path);
    for (int attempt = 0; attempt < 3; attempt++) {
        int fd = open_file(path);
        if (fd < 0)
            return;
        if (!enter(fd)) {
            close(fd);
            return;
        }
        if (lstat(path, &status) == 0 && status.st_ino == here.mark.inode && status.st_dev == here.mark.device)
            return;
        leave_page();
    }
}

/* ── the limit's file ───────────────────────────────────────────────────────────────────────────────────────────── */

static uint64_t random_word(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return hri_hash(&now, sizeof now, (uint64_t)getpid() ^ (uintptr_t)&now);
}

static bool change_lock(short type, off_t start, off_t length)
{
    struct flock wanted = {.l_type = type, .l_whence = SEEK_SET, .l_start = start, .l_len = length};
    return fcntl(here.limit_fd, F_OFD_SETLK, &wanted) == 0;
}

/* Locks a place: one that no other process of the page has, or a random one without a page. */
static void enter_limit(int limit_fd)
{
    char path[PATH_BYTES];
    uint64_t tag = here.page ? here.mark.inode ^ (uint64_t)here.mark.device << 16 : random_word();
    uint64_t slot = here.page ? (uint64_t)here.slot : 0;
    snprintf(path, sizeof path, "/proc/self/fd/%d", limit_fd);
    here.limit_fd = open(path, O_RDONLY | O_CLOEXEC);
    here.lock_start = (off_t)((tag & ((UINT64_C(1) << TAG_BITS) - 1)) << TAG_SHIFT | slot << SLOT_SHIFT);
    if (here.limit_fd >= 0 && change_lock(F_RDLCK, here.lock_start, 1))
        here.lock_length = 1;
}

static void leave_limit(void)
{
    hri_file_close_own(here.limit_fd, &here.group);
    here.limit_fd = -1;
    here.lock_length = 0;
}

/* ── files of processes that are gone ───────────────────────────────────────────────────────────────────────────── */

/* Removes a file of this user that no process has a slot in: its processes have ended without a word. */
static int sweep_file(int folder, const char *name, void *context)
{
    (void)context;
    char own[16];
    struct stat status;
    snprintf(own, sizeof own, "-%u", (unsigned)geteuid());
    size_t length = strlen(name), tail = strlen(own);
    if (strncmp(name, PREFIX, strlen(PREFIX)) != 0 || length < tail || strcmp(name + length - tail, own) != 0 ||
        fstatat(folder, name, &status, AT_SYMLINK_NOFOLLOW) != 0 || status.st_ino == here.mark.inode)
        return 0; /* closing any descriptor of the own file would drop the lock on the slot */
    int fd = openat(folder, name, O_RDWR | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK);
    struct flock all = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    if (fd >= 0 && fcntl(fd, F_GETLK, &all) == 0 && all.l_type == F_UNLCK)
        unlinkat(folder, name, 0);
    hri_file_close(fd);
    return 0;
}

/* ── joining and leaving ────────────────────────────────────────────────────────────────────────────────────────── */

static hri_lease_word word(void)
{
    if (!here.page)
        return hri_word_alone;
    return (hri_lease_word){&here.page->head.granted, &here.page->slots[here.slot].pending};
}

/* Has the program closed its files? */
static bool is_whole(void)
{
    return hri_file_is(here.fd, &here.mark) && (here.limit_fd < 0 || hri_file_is(here.limit_fd, &here.group));
}

hri_lease_word hri_share_join(int limit_fd)
{
    hri_file_mark group = hri_file_mark_of(limit_fd);
    hri_inner_lock(&lock);
    bool same = here.group.device == group.device && here.group.inode == group.inode;
    if (!same || !is_whole()) {
        leave_page();
        leave_limit();
        here.group = group;
        if (limit_fd >= 0) {
            enter_page(&group);
            enter_limit(limit_fd);
        }
        if (here.page)
            hri_file_each_name(FOLDER, sweep_file, NULL);
    }
    hri_lease_word given = word();
    hri_inner_unlock(&lock);
    return given;
}

void hri_share_leave(void)
{
    char path[PATH_BYTES];
    hri_inner_lock(&lock);
    bool last = here.page && hri_file_is(here.fd, &here.mark);
    for (int slot = 0; last && slot < (int)hri_min(atomic_load(&here.page->head.slots), SLOTS); slot++)
        last = slot == here.slot || is_free(here.fd, slot);
    path_of(&here.group, path);
    if (last)
        unlink(path);
    leave_page();
    leave_limit();
    here.group = (hri_file_mark){0};
    hri_inner_unlock(&lock);
}

void hri_share_fork(hri_fork moment)
{
    hri_fork_lock(&lock, moment);
    if (moment != HRI_FORK_CHILD)
        return;
    /* The parent's record lock is not inherited; its open file description is, and lives on in the parent. The page
     * stays mapped until the child joins by itself: a tree's word points into it. */
    hri_file_close_own(here.fd, &here.mark);
    here.fd = -1;
    here.mark = (hri_file_mark){0};
    leave_limit();
    here.group = (hri_file_mark){0};
}

/* ── what others say ────────────────────────────────────────────────────────────────────────────────────────────── */

/* Sums the slots of the other processes of the page. */
static void sum_slots(hri_share_sum *sum)
{
    int slots = (int)hri_min(atomic_load(&here.page->head.slots), SLOTS);
    for (int slot = 0; slot < slots; slot++) {
        uint64_t pending = atomic_load_explicit(&here.page->slots[slot].pending, memory_order_acquire);
        if (slot == here.slot || is_free(here.fd, slot))
            continue;
        sum->processes++;
        sum->pending_bytes += pending;
    }
}

#define LOCKS_END ((off_t)1 << (TAG_SHIFT + TAG_BITS))
#define NO_TAG (-1)
#define DEPTH_MAX 64

struct locks {
    int fd;        /* the limit's file */
    off_t own_tag; /* of those that are left out */
    hri_share_sum *sum;
};

/* Sums the locks in a limit's file, except for those with our own tag. F_OFD_GETLK gives any lock of a range, and
 * mostly the first: the rest is looked at on both sides of it. */
static void sum_locks(const struct locks *locks, off_t from, off_t to, unsigned depth)
{
    while (from < to && depth < DEPTH_MAX) {
        struct flock found = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = from, .l_len = to - from};
        if (fcntl(locks->fd, F_OFD_GETLK, &found) != 0 || found.l_type == F_UNLCK)
            return;
        if (found.l_start >> TAG_SHIFT != locks->own_tag) {
            locks->sum->foreign++;
            locks->sum->pending_bytes += (uint64_t)(found.l_len - 1) * PAGE_BYTES;
        }
        sum_locks(locks, from, found.l_start, depth + 1);
        from = found.l_start + found.l_len;
    }
}

unsigned hri_share_count(int limit_fd)
{
    hri_share_sum sum = {0};
    if (limit_fd >= 0)
        sum_locks(&(struct locks){limit_fd, NO_TAG, &sum}, 0, LOCKS_END, 0);
    return sum.foreign;
}

hri_share_sum hri_share_read(void)
{
    hri_share_sum sum = {.processes = 1};
    hri_inner_lock(&lock);
    if (here.page && here.fd >= 0)
        sum_slots(&sum);
    if (here.lock_length > 0)
        sum_locks(&(struct locks){here.limit_fd, here.lock_start >> TAG_SHIFT, &sum}, 0, LOCKS_END, 0);
    hri_inner_unlock(&lock);
    return sum;
}

void hri_share_say(uint64_t pending_bytes)
{
    hri_inner_lock(&lock);
    off_t before = here.lock_length, now = 1 + (off_t)hri_min(pending_bytes / PAGE_BYTES, PAGES_MAX);
    if (before > 0 && now != before && hri_file_is(here.limit_fd, &here.group)) {
        bool changed = now > before ? change_lock(F_RDLCK, here.lock_start + before, now - before)
                                    : change_lock(F_UNLCK, here.lock_start + now, before - now);
        if (changed)
            here.lock_length = now;
    }
    hri_inner_unlock(&lock);
}
