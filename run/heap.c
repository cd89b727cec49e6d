/* SPDX-License-Identifier: Apache-2.0 */
/* The supervisor waits for no process here: the page has no lock, and sockets do not block. Each message is checked,
 * since any process of the machine can reach the socket: the token in the environment is what a peer has to know. */
#include "heap.h"

#include "files.h"
#include "malloc/link.h"
#include "malloc/account.h"
#include "malloc/raw.h"
#include "malloc/slots.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

#define LISTENER UINT32_MAX
#define TIDY_NS (RUN_SECOND_NS / 10)
#define DRIFT_SEEN 3 /* times in a row, before it is taken out */

/* ── the library ────────────────────────────────────────────────────────────────────────────────────────────────── */

bool run_heap_find(run_heap *heap, char *ret_why, size_t size)
{
    static const char *const places[] = {RUN_HEAP_INSTALLED, RUN_HEAP_BUILT}; /* from the command's folder */
    char own[PATH_MAX] = "", path[2 * PATH_MAX];
    ssize_t length = readlink("/proc/self/exe", own, sizeof own - 1);
    own[length > 0 ? length : 0] = '\0';
    char *slash = strrchr(own, '/');
    if (slash)
        *slash = '\0';
    for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
        snprintf(path, sizeof path, "%s/%s", own, places[i]);
        if (!realpath(path, heap->library))
            continue;
        if (!strpbrk(heap->library, " :"))
            return true;
        snprintf(ret_why, size, "'%.200s' cannot be preloaded: its path has a space or a colon", heap->library);
        return false;
    }
    snprintf(ret_why, size, "libheadroom-malloc.so is not installed beside this command: it is in libheadroom-malloc0");
    return false;
}

void run_heap_export(const run_heap *heap)
{
    const char *others = getenv("LD_PRELOAD");
    char all[PATH_MAX + 4096];
    snprintf(all, sizeof all, "%s%s%s", heap->library, others && *others ? ":" : "", others ? others : "");
    setenv("LD_PRELOAD", all, 1);
    setenv(HRI_MALLOC_RUN_VARIABLE, heap->where, 1);
}

/* ── the run around ─────────────────────────────────────────────────────────────────────────────────────────────── */

/* The run whose page and slot src/malloc/link.c speaks of. */
static run_heap *joined;

hri_malloc_page *hri_account_page(void)
{
    return joined ? joined->outer : NULL;
}

unsigned hri_account_slot(void)
{
    return joined->outer_slot;
}

static void join_outer(run_heap *heap)
{
    const char *where = getenv(HRI_MALLOC_RUN_VARIABLE), *why;
    heap->outer = where && *where ? hri_link_open(where, &why) : NULL;
    if (!heap->outer)
        return;
    heap->outer_slot = hri_slots_take(heap->outer, (int32_t)getpid()); /* of headroom's malloc, if it is in it */
    if (heap->outer_slot < HRI_MALLOC_SLOTS)
        return;
    heap->outer_slot = hri_slots_take(heap->outer, 0);
    if (heap->outer_slot == HRI_MALLOC_SLOTS) {
        heap->outer = NULL;
        return;
    }
    joined = heap;
    hri_link_enter();
}

static uint64_t at_most(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

static void wake(hri_malloc_page *page)
{
    atomic_fetch_add(&page->gate, 1);
    hri_raw_futex_wake(&page->gate);
}

/* Charges there what has come since the last look. The supervisor's end settles all of it. */
static void follow_outer(run_heap *heap)
{
    hri_malloc_page *outer = heap->outer;
    if (!outer)
        return;
    uint64_t charged = atomic_load(&heap->page->used_bytes), more = charged - heap->outer_bytes; /* may be negative */
    atomic_fetch_add(&outer->slots[heap->outer_slot].charged_bytes, more);
    uint64_t used = atomic_fetch_add(&outer->used_bytes, more) + more, limit = atomic_load(&outer->limit_bytes);
    if (charged < heap->outer_bytes && atomic_load(&outer->waiters) > 0)
        wake(outer);
    heap->outer_bytes = charged;
    heap->outer_left_bytes = used < limit ? limit - used : 0;
}

/* ── the page ───────────────────────────────────────────────────────────────────────────────────────────────────── */

static int make_page(run_heap *heap)
{
    heap->page_fd = memfd_create("headroom-malloc", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (heap->page_fd < 0 || ftruncate(heap->page_fd, sizeof(hri_malloc_page)) != 0)
        return -errno;
    fcntl(heap->page_fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL);
    void *pages = mmap(NULL, sizeof(hri_malloc_page), PROT_READ | PROT_WRITE, MAP_SHARED, heap->page_fd, 0);
    if (pages == MAP_FAILED)
        return -errno;
    heap->page = pages;
    return 0;
}

static int make_listener(run_heap *heap)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    uint64_t name;
    if (getrandom(&heap->token, sizeof heap->token, 0) < 0 || getrandom(&name, sizeof name, 0) < 0)
        return -errno;
    int length = snprintf(address.sun_path + 1, sizeof address.sun_path - 1, HRI_MALLOC_RUN_NAME "%d-%016llx", getpid(),
                          (unsigned long long)name);
    snprintf(heap->where, sizeof heap->where, "%s:%016llx", address.sun_path + 1, (unsigned long long)heap->token);
    heap->listen_fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    socklen_t bytes = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + (size_t)length);
    if (heap->listen_fd < 0 || bind(heap->listen_fd, (struct sockaddr *)&address, bytes) != 0 ||
        listen(heap->listen_fd, SOMAXCONN) != 0)
        return -errno;
    heap->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    struct epoll_event event = {.events = EPOLLIN, .data.u32 = LISTENER};
    if (heap->epoll_fd < 0 || epoll_ctl(heap->epoll_fd, EPOLL_CTL_ADD, heap->listen_fd, &event) != 0)
        return -errno;
    return 0;
}

int run_heap_open(run_heap *heap, uint64_t limit_bytes, hri_malloc_on_limit on_limit, int64_t wait_ns)
{
    for (size_t i = 0; i < RUN_HEAP_LINKS_MAX; i++)
        heap->links[i].fd = -1;
    heap->page_fd = heap->listen_fd = heap->epoll_fd = -1;
    heap->outer_left_bytes = UINT64_MAX;
    int error = make_page(heap);
    error = error ? error : make_listener(heap);
    if (error) {
        run_heap_close(heap);
        return error;
    }
    join_outer(heap);
    atomic_store(&heap->page->on_limit, (uint32_t)on_limit);
    atomic_store(&heap->page->limit_bytes, limit_bytes);
    atomic_store(&heap->page->most_bytes, limit_bytes);
    heap->least_bytes = limit_bytes;
    atomic_store(&heap->page->wait_ns, wait_ns);
    heap->page->magic = HRI_MALLOC_MAGIC;
    struct rlimit files; /* a descriptor for each process */
    if (getrlimit(RLIMIT_NOFILE, &files) == 0 && files.rlim_cur < files.rlim_max) {
        files.rlim_cur = files.rlim_max;
        setrlimit(RLIMIT_NOFILE, &files);
    }
    return 0;
}

/* ── the bound ──────────────────────────────────────────────────────────────────────────────────────────────────── */

uint64_t run_heap_charged(const run_heap *heap)
{
    return heap->page ? atomic_load(&heap->page->used_bytes) : 0;
}

/* The bytes of blocks and mappings of all programs. A process that has not looked lately may say more spare bytes than
 * it is charged with. */
static uint64_t live_bytes(const hri_malloc_page *page)
{
    uint64_t sum = 0, left = atomic_load(&page->processes);
    for (size_t i = 0; i < HRI_MALLOC_SLOTS && left > 0; i++) {
        left -= atomic_load_explicit(&page->slots[i].pid, memory_order_relaxed) != 0;
        uint64_t charged = atomic_load_explicit(&page->slots[i].charged_bytes, memory_order_relaxed);
        uint64_t spare = atomic_load_explicit(&page->slots[i].spare_bytes, memory_order_relaxed);
        sum += charged > spare ? charged - spare : 0;
    }
    return sum;
}

void run_heap_bound(run_heap *heap, uint64_t limit_bytes, uint64_t room_bytes)
{
    if (!heap->page)
        return;
    follow_outer(heap);
    heap->live_bytes = live_bytes(heap->page);
    heap->live_peak_bytes = heap->live_bytes > heap->live_peak_bytes ? heap->live_bytes : heap->live_peak_bytes;
    uint64_t bytes = at_most(limit_bytes, room_bytes);
    if (heap->outer)
        bytes = at_most(bytes, heap->outer_bytes + heap->outer_left_bytes);
    atomic_store(&heap->page->most_bytes, limit_bytes);
    heap->least_bytes = bytes < heap->least_bytes ? bytes : heap->least_bytes;
    if (bytes > atomic_exchange(&heap->page->limit_bytes, bytes) && atomic_load(&heap->page->waiters) > 0)
        wake(heap->page);
}

void run_heap_close(run_heap *heap)
{
    const int all[] = {heap->page_fd, heap->listen_fd, heap->epoll_fd};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        if (all[i] >= 0)
            close(all[i]);
    if (heap->page) { /* what the command has left behind goes on, and nobody would raise its limit any more */
        atomic_store(&heap->page->most_bytes, UINT64_MAX);
        atomic_store(&heap->page->limit_bytes, UINT64_MAX);
        wake(heap->page);
        munmap(heap->page, sizeof(hri_malloc_page));
    }
    heap->page = NULL;
}

/* ── slots ──────────────────────────────────────────────────────────────────────────────────────────────────────── */

/* Settles a slot that a process entered. Another process may have it by now, if a program that was short has settled it
 * before. */
static void settle(run_heap *heap, uint32_t i)
{
    const hri_malloc_slot *slot = &heap->page->slots[i];
    if (atomic_load(&slot->start) == heap->owners[i].start)
        hri_slots_settle(heap->page, i, heap->owners[i].number);
    heap->owners[i] = (run_heap_owner){0};
}

/* Has the process the page mapped still? Then it has closed its descriptors, and that is all. */
static bool has_page(int pid)
{
    char folder[32], text[4096];
    snprintf(folder, sizeof folder, "/proc/%d/maps", pid);
    int fd = open(folder, O_RDONLY | O_CLOEXEC);
    size_t kept = 0;
    bool found = fd < 0 && errno == EACCES; /* another user's by now: its end is seen by its number */
    for (ssize_t got; fd >= 0 && !found && (got = read(fd, text + kept, sizeof text - 1 - kept)) > 0;) {
        size_t length = kept + (size_t)got;
        text[length] = '\0';
        found = strstr(text, "/memfd:headroom-malloc") != NULL;
        kept = length < 64 ? length : 64; /* a name may be cut in two */
        memmove(text, text + length - kept, kept);
    }
    if (fd >= 0)
        close(fd);
    return found;
}

static uint64_t sum_of_slots(const run_heap *heap, bool *ret_still)
{
    uint64_t sum = 0, intents = 0;
    for (size_t i = 0; i < HRI_MALLOC_SLOTS; i++) {
        sum += atomic_load(&heap->page->slots[i].charged_bytes);
        intents |= atomic_load(&heap->page->slots[i].intent_bytes);
    }
    *ret_still = intents == 0;
    return sum;
}

/* A process that was killed within a charge may have left its bytes in the page and not in its slot, or the other way
 * round. The same difference, seen several times with no charge under way, is that. */
static void mend(run_heap *heap)
{
    bool still;
    uint64_t used = atomic_load(&heap->page->used_bytes), sum = sum_of_slots(heap, &still), drift = used - sum;
    if (!still || used != atomic_load(&heap->page->used_bytes) || drift == 0 || drift != heap->drift) {
        heap->drift = drift;
        heap->drift_count = 0;
        return;
    }
    if (++heap->drift_count < DRIFT_SEEN)
        return;
    atomic_fetch_sub(&heap->page->used_bytes, drift);
    heap->drift_count = 0;
    wake(heap->page);
}

void run_heap_tidy(run_heap *heap, int64_t now_ns)
{
    if (!heap->page || now_ns - heap->tidied_ns < TIDY_NS)
        return;
    heap->tidied_ns = now_ns;
    for (uint32_t i = 0; i < HRI_MALLOC_SLOTS; i++)
        if (!heap->owners[i].pid)
            hri_slots_settle_gone(heap->page, i, i + 1);
    mend(heap);
}

/* ── links ──────────────────────────────────────────────────────────────────────────────────────────────────────── */

static void accept_all(run_heap *heap)
{
    int fd;
    while ((fd = accept4(heap->listen_fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK)) >= 0) {
        uint32_t at = 0;
        struct ucred peer;
        socklen_t size = sizeof peer;
        while (at < RUN_HEAP_LINKS_MAX && heap->links[at].fd >= 0)
            at++;
        struct epoll_event event = {.events = EPOLLIN, .data.u32 = at};
        if (at == RUN_HEAP_LINKS_MAX || getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) != 0 ||
            epoll_ctl(heap->epoll_fd, EPOLL_CTL_ADD, fd, &event) != 0) {
            close(fd);
            continue;
        }
        heap->links[at] = (run_heap_link){.fd = fd, .pid = peer.pid, .slot = RUN_HEAP_NO_SLOT};
    }
}

static void drop(run_heap_link *link)
{
    close(link->fd);
    link->fd = -1;
}

static void send_page(const run_heap *heap, int fd)
{
    char byte = 0;
    union {
        struct cmsghdr head;
        char bytes[CMSG_SPACE(sizeof(int))];
    } control = {0};
    struct iovec text = {&byte, 1};
    struct msghdr message = {
        .msg_iov = &text, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control};
    struct cmsghdr *head = CMSG_FIRSTHDR(&message);
    head->cmsg_level = SOL_SOCKET;
    head->cmsg_type = SCM_RIGHTS;
    head->cmsg_len = CMSG_LEN(sizeof(int));
    memcpy(CMSG_DATA(head), &heap->page_fd, sizeof(int));
    if (sendmsg(fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT) < 0)
        return; /* it has ended meanwhile, which its hang-up tells */
}

/* A process has a slot. Slots that its number had before are those of programs that it was before an exec(). */
static void enter(run_heap *heap, run_heap_link *link, const hri_malloc_message *message)
{
    if (message->slot >= HRI_MALLOC_SLOTS || atomic_load(&heap->page->slots[message->slot].pid) != message->pid)
        return;
    for (uint32_t i = 0; i < HRI_MALLOC_SLOTS; i++)
        if (i != message->slot && heap->owners[i].pid == link->pid)
            settle(heap, i);
    link->slot = message->slot;
    heap->owners[message->slot] = (run_heap_owner){
        .pid = link->pid, .number = message->pid, .start = atomic_load(&heap->page->slots[message->slot].start)};
    heap->entered++;
}

/* A process that has closed its descriptors is watched by a descriptor of its own. Without one it is looked for by its
 * number, as those that have not entered. */
static void watch_process(run_heap *heap, run_heap_link *link)
{
    uint32_t at = (uint32_t)(link - heap->links);
    struct epoll_event event = {.events = EPOLLIN, .data.u32 = at};
    close(link->fd);
    link->fd = (int)syscall(SYS_pidfd_open, link->pid, 0);
    link->is_process = true;
    if (link->fd >= 0 && epoll_ctl(heap->epoll_fd, EPOLL_CTL_ADD, link->fd, &event) == 0)
        return;
    if (link->fd >= 0)
        drop(link);
    heap->owners[link->slot].pid = 0;
}

static void hang_up(run_heap *heap, run_heap_link *link)
{
    bool entered = link->slot != RUN_HEAP_NO_SLOT && heap->owners[link->slot].pid == link->pid;
    if (entered && !link->is_process && has_page(link->pid)) {
        watch_process(heap, link);
        return;
    }
    if (entered)
        settle(heap, link->slot);
    drop(link);
}

static void hear(run_heap *heap, run_heap_link *link)
{
    hri_malloc_message message;
    if (link->is_process) {
        hang_up(heap, link);
        return;
    }
    ssize_t got = recv(link->fd, &message, sizeof message, MSG_DONTWAIT);
    if (got < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (got != sizeof message || message.magic != HRI_MALLOC_MAGIC || message.token != heap->token)
        hang_up(heap, link);
    else if (message.word == HRI_MALLOC_HELLO)
        send_page(heap, link->fd);
    else if (message.word == HRI_MALLOC_ENTER)
        enter(heap, link, &message);
}

void run_heap_serve(run_heap *heap)
{
    struct epoll_event events[64];
    int count = heap->page ? epoll_wait(heap->epoll_fd, events, 64, 0) : 0;
    for (int i = 0; i < count; i++) {
        if (events[i].data.u32 == LISTENER)
            accept_all(heap);
        else if (heap->links[events[i].data.u32].fd >= 0)
            hear(heap, &heap->links[events[i].data.u32]);
    }
}
