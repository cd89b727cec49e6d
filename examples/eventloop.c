/* SPDX-License-Identifier: Apache-2.0 */
/* An event loop: one thread, epoll, and a descriptor that says when the level has changed.
 *
 * hr_guard_fd() is readable after each change of level, so the loop needs neither a callback nor a thread of its own.
 * From degraded on this loop takes its listener out of epoll: clients wait in the kernel's queue, which costs this
 * process nothing. When the level has come down it accepts again. A loop that only looks at the level before each
 * accept() has no reason to wake up once memory is back. Each client's memory is hr_alloc()ed: NULL closes it. */
#include <headroom/headroom.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

enum {
    CLIENTS = 64,
    CLIENT_BYTES = 1 << 20
};

struct server {
    hr_guard *guard;
    int epoll, listener;
    bool accepts;
    void *kept[CLIENTS];
    unsigned count, refused, pauses; /* `count` of them are kept */
};

static void accept_or_not(struct server *server)
{
    bool wanted = hr_guard_level(server->guard) < HR_DEGRADED;
    if (wanted == server->accepts)
        return;
    struct epoll_event event = {.events = EPOLLIN, .data.fd = server->listener};
    epoll_ctl(server->epoll, wanted ? EPOLL_CTL_ADD : EPOLL_CTL_DEL, server->listener, &event);
    server->accepts = wanted;
    server->pauses += !wanted;
}

static void serve_one(struct server *server)
{
    char client;
    if (read(server->listener, &client, sizeof client) != sizeof client) /* a real server calls accept() */
        return;
    void *block = hr_alloc(hr_guard_root(server->guard), CLIENT_BYTES);
    if (block)
        server->kept[server->count++] = memset(block, client, CLIENT_BYTES);
    else
        server->refused++; /* a real server closes the connection */
}

int main(void)
{
    static struct server server;
    int ends[2];
    char clients[CLIENTS] = {0};
    if (hr_guard_new(NULL, &server.guard) != 0 || pipe(ends) != 0)
        return 1;
    server.epoll = epoll_create1(EPOLL_CLOEXEC), server.listener = ends[0];
    int levels = hr_guard_fd(server.guard); /* it belongs to the guard: read it, do not close it */
    struct epoll_event event = {.events = EPOLLIN, .data.fd = levels};
    if (levels < 0 || epoll_ctl(server.epoll, EPOLL_CTL_ADD, levels, &event) != 0)
        return 1;
    accept_or_not(&server);
    bool queued = write(ends[1], clients, CLIENTS) == CLIENTS;
    while (queued && server.count + server.refused < CLIENTS && epoll_wait(server.epoll, &event, 1, 2000) == 1) {
        uint64_t changes;
        if (event.data.fd == server.listener)
            serve_one(&server);
        else if (read(levels, &changes, sizeof changes) == sizeof changes)
            accept_or_not(&server);
    }
    printf("%u served, %u refused, %u still wait in the queue; stopped accepting %u times; level %s\n", server.count,
           server.refused, CLIENTS - server.count - server.refused, server.pauses,
           hr_level_text(hr_guard_level(server.guard)));
    while (server.count > 0)
        hr_free(server.kept[--server.count]);
    hr_guard_free(server.guard);
    return !queued;
}
