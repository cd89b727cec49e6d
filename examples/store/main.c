/* SPDX-License-Identifier: Apache-2.0 */
/* headroom-store: an object store over HTTP that lives inside its memory limit.
 *
 * One thread serves (http.c), the guard's monitor watches, and this one starts and ends it all. What the store does with headroom, in order of
 * reading: memory.c makes the guard and its budgets, upload.c admits each write before its body is read, the reclaimer
 * below lets the cache yield, and reads and health checks are served at every level.
 */
#include <errno.h>
#include <netdb.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "answer.h"
#include "http.h"
#include "linger.h"
#include "memory.h"
#include "objects.h"
#include "options.h"

#define DRAIN_S 10
#define SWEEP_NS 50000000

static struct shelf shelves[SHELF_COUNT];

/* How the guard asks the cache to yield: on any thread, so shelf_yield() takes only the shelf's lock. */
static hr_reclaimer cache_reclaimer = {.name = "cache", .reclaim = shelf_yield, .context = &shelves[SHELF_CACHE]};

static int fail(const char *what, const char *why)
{
    fprintf(stderr, "headroom-store: %s: %s\n", what, why);
    return EXIT_FAILURE;
}

/* Signals are waited for by the main thread, so no thread is to be interrupted by them. */
static void hold_signals(sigset_t *ret_signals)
{
    sigemptyset(ret_signals);
    sigaddset(ret_signals, SIGTERM);
    sigaddset(ret_signals, SIGINT);
    pthread_sigmask(SIG_BLOCK, ret_signals, NULL);
    signal(SIGPIPE, SIG_IGN);
}

/* Each connection is a descriptor: asks for as many as are allowed. */
static void raise_descriptor_limit(unsigned max_connections)
{
    struct rlimit limit;
    rlim_t need = max_connections + 64;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur >= need)
        return;
    limit.rlim_cur = need < limit.rlim_max ? need : limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
}

/* Returns the listening socket; below 0 after saying why there is none. */
static int listen_on(const struct options *options)
{
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE}, *address;
    int error = getaddrinfo(options->host, options->port, &hints, &address);
    if (error) {
        fail(options->host, gai_strerror(error));
        return -1;
    }
    int on = 1;
    int listener = socket(address->ai_family, address->ai_socktype | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    bool listening = listener >= 0 && setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) == 0 &&
                     bind(listener, address->ai_addr, address->ai_addrlen) == 0 && listen(listener, SOMAXCONN) == 0;
    int why = errno;
    freeaddrinfo(address);
    if (listening)
        return listener;
    fprintf(stderr, "headroom-store: cannot listen on %s:%s: %s\n", options->host, options->port, strerror(why));
    if (listener >= 0)
        close(listener);
    return -1;
}

static void say_ready(int listener, const struct options *options)
{
    struct sockaddr_storage address = {0};
    socklen_t size = sizeof address;
    char host[64] = "?", port[8] = "?", limit[24];
    if (getsockname(listener, (struct sockaddr *)&address, &size) == 0)
        getnameinfo((struct sockaddr *)&address, size, host, sizeof host, port, sizeof port,
                    NI_NUMERICHOST | NI_NUMERICSERV);
    const char *open = address.ss_family == AF_INET6 ? "[" : "", *shut = address.ss_family == AF_INET6 ? "]" : "";
    hr_figures figures;
    if (options->unguarded)
        printf("headroom-store: listening on %s%s%s:%s, unguarded\n", open, host, shut, port);
    else if (hr_guard_read(memory_guard(), &figures) == 0)
        printf("headroom-store: listening on %s%s%s:%s, limit %s (%s)\n", open, host, shut, port,
               hr_size_format(figures.limit_bytes, limit, sizeof limit), figures.limit_source);
    fflush(stdout);
}

/* Waits for a signal, and sweeps meanwhile. Returns whether one came within a moment. */
static bool stop_asked(const sigset_t *signals)
{
    const struct timespec moment = {.tv_nsec = SWEEP_NS};
    linger_sweep();
    return sigtimedwait(signals, NULL, &moment) > 0;
}

/* Serves until a signal comes, then finishes what is in flight: for DRAIN_S, or until the next signal. */
static void serve(const sigset_t *signals)
{
    while (!stop_asked(signals))
        ;
    http_drain();
    time_t last = time(NULL) + DRAIN_S;
    while (http_in_flight() > 0 && time(NULL) < last && !stop_asked(signals))
        ;
    http_close();
    linger_close_all();
}

static int open_shelves(void)
{
    const struct memory_budgets *budgets = memory_budgets();
    int error = shelf_open(&shelves[SHELF_CACHE], "cache", budgets->cache, true);
    if (!error)
        error = shelf_open(&shelves[SHELF_PINNED], "pinned", budgets->pinned, false);
    cache_reclaimer.budget = budgets->cache;
    if (!error && memory_guard())
        error = hr_reclaimer_add(memory_guard(), &cache_reclaimer);
    return error;
}

static int run(const struct options *options, const sigset_t *signals)
{
    if (!answers_open())
        return fail("cannot start", "out of memory");
    int error = open_shelves();
    if (error)
        return fail("cannot make the tables", strerror(-error));
    int listener = listen_on(options);
    if (listener < 0)
        return EXIT_FAILURE;
    say_ready(listener, options);
    if (http_open(listener, shelves, options->max_connections))
        return fail("cannot start to serve", strerror(errno));
    serve(signals);
    return EXIT_SUCCESS;
}

int main(int argc, char **argv)
{
    struct options options;
    int status = options_parse(argc, argv, &options);
    if (status >= 0)
        return status;
    sigset_t signals;
    hold_signals(&signals);
    raise_descriptor_limit(options.max_connections);
    int error = memory_open(&options);
    if (error == -EINVAL) {
        fputs("headroom-store: these thresholds contradict each other: --warn-at <= --degrade-at < --critical-at, and "
              "--recover-below < --degrade-at\n",
              stderr);
        return 2;
    }
    if (error)
        return fail("cannot make the guard", strerror(-error));
    status = run(&options, &signals);
    if (memory_guard())
        hr_reclaimer_remove(memory_guard(), &cache_reclaimer);
    shelf_close(&shelves[SHELF_PINNED]);
    shelf_close(&shelves[SHELF_CACHE]);
    answers_close();
    memory_close();
    return status;
}
