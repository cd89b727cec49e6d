/* SPDX-License-Identifier: Apache-2.0 */
/* headroom report: what its parts share. */
#ifndef REPORT_H
#define REPORT_H

#include "cli.h"

#include <time.h>

/* The newest that are kept of a file; more are counted and left out. */
#define RECORDS_MAX 1000000
#define EVENTS_MAX 1000
#define SESSIONS_MAX 256

struct history {
    struct history *next; /* another file, beside it on a page */
    const char *path;
    hr_history_findings findings;
    hr_record *records;
    size_t count, room;
    uint64_t left_out; /* older samples */
    hr_event events[EVENTS_MAX];
    uint64_t event_count; /* so far: the newest EVENTS_MAX are there */
    uint64_t sessions;
    int64_t session;             /* the last */
    size_t last_begin;           /* its first record */
    size_t begins[SESSIONS_MAX]; /* and where the last ones begin, oldest first */
    size_t begin_count;
    hr_census census;         /* without a row: there is none */
    hr_history_origin origin; /* of the last process; its texts are "" where the file does not say them */
    hr_trend trend;
    bool has_trend;
    bool trend_is_earlier; /* of the processes before the last one, which has too few samples */
};

/* The `index`th of the events that are kept, and how many those are. */
const hr_event *event_at(const struct history *history, size_t index);
size_t events_kept(const struct history *history);

/* Gives the bytes of a ledger in a record. */
uint64_t ledger_of(const hr_record *record, hr_history_ledger ledger);

/* Writes a time as "2026-11-24 16:37:00" in UTC. */
#define DATE_BYTES 32
const char *write_date(int64_t wall_ns, char text[DATE_BYTES]);

/* The forms of the report. Each gives 0 or a negative errno. */
int report_print_text(const struct history *history, FILE *out);
int report_print_json(const struct history *history, FILE *out);
int report_print_csv(const struct history *history, FILE *out);
int report_print_html(const struct history *history, FILE *out);

#endif
