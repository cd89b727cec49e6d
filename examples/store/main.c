/* SPDX-License-Identifier: Apache-2.0 */
/* headroom-store: an object store over HTTP that lives inside its memory limit.
 *
 * One thread serves (http.c), the guard's monitor watches, and this one starts and ends it all. Read on in this order:
 * memory.c makes the guard and its budgets, upload.c admits each write before its body is read, and objects.c keeps
 * objects in a cache that yields. Reads and health checks are served at every level.
 */
#include "store.h"

#include <errno.h>
#include <headroom/http.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define DRAIN_S 10
#define SWEEP_NS 50000000

/* Says why there is no guard, and gives the status to end with. */
static int complain(const struct options *options, int error)
{
    struct stat status;
    const char *history = options->history, *why = strerror(-error);
    bool is_file = !history || stat(history, &status) != 0 || S_ISREG(status.st_mode);
    if (error == -EINVAL && is_file) {
        fprintf(stderr, "headroom-store: these thresholds contradict each other: --warn-at <= --degrade-at < "
                        "--critical-at, and --recover-below < --degrade-at\n");
        return EXIT_USAGE;
    }
    if (!history || error == -ENOMEM || error == -EMFILE || error == -ENFILE || error == -EAGAIN) {
        fprintf(stderr, "headroom-store: cannot start: %s\n", why);
        return EXIT_FAILURE;
    }
    if (error == -EINVAL)
        why = "it is no regular file";
    else if (error == -EBUSY)
        why = "another process writes it; each needs a file of its own";
    else if (error == -EBADMSG)
        why = "it is there and no history file; it is left as it is";
    else if (error == -EPROTONOSUPPORT)
        why = "it was written by another version of headroom; it is left as it is";
    fprintf(stderr, "headroom-store: --history '%s': %s\n", history, why);
    return EXIT_FAILURE;
}

/* Serves the guard's page beside the objects, if that is asked for. False, and said, if it cannot be. */
static bool open_page(const struct options *options, hr_http **ret_page)
{
    *ret_page = NULL;
    if (!options->page)
        return true;
    hr_http_options page = {.address = options->page, .token = getenv("HEADROOM_HTTP_TOKEN")};
    int error = hr_http_start(memory.guard, &page, ret_page);
    if (error == -EACCES)
        fprintf(stderr,
                "headroom-store: --page '%s' can be reached from other machines: put a token of 16 characters or "
                "more into HEADROOM_HTTP_TOKEN, or listen on 127.0.0.1\n",
                options->page);
    else if (error == -EINVAL && page.token && *page.token && strlen(page.token) < HR_HTTP_TOKEN_BYTES)
        fprintf(stderr,
                "headroom-store: --page '%s': the token in HEADROOM_HTTP_TOKEN has %zu characters, and at least %d are "
                "asked\n",
                options->page, strlen(page.token), HR_HTTP_TOKEN_BYTES);
    else if (error)
        fprintf(stderr, "headroom-store: --page '%s': %s\n", options->page,
                error == -EINVAL ? "write HOST:PORT, such as 127.0.0.1:9464" : strerror(-error));
    else
        printf("headroom-store: the page is on port %u\n", hr_http_port(*ret_page));
    return error == 0;
}

/* Waits for a signal, and sweeps meanwhile. Returns whether one came within a moment. */
static bool stop_asked(const sigset_t *signals)
{
    const struct timespec moment = {.tv_nsec = SWEEP_NS};
    linger_sweep();
    connections_sweep();
    memory_watch_history();
    return sigtimedwait(signals, NULL, &moment) > 0;
}

/* Serves until a signal comes, then finishes what is in flight: for DRAIN_S, or until the next signal. */
static void serve(const sigset_t *signals)
{
    while (!stop_asked(signals))
        ;
    http_drain();
    time_t last = time(NULL) + DRAIN_S;
    while (http_in_flight > 0 && time(NULL) < last && !stop_asked(signals))
        ;
    http_close();
}

/* A full disk is no success, nor where argp has printed and ends the program by itself. */
static void check_output(void)
{
    if (fflush(stdout) == 0 && !ferror(stdout))
        return;
    perror("headroom-store: standard output");
    _exit(EXIT_FAILURE);
}

int main(int argc, char **argv)
{
    struct options options;
    atexit(check_output);
    options_parse(argc, argv, &options);

    /* Signals are waited for by this thread, so no other is to be interrupted by them. */
    sigset_t signals;
    sigemptyset(&signals);
    sigaddset(&signals, SIGTERM);
    sigaddset(&signals, SIGINT);
    pthread_sigmask(SIG_BLOCK, &signals, NULL);
    signal(SIGPIPE, SIG_IGN);

    /* Each connection is a descriptor: asks for as many as are allowed. */
    struct rlimit descriptors;
    getrlimit(RLIMIT_NOFILE, &descriptors);
    descriptors.rlim_cur = descriptors.rlim_max;
    setrlimit(RLIMIT_NOFILE, &descriptors);

    int error = memory_open(&options);
    if (error)
        return complain(&options, error);
    error = shelves_open();
    if (!error && !answers_open())
        error = -ENOMEM;
    if (error) {
        fprintf(stderr, "headroom-store: cannot start: %s\n", strerror(-error));
        return EXIT_FAILURE;
    }
    hr_http *page;
    bool served = open_page(&options, &page) && http_open(&options);
    if (served)
        serve(&signals);
    hr_http_stop(page);
    shelves_close();
    memory_close();
    return served ? EXIT_SUCCESS : EXIT_FAILURE;
}
