/* SPDX-License-Identifier: Apache-2.0 */
/* The descriptor is close-on-exec. A program may close it, as programs do that close all; then the number may become
 * another file's. So it is never used again after its first messages, and a forked child closes its copy only where
 * it is still the same socket. */
#include "malloc/link.h"

#include "malloc/account.h"
#include "malloc/raw.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#define ANSWER_SECONDS 2

static int link_fd = -1;
static dev_t link_device;
static ino_t link_inode;
static struct sockaddr_un address;
static socklen_t address_bytes;
static uint64_t token;

/* Reads NAME:TOKEN. */
static bool read_where(const char *where)
{
    const char *colon = strchr(where, ':');
    if (!colon || colon == where || (size_t)(colon - where) >= sizeof address.sun_path - 1)
        return false;
    char *end;
    token = strtoull(colon + 1, &end, 16);
    if (end == colon + 1 || *end)
        return false;
    address.sun_family = AF_UNIX;
    memcpy(address.sun_path + 1, where, (size_t)(colon - where));
    address_bytes = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + (size_t)(colon - where));
    return true;
}

/* Has the run ended? A supervisor that is about to has closed its socket already, so it has a moment. */
static bool has_ended(const char *where)
{
    size_t length = sizeof HRI_MALLOC_RUN_NAME - 1;
    int pid = strncmp(where, HRI_MALLOC_RUN_NAME, length) == 0 ? (int)strtol(where + length, NULL, 10) : 0;
    for (int round = 0; pid > 0 && round < 20; round++) {
        if (kill(pid, 0) != 0 && errno == ESRCH)
            return true;
        usleep(5000);
    }
    return false;
}

static int open_socket(int flags)
{
    int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | flags, 0);
    if (fd >= 0 && connect(fd, (const struct sockaddr *)&address, address_bytes) != 0) {
        close(fd);
        return -1;
    }
    return fd;
}

/* Keeps it, out of the numbers that programs expect for their own files. */
static void keep(int fd)
{
    struct stat state;
    int high = fcntl(fd, F_DUPFD_CLOEXEC, 512);
    if (high >= 0) {
        close(fd);
        fd = high;
    }
    if (fstat(fd, &state) != 0)
        return;
    link_fd = fd;
    link_device = state.st_dev;
    link_inode = state.st_ino;
}

static bool say_word(int fd, hri_malloc_word word, unsigned slot)
{
    const hri_malloc_message message = {
        .magic = HRI_MALLOC_MAGIC, .word = word, .token = token, .pid = getpid(), .slot = slot};
    return send(fd, &message, sizeof message, MSG_NOSIGNAL) == sizeof message;
}

/* The answer is one byte with the page's descriptor. */
static int receive(int fd)
{
    union {
        struct cmsghdr head;
        char bytes[CMSG_SPACE(sizeof(int))];
    } control;
    char byte;
    struct iovec text = {&byte, 1};
    struct msghdr message = {
        .msg_iov = &text, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control};
    ssize_t got;
    do
        got = recvmsg(fd, &message, MSG_CMSG_CLOEXEC);
    while (got < 0 && errno == EINTR);
    const struct cmsghdr *head = got == 1 ? CMSG_FIRSTHDR(&message) : NULL;
    if (!head || head->cmsg_level != SOL_SOCKET || head->cmsg_type != SCM_RIGHTS)
        return -1;
    int page_fd;
    memcpy(&page_fd, CMSG_DATA(head), sizeof page_fd);
    return page_fd;
}

static hri_malloc_page *map_page(int fd)
{
    struct stat state;
    if (fstat(fd, &state) != 0 || state.st_size < (off_t)sizeof(hri_malloc_page))
        return NULL;
    hri_malloc_page *page = hri_raw_mmap(NULL, sizeof(hri_malloc_page), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (page == MAP_FAILED)
        return NULL;
    if (page->magic == HRI_MALLOC_MAGIC)
        return page;
    hri_raw_munmap(page, sizeof(hri_malloc_page));
    return NULL;
}

hri_malloc_page *hri_link_open(const char *where, const char **ret_why)
{
    *ret_why = "HEADROOM_RUN is not what 'headroom run' sets";
    if (!read_where(where))
        return NULL;
    *ret_why = "'headroom run' cannot be reached from here: it has ended, or this is another network namespace";
    int fd = open_socket(0);
    if (fd < 0) {
        *ret_why = has_ended(where) ? NULL : *ret_why;
        return NULL;
    }
    const struct timeval most = {.tv_sec = ANSWER_SECONDS};
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &most, sizeof most);
    *ret_why = "'headroom run' does not answer, or is of another version";
    int page_fd = say_word(fd, HRI_MALLOC_HELLO, 0) ? receive(fd) : -1;
    hri_malloc_page *page = page_fd < 0 ? NULL : map_page(page_fd);
    if (page_fd >= 0)
        close(page_fd);
    if (page)
        keep(fd);
    else
        close(fd);
    return page;
}

void hri_link_enter(void)
{
    say_word(link_fd, HRI_MALLOC_ENTER, hri_account_slot());
}

void hri_link_fork_child(void)
{
    struct stat state;
    if (link_fd < 0)
        return;
    if (fstat(link_fd, &state) == 0 && state.st_dev == link_device && state.st_ino == link_inode)
        close(link_fd);
    link_fd = -1;
    int fd = hri_account_page() ? open_socket(SOCK_NONBLOCK) : -1;
    if (fd < 0)
        return;
    keep(fd);
    hri_link_enter();
}
