/* SPDX-License-Identifier: Apache-2.0 */
/* Locking: `lock` guards everything; a leaf. */
#define _GNU_SOURCE
#include "os/share.h"

#include "base/checked.h"
#include "base/clock.h"

#include <errno.h>
#include <fcntl.h>
#include <stdalign.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define FOLDER "/dev/shm"
#define SLOTS 1023
#define MAGIC UINT64_C(0x68656164726f6f32) /* with the layout's version in its last byte */

/* How often a process says that its user is there, and for how long that is believed. */
#define SAY_NS (1 * HRI_SECOND)
#define BELIEVED_S 10

typedef struct page {
    struct {
        _Alignas(64) _Atomic uint64_t magic;
        _Atomic uint64_t granted;
        _Atomic uint32_t slots; /* so many from the first on have been in use */
    } head;
    struct {
        _Alignas(64) _Atomic uint64_t pending;
    } slots[SLOTS];
} page;

static _Atomic uint64_t granted_alone, pending_alone;
const hri_lease_word hri_word_alone = {&granted_alone, &pending_alone};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct {
    hri_file_mark group; /* zeros: nothing is shared */
    hri_file_mark mark;  /* of the file */
    int fd;
    int slot;
    page *page;
    unsigned users;
    int64_t said_ns;
} here = {.fd = -1, .users = 1};

static void name_of(const hri_file_mark *group, char name[64])
{
    snprintf(name, 64, "headroom-%llx-%llx-", (unsigned long long)group->device, (unsigned long long)group->inode);
}

/* ── the file ───────────────────────────────────────────────────────────────────────────────────────────────────── */

static void path_of(const hri_file_mark *group, char path[128])
{
    char name[64];
    name_of(group, name);
    snprintf(path, 128, FOLDER "/%s%u", name, (unsigned)geteuid());
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

/* Maps the file and takes a slot in it. */
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
    here.page = mapped; /* never unmapped: trees keep pointers into it */
    here.slot = slot;
    here.fd = fd;
    here.mark = hri_file_mark_of(fd);
    return true;
}

static hri_lease_word word(void)
{
    if (!here.page)
        return hri_word_alone;
    return (hri_lease_word){&here.page->head.granted, &here.page->slots[here.slot].pending};
}

static void leave(void)
{
    hri_file_close_own(here.fd, &here.mark); /* and its lock */
    here.page = NULL;
    here.fd = -1;
    here.users = 1;
    here.said_ns = 0;
}

/* Enters the file of a group. Where the last process of it has removed the file meanwhile, a new one is made. */
static void enter_group(const hri_file_mark *group)
{
    char path[128];
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
        leave();
    }
}

hri_lease_word hri_share_join(const hri_file_mark *group)
{
    pthread_mutex_lock(&lock);
    bool same = here.group.device == group->device && here.group.inode == group->inode;
    if (!same || (here.page && !hri_file_is(here.fd, &here.mark))) {
        leave();
        here.group = *group;
        if (group->inode)
            enter_group(group);
    }
    hri_lease_word given = word();
    pthread_mutex_unlock(&lock);
    return given;
}

void hri_share_leave(void)
{
    char path[128];
    pthread_mutex_lock(&lock);
    bool alone = here.page != NULL;
    for (int slot = 0; alone && slot < (int)atomic_load(&here.page->head.slots); slot++)
        alone = slot == here.slot || is_free(here.fd, slot);
    path_of(&here.group, path);
    if (alone && hri_file_is(here.fd, &here.mark))
        unlink(path);
    leave();
    here.group = (hri_file_mark){0};
    pthread_mutex_unlock(&lock);
}

/* ── what others say ────────────────────────────────────────────────────────────────────────────────────────────── */

struct entry { /* as the kernel writes it: struct linux_dirent64 */
    uint64_t inode;
    int64_t offset;
    unsigned short length;
    unsigned char type;
    char name[];
};

/* Is an entry a file of this group that was changed a moment ago? */
static bool is_recent(int folder, const char *name, const char *prefix, time_t now_s)
{
    struct stat status;
    return strncmp(name, prefix, strlen(prefix)) == 0 && fstatat(folder, name, &status, AT_SYMLINK_NOFOLLOW) == 0 &&
           S_ISREG(status.st_mode) && now_s - status.st_mtime <= BELIEVED_S;
}

/* Says that this user's processes are there, and counts the users. readdir() would allocate. */
static void count_users(void)
{
    char prefix[64];
    alignas(struct entry) char entries[4096];
    struct timespec now;
    long got;
    unsigned users = 0;
    futimens(here.fd, NULL);
    clock_gettime(CLOCK_REALTIME, &now);
    name_of(&here.group, prefix);
    int folder = open(FOLDER, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (folder < 0)
        return;
    while ((got = syscall(SYS_getdents64, folder, entries, sizeof entries)) > 0) {
        const struct entry *entry;
        for (long at = 0; at < got; at += entry->length) {
            entry = (const struct entry *)(const void *)(entries + at);
            users += is_recent(folder, entry->name, prefix, now.tv_sec);
        }
    }
    close(folder);
    here.users = users ? users : 1;
}

hri_share_sum hri_share_read(int64_t now_ns)
{
    hri_share_sum sum = {.processes = 1, .users = 1};
    pthread_mutex_lock(&lock);
    if (here.page) {
        if (here.said_ns == 0 || now_ns - here.said_ns >= SAY_NS) {
            here.said_ns = now_ns;
            count_users();
        }
        sum.users = here.users;
        int slots = (int)hri_min(atomic_load(&here.page->head.slots), SLOTS);
        for (int slot = 0; slot < slots; slot++) {
            uint64_t pending = atomic_load_explicit(&here.page->slots[slot].pending, memory_order_acquire);
            if (slot == here.slot)
                continue;
            bool gone = is_free(here.fd, slot);
            sum.processes += !gone;
            sum.pending_bytes += gone ? 0 : pending;
        }
    }
    pthread_mutex_unlock(&lock);
    return sum;
}

void hri_share_fork(hri_fork moment)
{
    hri_fork_lock(&lock, moment);
    if (moment == HRI_FORK_CHILD) { /* locks are not inherited, and closing this file here drops none of the parent's */
        hri_file_close_own(here.fd, &here.mark);
        here.fd = -1;
        here.mark = (hri_file_mark){0};
        here.group = (hri_file_mark){0};
    }
}
