/* SPDX-License-Identifier: Apache-2.0 */
#include "serve.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int run_serve_new(const char *title, const char *command, run_serve **ret_serve)
{
    run_serve *serve = calloc(1, sizeof *serve);
    if (!serve)
        return -ENOMEM;
    memset(serve->samples, 0, sizeof serve->samples); /* touched: it is there when memory is short */
    pthread_mutex_init(&serve->lock, NULL);
    serve->every = 1;
    serve->kills = HR_NONE;
    snprintf(serve->title, sizeof serve->title, "%s", title);
    snprintf(serve->command, sizeof serve->command, "%s", command);
    *ret_serve = serve;
    return 0;
}

void run_serve_free(run_serve *serve)
{
    if (serve)
        pthread_mutex_destroy(&serve->lock);
    free(serve);
}

/* Of two samples that become one stays the one that used more. */
static void halve(run_serve *serve)
{
    for (size_t i = 0; i < RUN_SAMPLES_MAX / 2; i++) {
        const hr_record *a = &serve->samples[2 * i], *b = a + 1;
        serve->samples[i] = b->live_bytes > a->live_bytes ? *b : *a;
    }
    serve->sample_count = RUN_SAMPLES_MAX / 2;
    serve->every *= 2;
}

void run_serve_sample(run_serve *serve, const hr_record *record, const char *limit_source)
{
    pthread_mutex_lock(&serve->lock);
    snprintf(serve->limit_source, sizeof serve->limit_source, "%s", limit_source);
    serve->peak_bytes = record->live_bytes > serve->peak_bytes ? record->live_bytes : serve->peak_bytes;
    if (serve->sample_count == RUN_SAMPLES_MAX)
        halve(serve);
    /* The newest is always there; until its stretch is over a larger one takes its place. */
    bool goes_on = serve->passed > 0 && serve->sample_count > 0;
    hr_record *at = &serve->samples[serve->sample_count - goes_on];
    if (!goes_on || record->live_bytes >= at->live_bytes || record->level != at->level)
        *at = *record;
    serve->sample_count += !goes_on;
    serve->passed = (serve->passed + 1) % serve->every;
    pthread_mutex_unlock(&serve->lock);
}

void run_serve_kills(run_serve *serve, uint64_t kills)
{
    pthread_mutex_lock(&serve->lock);
    serve->kills = kills;
    pthread_mutex_unlock(&serve->lock);
}

void run_serve_event(run_serve *serve, const hr_event *event)
{
    pthread_mutex_lock(&serve->lock);
    serve->actions += event->kind == HR_EVENT_ACTION;
    if (serve->event_count == RUN_EVENTS_MAX) {
        memmove(serve->events, serve->events + 1, --serve->event_count * sizeof *serve->events);
        serve->events_lost++;
    }
    serve->events[serve->event_count++] = *event;
    pthread_mutex_unlock(&serve->lock);
}

/* ── answers ────────────────────────────────────────────────────────────────────────────────────────────────────── */

ssize_t run_serve_page_data(void *context, char *buffer, size_t size)
{
    run_serve *serve = context;
    hr_trend trend;
    char left_out[128] = "what budgets hold: headroom run looks from outside";
    pthread_mutex_lock(&serve->lock);
    size_t count = serve->sample_count;
    const hr_record *last = count ? &serve->samples[count - 1] : NULL;
    if (serve->events_lost)
        snprintf(left_out + strlen(left_out), sizeof left_out - strlen(left_out), "\n%" PRIu64 " older events",
                 serve->events_lost);
    bool has_trend = last && hr_trend_compute(serve->samples, count, last->limit_bytes, &trend) == 0;
    hr_page_run run = {
        .title = serve->title,
        .command = *serve->command ? serve->command : NULL,
        .source = "headroom run, live",
        .left_out = left_out,
        .limit_source = serve->limit_source,
        .history = {serve->samples, count, serve->events, serve->event_count},
        .level = last ? last->level : HR_NORMAL,
        .kernel_kills = serve->kills,
        .trend = has_trend ? &trend : NULL,
    };
    ssize_t length = hr_page_format(&(hr_page){.runs = &run, .run_count = 1, .live = true}, buffer, size);
    pthread_mutex_unlock(&serve->lock);
    return length;
}

#define FAMILY(name, type, unit, help)                                                                                 \
    "# TYPE headroom_run_" name " " type "\n" unit "# HELP headroom_run_" name " " help "\n"
#define BYTES(name) "# UNIT headroom_run_" name " bytes\n"

ssize_t run_serve_metrics(void *context, char *buffer, size_t size)
{
    /* clang-format off */
    static const char families[] =
        FAMILY("level", "gauge", "", "0 normal, 1 warning, 2 degraded, 3 critical")
        "headroom_run_level %u\n"
        FAMILY("use_bytes", "gauge", BYTES("use_bytes"), "memory of the command and of all that it started")
        "headroom_run_use_bytes %" PRIu64 "\n"
        FAMILY("limit_bytes", "gauge", BYTES("limit_bytes"), "its limit")
        "headroom_run_limit_bytes %" PRIu64 "\n"
        FAMILY("peak_bytes", "gauge", BYTES("peak_bytes"), "the most that was used")
        "headroom_run_peak_bytes %" PRIu64 "\n"
        FAMILY("actions", "counter", "", "what headroom run did")
        "headroom_run_actions_total %" PRIu64 "\n";
    static const char kills[] =
        FAMILY("kernel_kills", "counter", "", "processes that the kernel killed")
        "headroom_run_kernel_kills_total %" PRIu64 "\n";
    /* clang-format on */
    run_serve *serve = context;
    pthread_mutex_lock(&serve->lock);
    hr_record last = serve->sample_count ? serve->samples[serve->sample_count - 1] : (hr_record){0};
    size_t length = (size_t)snprintf(buffer, size, families, (unsigned)last.level, last.live_bytes, last.limit_bytes,
                                     serve->peak_bytes, serve->actions);
    if (serve->kills != HR_NONE && length < size)
        length += (size_t)snprintf(buffer + length, size - length, kills, serve->kills);
    pthread_mutex_unlock(&serve->lock);
    if (length < size)
        length += (size_t)snprintf(buffer + length, size - length, "# EOF\n");
    return (ssize_t)length;
}

hr_level run_serve_level(void *context)
{
    run_serve *serve = context;
    pthread_mutex_lock(&serve->lock);
    hr_level level = serve->sample_count ? serve->samples[serve->sample_count - 1].level : HR_NORMAL;
    pthread_mutex_unlock(&serve->lock);
    return level;
}
