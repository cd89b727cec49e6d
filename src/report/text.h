/* SPDX-License-Identifier: Apache-2.0 */
/* A buffer that is filled up to its end, and knows how much there was to write. Or one that is written to a descriptor
 * whenever it is full, so that a report of any length needs no more than that. */
#ifndef HRI_REPORT_TEXT_H
#define HRI_REPORT_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct hri_text {
    char *buffer;
    size_t size;
    size_t length; /* of the whole, also of what did not fit */
    int fd;        /* when `streams`: where it goes */
    bool streams;
    size_t written; /* so much of the length */
    int error;      /* the first negative errno of writing: nothing is written after it */
} hri_text;

/* Writes what is left in a text that streams. Gives 0 or a negative errno. */
int hri_text_finish(hri_text *text);

__attribute__((format(printf, 2, 3))) void hri_text_put(hri_text *text, const char *format, ...);

/* A name that others gave, for people: what is no printable character becomes '?'; UTF-8 stays. */
void hri_text_put_name(hri_text *text, const char *name);

/* The same as a string of JSON, whose control characters are escaped and whose bytes that are no UTF-8 become '?'. */
void hri_text_put_json(hri_text *text, const char *string);

/* The same as a label's value of OpenMetrics, in quotes. */
void hri_text_put_label(hri_text *text, const char *string);

/* The same as a field of CSV, in quotes. */
void hri_text_put_csv(hri_text *text, const char *string);

/* A size, such as "1.5 MiB"; HR_NONE is "none". */
void hri_text_put_size(hri_text *text, uint64_t bytes);

/* A time in the unit that suits it: "3 ms", "12 s", "5 min", "2.5 h", "4 days". */
void hri_text_put_time(hri_text *text, int64_t time_ns);

#endif
