/* SPDX-License-Identifier: Apache-2.0 */
/* The program around the pieces of C on the pages of docs/: what a reader takes for granted there. tests/docs/blocks.py
 * compiles each piece behind this. */
#ifndef PRELUDE_H
#define PRELUDE_H

#include <headroom/headroom.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

struct connection {
    int fd;
    char *body;
    size_t length, received;
    hr_ticket ticket;
    hr_budget *budget;
    struct connection *next;
};

extern hr_guard *guard;
extern hr_budget *budget, *clients, *uploads;
extern hr_cache *cache;
extern hr_byte_pool *buffers;
extern struct connection *connection;
extern int client, fd, listener, epoll;
extern size_t size, length, key_size;
extern const void *key;

bool read_whole(int fd, void *bytes, size_t size);
ssize_t read_some(int fd, void *bytes, size_t size);
void answer(int client, int status);
void answer_later(int client, int status, int64_t retry_after_ns);
void send_bytes(int client, const void *bytes, size_t size);
void log_line(const char *text);
void use(void *bytes);
void send_page(const char *page);
const char *my_table_get(const char *name);

#endif
