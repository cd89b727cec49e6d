/* SPDX-License-Identifier: Apache-2.0 */
/* The report as a page: what the file has, handed to the library. */
#include "report.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define SENTENCES_BYTES 1024

/* What of the file is not on the page, a sentence a line. */
static void write_left_out(const struct history *history, char text[SENTENCES_BYTES])
{
    const hr_history_findings *findings = &history->findings;
    size_t at = 0;
    const struct {
        uint64_t count;
        const char *what;
    } parts[] = {
        {history->left_out, "older samples"},
        {history->event_count - events_kept(history), "older events"},
        {findings->damaged, "damaged entries"},
        {findings->unknown, "entries of a later version"},
        {findings->torn_bytes, "bytes of an entry that was never finished"},
    };
    text[0] = '\0';
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
        if (parts[i].count)
            at += (size_t)snprintf(text + at, SENTENCES_BYTES - at, "%s%" PRIu64 " %s", at ? "\n" : "", parts[i].count,
                                   parts[i].what);
    snprintf(text + at, SENTENCES_BYTES - at, "%sbudgets, pools and caches, of which a history file has no samples",
             at ? "\n" : "");
}

/* The last that is known of the kernel's kills; HR_NONE where nobody looked from outside. */
static uint64_t kills_of(const struct history *history)
{
    for (size_t i = events_kept(history); i-- > 0;)
        if (event_at(history, i)->kind == HR_EVENT_KERNEL_KILL)
            return event_at(history, i)->kills;
    return HR_NONE;
}

static hr_event *copy_events(const struct history *history)
{
    hr_event *events = calloc(events_kept(history) + 1, sizeof *events);
    for (size_t i = 0; events && i < events_kept(history); i++)
        events[i] = *event_at(history, i);
    return events;
}

int report_print_html(const struct history *history, FILE *out)
{
    char left_out[SENTENCES_BYTES], source[512];
    const char *slash = strrchr(history->path, '/');
    hr_event *events = copy_events(history);
    if (!events)
        return -ENOMEM;
    write_left_out(history, left_out);
    snprintf(source, sizeof source, "history file %s%s", history->path, history->findings.older ? " and its older part" : "");
    hr_page_run run = {
        .title = slash ? slash + 1 : history->path,
        .source = source,
        .left_out = left_out,
        .history = {history->records, history->count, events, events_kept(history)},
        .begins = history->begins,
        .begin_count = history->begin_count,
        .level = history->count ? history->records[history->count - 1].level : HR_NORMAL,
        .kernel_kills = kills_of(history),
        .trend = history->has_trend && !history->trend_is_earlier ? &history->trend : NULL,
    };
    hr_page page = {.runs = &run, .run_count = 1};
    fflush(out);
    int error = hr_page_write(&page, fileno(out));
    free(events);
    return error;
}
