/* SPDX-License-Identifier: Apache-2.0 */
/* Connections: what they cost, and how long each is waited for. Clients that send a byte now and then would else hold
 * all there are, and nobody else were served, not even health checks. So a client has to bring its headers, and then of
 * its body at least PROGRESS_BYTES, each time within CONNECTION_TIMEOUT_S; and within FULL_PATIENCE_S while all
 * connections are taken. Those to whom an answer is being sent are left to libmicrohttpd's own timeout.
 *
 * libmicrohttpd has no call to end a connection. It is shut down instead, which looks as if the client had left.
 *
 * Invariant: a client is in the list from its connection's start to its end, after which its descriptor is closed.
 * Locking: one mutex over the list. Only the thread that serves knows the bytes that a client has brought.
 */
#include "store.h"

#include <stdlib.h>
#include <sys/socket.h>
#include <time.h>

/* The bytes that a connection may cost in all: for headers and to receive into, the part of an object that is being
 * sent, libmicrohttpd's records and ours. */
#define COST_BYTES (CONNECTION_MEMORY_BYTES + SENDING_BYTES + 2048)
#define FULL_PATIENCE_S 5
#define PROGRESS_BYTES 16384

struct client {
    struct client *next;
    struct client **link; /* what points here */
    int descriptor;
    bool is_charged;
    size_t brought_bytes;        /* since the moment from which it is waited for */
    atomic_int_fast64_t since_s; /* that moment; 0: it is not waited for */
};

static struct client *clients;
static unsigned count, count_max;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static int64_t now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return time.tv_sec + 1; /* so it is never 0 */
}

/* NULL: there was no memory for it. */
static struct client *client_of(struct MHD_Connection *connection)
{
    const union MHD_ConnectionInfo *info = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
    return info ? info->socket_context : NULL;
}

/* Where even the charge is refused the connection is served all the same, since reads and health checks always are; the
 * guard then sees it in the cgroup's figure. */
static struct client *client_new(struct MHD_Connection *connection)
{
    const union MHD_ConnectionInfo *info = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD);
    struct client *client = info ? malloc(sizeof *client) : NULL;
    if (!client)
        return NULL;
    *client = (struct client){.next = clients, .link = &clients, .descriptor = info->connect_fd, .since_s = now()};
    client->is_charged = memory.connections && hr_budget_charge(memory.connections, COST_BYTES) == 0;
    if (clients)
        clients->link = &client->next;
    clients = client;
    return client;
}

static void client_free(struct client *client)
{
    if (!client)
        return;
    *client->link = client->next;
    if (client->next)
        client->next->link = client->link;
    if (client->is_charged)
        hr_budget_uncharge(memory.connections, COST_BYTES);
    free(client);
}

void connections_open(unsigned max)
{
    count_max = max;
}

void connection_changed(void *cls, struct MHD_Connection *connection, void **context,
                        enum MHD_ConnectionNotificationCode what)
{
    (void)cls;
    pthread_mutex_lock(&lock);
    if (what == MHD_CONNECTION_NOTIFY_STARTED) {
        count++;
        *context = client_new(connection);
    } else {
        count--;
        client_free(*context);
    }
    pthread_mutex_unlock(&lock);
}

void connection_await(struct MHD_Connection *connection, bool awaited)
{
    struct client *client = client_of(connection);
    if (!client)
        return;
    client->brought_bytes = 0;
    client->since_s = awaited ? now() : 0;
}

void connection_brought(struct MHD_Connection *connection, size_t size)
{
    struct client *client = client_of(connection);
    if (client && (client->brought_bytes += size) >= PROGRESS_BYTES)
        connection_await(connection, true);
}

void connections_sweep(void)
{
    static int64_t swept_s;
    int64_t now_s = now();
    if (swept_s == now_s)
        return;
    swept_s = now_s;
    pthread_mutex_lock(&lock);
    int64_t patience_s = count < count_max ? CONNECTION_TIMEOUT_S : FULL_PATIENCE_S;
    for (struct client *client = clients; client; client = client->next) {
        int64_t since_s = client->since_s;
        if (since_s && now_s - since_s > patience_s)
            shutdown(client->descriptor, SHUT_RDWR);
    }
    pthread_mutex_unlock(&lock);
}
