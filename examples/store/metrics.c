/* SPDX-License-Identifier: Apache-2.0 */
/* One text, made whole: the guard's report without its end, the store's families, one # EOF.
 * Locking: none of its own; figures are read one after the other.
 */
#include "metrics.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "upload.h"

#define METRICS_BYTES 16384

static const char end[] = "# EOF\n";

struct text {
    char *bytes;
    size_t length;
};

static __attribute__((format(printf, 2, 3))) void put(struct text *text, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    int length = vsnprintf(text->bytes + text->length, METRICS_BYTES - text->length, format, arguments);
    va_end(arguments);
    if (length > 0 && text->length + (size_t)length < METRICS_BYTES)
        text->length += (size_t)length;
}

static void put_guard(struct text *text)
{
    if (!memory_guard())
        return;
    ssize_t length = hr_report_format(memory_guard(), HR_OPENMETRICS, text->bytes, METRICS_BYTES);
    if (length < (ssize_t)strlen(end) || length >= METRICS_BYTES / 2)
        return; /* no report, or one that has grown beyond this buffer */
    text->length = (size_t)length;
    if (memcmp(text->bytes + length - strlen(end), end, strlen(end)) == 0)
        text->length -= strlen(end);
}

static void put_shelves(struct text *text, const struct metrics_source *source)
{
    static const struct {
        const char *head;
        const char *sample;
        size_t offset;
    } families[] = {
        {"# TYPE headroom_store_objects gauge\n# HELP headroom_store_objects objects kept\n", "headroom_store_objects",
         offsetof(struct shelf_figures, objects)},
        {"# TYPE headroom_store_object_bytes gauge\n# UNIT headroom_store_object_bytes bytes\n"
         "# HELP headroom_store_object_bytes what their bodies hold\n",
         "headroom_store_object_bytes", offsetof(struct shelf_figures, bytes)},
        {"# TYPE headroom_store_evictions counter\n# HELP headroom_store_evictions objects evicted\n",
         "headroom_store_evictions_total", offsetof(struct shelf_figures, evictions)},
    };
    for (size_t i = 0; i < sizeof families / sizeof *families; i++) {
        put(text, "%s", families[i].head);
        for (size_t j = 0; j < source->shelf_count; j++) {
            struct shelf_figures figures;
            shelf_read(&source->shelves[j], &figures);
            uint64_t value;
            memcpy(&value, (const char *)&figures + families[i].offset, sizeof value);
            put(text, "%s{class=\"%s\"} %llu\n", families[i].sample, source->shelves[j].name,
                (unsigned long long)value);
        }
    }
}

static void put_requests(struct text *text, const struct metrics_source *source)
{
    put(text, "# TYPE headroom_store_writes counter\n# HELP headroom_store_writes writes by verdict\n");
    for (int verdict = HR_ADMITTED; verdict <= HR_REFUSED_NO_BUDGET; verdict++)
        put(text, "headroom_store_writes_total{verdict=\"%s\"} %llu\n", hr_verdict_text((hr_verdict)verdict),
            (unsigned long long)upload_verdicts()[verdict]);
    put(text, "# TYPE headroom_store_reads counter\n# HELP headroom_store_reads objects sent\n");
    put(text, "headroom_store_reads_total %llu\n", (unsigned long long)source->reads);
    put(text, "# TYPE headroom_store_requests_in_flight gauge\n# HELP headroom_store_requests_in_flight begun and not "
              "answered\n");
    put(text, "headroom_store_requests_in_flight %u\n", source->requests_in_flight);
}

enum MHD_Result metrics_answer(struct MHD_Connection *connection, const struct metrics_source *source)
{
    struct text text = {.bytes = malloc(METRICS_BYTES)};
    if (!text.bytes)
        return answer(connection, ANSWER_NO_MEMORY);
    put_guard(&text);
    put_shelves(&text, source);
    put_requests(&text, source);
    put(&text, "%s", end);
    return answer_text(connection, METRICS_TYPE, text.bytes, text.length);
}
