/* SPDX-License-Identifier: Apache-2.0 */
/* The data of a run's page over HTTP: samples and events that the loop hands over, and that a server's thread
 * formats. All memory is there from the start. When the samples are full every second one goes, and from then on half
 * as many come: so the whole run is there, however long it takes. */
#ifndef RUN_SERVE_H
#define RUN_SERVE_H

#include <headroom/report.h>

#include <pthread.h>

#define RUN_SAMPLES_MAX 2048
#define RUN_EVENTS_MAX 256

typedef struct run_serve {
    pthread_mutex_t lock;
    hr_record samples[RUN_SAMPLES_MAX];
    size_t sample_count;
    unsigned every, passed; /* one of this many samples is kept, and how many came since */
    hr_event events[RUN_EVENTS_MAX];
    size_t event_count;
    uint64_t events_lost;
    uint64_t kills; /* by the kernel; HR_NONE: they are not seen */
    uint64_t actions;
    uint64_t peak_bytes;
    char title[64], command[HR_COMMAND_BYTES], limit_source[HR_LIMIT_SOURCE_BYTES];
} run_serve;

/* The server, which the command line knows: a library of its own. */
typedef struct run_server {
    /* Gives a server, or NULL after it has said why not. */
    void *(*start)(const char *address, run_serve *serve);
    void (*stop)(void *server);
} run_server;

/* Gives 0 or -ENOMEM. */
int run_serve_new(const char *title, const char *command, run_serve **ret_serve);
void run_serve_free(run_serve *serve);

void run_serve_sample(run_serve *serve, const hr_record *record, const char *limit_source);
void run_serve_kills(run_serve *serve, uint64_t kills);
void run_serve_event(run_serve *serve, const hr_event *event);

/* For the server's thread; they format as snprintf() does. */
ssize_t run_serve_page_data(void *serve, char *buffer, size_t size);
ssize_t run_serve_metrics(void *serve, char *buffer, size_t size);
hr_level run_serve_level(void *serve);

#endif
