/* SPDX-License-Identifier: Apache-2.0 */
/* For people, at a terminal of 80 columns: the level, what explains it, the trend in words, a sparkline of each ledger,
 * who holds most, and every figure. */
#include "report/format.h"
#include "report/refused.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#define WIDTH 80
#define SPARKS 36
#define ROWS 10 /* of each kind */

/* ── words ──────────────────────────────────────────────────────────────────────────────────────────────────────── */

/* Puts a sentence in lines of WIDTH columns. */
static void put_wrapped(hri_text *text, const char *sentence)
{
    size_t column = 0;
    while (*sentence) {
        size_t length = strcspn(sentence, " ");
        if (column > 0 && column + 1 + length > WIDTH) {
            hri_text_put(text, "\n  ");
            column = 2;
        } else if (column > 0) {
            hri_text_put(text, " ");
            column++;
        }
        hri_text_put(text, "%.*s", (int)length, sentence);
        column += length;
        sentence += length;
        sentence += strspn(sentence, " ");
    }
    hri_text_put(text, "\n");
}

/* Rates below 1 MiB/s are given by the hour, which leaves a number to read; those of one interval in one unit. */
#define SLOW_BYTES_PER_S 1048576.0

static bool is_slow(double low, double high)
{
    return low > -SLOW_BYTES_PER_S && high < SLOW_BYTES_PER_S;
}

static void put_rate(double bytes_per_s, bool slow, hri_text *text)
{
    double size = bytes_per_s < 0 ? -bytes_per_s : bytes_per_s;
    size *= slow ? 3600 : 1;
    hri_text_put(text, bytes_per_s < 0 ? "-" : "");
    hri_text_put_size(text, size < 0x1p63 ? (uint64_t)size : UINT64_MAX - 1);
    hri_text_put(text, slow ? "/h" : "/s");
}

/* A slope is named where it is significant and the kind says that there is one; else what it may be. */
static void put_slope(const hr_trend *trend, hri_text *text)
{
    double low = trend->slope_low, high = trend->slope_high, rate = trend->slope_bytes_per_s;
    bool sure = low > 0 || high < 0, slow = is_slow(low, high);
    if (low >= 0 && high <= 0)
        return;
    sure &= trend->kind != HR_TREND_STEADY && trend->kind != HR_TREND_SAWTOOTH;
    if (sure && trend->kind == HR_TREND_SHRINKING) { /* which is the minus sign already */
        low = -trend->slope_high;
        high = -trend->slope_low;
        rate = -rate;
    }
    if (sure) {
        hri_text_put(text, ", by ");
        put_rate(rate, slow, text);
    }
    hri_text_put(text, sure ? " (95 %%: " : " (95 %%: between ");
    put_rate(low, slow, text);
    hri_text_put(text, sure ? " to " : " and ");
    put_rate(high, slow, text);
    hri_text_put(text, ")");
}

void hri_trend_put(const hr_trend *trend, hri_text *text)
{
    static const char *const changes[] = {"", " since a restart", " since a step", " since its rate changed"};
    hri_text_put(text, "%s: ", hr_history_ledger_text(trend->ledger));
    if (trend->slope_low == -INFINITY) {
        hri_text_put(text, "too short for a trend, %llu records over ", (unsigned long long)trend->settled_records);
        hri_text_put_time(text, trend->settled_ns);
        hri_text_put(text, "%s", changes[trend->change]);
        return;
    }
    hri_text_put(text, "%s", hr_trend_kind_text(trend->kind));
    put_slope(trend, text);
    hri_text_put(text, " over ");
    hri_text_put_time(text, trend->settled_ns);
    hri_text_put(text, "%s; ", changes[trend->change]);
    if (trend->time_to_limit_ns < 0) {
        hri_text_put(text, "no forecast: %s", trend->reason);
        return;
    }
    if (trend->time_to_limit_ns == 0) {
        hri_text_put(text, "the limit is reached");
        return;
    }
    hri_text_put(text, "the limit will be reached in ");
    hri_text_put_time(text, trend->time_to_limit_ns);
    hri_text_put(text, " (");
    hri_text_put_time(text, trend->time_to_limit_low_ns);
    hri_text_put(text, trend->time_to_limit_high_ns == INT64_MAX ? " or more)" : " to ");
    if (trend->time_to_limit_high_ns != INT64_MAX) {
        hri_text_put_time(text, trend->time_to_limit_high_ns);
        hri_text_put(text, ")");
    }
}

/* ── sparklines ─────────────────────────────────────────────────────────────────────────────────────────────────── */

static void put_spark(const hr_bucket *buckets, size_t count, hr_history_ledger ledger, hri_text *text)
{
    static const char *const bars[] = {"\u2581", "\u2582", "\u2583", "\u2584", "\u2585", "\u2586", "\u2587", "\u2588"};
    uint64_t low = HR_NONE, high = 0, now = HR_NONE;
    for (size_t i = 0; i < count; i++) {
        uint64_t bytes = buckets[i].ledgers[ledger].max_bytes;
        if (bytes == HR_NONE)
            continue;
        low = bytes < low ? bytes : low;
        high = bytes > high ? bytes : high;
        now = bytes;
    }
    if (now == HR_NONE || high == 0) /* absent */
        return;
    hri_text_put(text, "%-17s", hr_history_ledger_text(ledger));
    for (size_t i = 0; i < count; i++) {
        uint64_t bytes = buckets[i].ledgers[ledger].max_bytes;
        double share = high > low ? (double)(bytes - low) / (double)(high - low) : 0;
        hri_text_put(text, "%s", bytes == HR_NONE ? " " : bars[(int)(share * 7.99)]);
    }
    char from[24], to[24];
    hri_text_put(text, "%*s %s", (int)(SPARKS - count), "", hr_size_format(low, from, sizeof from));
    if (high > low)
        hri_text_put(text, " to %s", hr_size_format(high, to, sizeof to));
    hri_text_put(text, "\n");
}

static void put_sparks(hri_history *history, hri_text *text)
{
    hr_bucket buckets[SPARKS];
    const char *unit = "minute";
    size_t count = hri_history_copy_tier(history, HR_TIER_MINUTES, buckets, SPARKS);
    if (count < SPARKS / 2) {
        unit = "second";
        count = hri_history_copy_tier(history, HR_TIER_SECONDS, buckets, SPARKS);
    }
    if (count == 0)
        return;
    hri_text_put(text, "\nthe last %zu, a %s each\n", count, unit);
    for (hr_history_ledger ledger = 0; ledger < HR_HISTORY_LEDGERS; ledger++)
        put_spark(buckets, count, ledger, text);
}

/* ── tables ─────────────────────────────────────────────────────────────────────────────────────────────────────── */

static void write_value(const hri_figure *figure, uint64_t value, char number[32])
{
    if (value == HR_NONE || figure->kind == HRI_BYTES || figure->kind == HRI_COUNTER_BYTES)
        hr_size_format(value, number, 32);
    else if (figure->kind == HRI_NANOSECONDS)
        snprintf(number, 32, "%.1f ms", (double)value / 1e6);
    else
        snprintf(number, 32, "%llu", (unsigned long long)value);
}

/* A figure's name without its unit, which the number has: at most 12 characters. */
static int short_length(const char *name)
{
    size_t length = strlen(name);
    if (length > 6 && strcmp(name + length - 6, "_bytes") == 0)
        length -= 6;
    return length > 12 ? 12 : (int)length;
}

#define COLUMNS 4

/* Counters that are not 0, of the figures that have no column: "  hits 12, refused 3". */
static void put_events(const hri_figure_source *source, const uint64_t *values, hri_text *text)
{
    char event[64];
    int used = 0; /* of the line */
    for (size_t k = COLUMNS; k < source->count; k++) {
        if (source->figures[k].kind != HRI_COUNTER || values[k] == 0 || values[k] == HR_NONE)
            continue;
        int length =
            snprintf(event, sizeof event, "%.40s %llu", source->figures[k].name, (unsigned long long)values[k]);
        bool fits = used > 0 && used + 2 + length < 80;
        hri_text_put(text, "%s%s", fits ? ", " : used ? "\n  " : "  ", event);
        used = fits ? used + 2 + length : 2 + length;
    }
    if (used > 0)
        hri_text_put(text, "\n");
}

/* Rows by their first figure, largest first; its first four figures, and what has happened. */
static void put_sheet(const hri_figure_sheet *sheet, hri_text *text)
{
    bool shown[HRI_FIGURES_SHOWN] = {false};
    size_t columns = sheet->source.count < COLUMNS ? sheet->source.count : COLUMNS;
    if (sheet->count == 0)
        return;
    hri_text_put(text, "\n%-28.28s", sheet->source.noun);
    for (size_t k = 0; k < columns; k++)
        hri_text_put(text, "%13.*s", short_length(sheet->source.figures[k].name), sheet->source.figures[k].name);
    hri_text_put(text, "\n");
    for (size_t n = 0; n < sheet->count && n < ROWS; n++) {
        size_t largest = HRI_FIGURES_SHOWN;
        for (size_t i = 0; i < sheet->count; i++)
            if (!shown[i] &&
                (largest == HRI_FIGURES_SHOWN || sheet->rows[i].values[0] > sheet->rows[largest].values[0]))
                largest = i;
        shown[largest] = true;
        char name[HRI_FIGURES_NAME_BYTES];
        snprintf(name, sizeof name, "%.28s", sheet->rows[largest].name);
        size_t before = text->length;
        hri_text_put_name(text, name);
        hri_text_put(text, "%*s", (int)(28 - (text->length - before)), "");
        for (size_t k = 0; k < columns; k++) {
            char number[32];
            write_value(&sheet->source.figures[k], sheet->rows[largest].values[k], number);
            hri_text_put(text, "%13s", number);
        }
        hri_text_put(text, "\n");
        put_events(&sheet->source, sheet->rows[largest].values, text);
    }
    size_t more = sheet->left_out + (sheet->count > ROWS ? sheet->count - ROWS : 0);
    if (more)
        hri_text_put(text, "and %zu more\n", more);
}

static void put_level(const hri_report *report, hri_text *text)
{
    const hr_figures *figures = report->figures;
    hri_text_put(text, "%-27s ", "time");
    hri_text_put_moment(text, figures->wall_ns, -1);
    hri_text_put(text, " UTC\n");
    hri_text_put(text, "%-27s %s, %.1f %% of the %s limit\n", "level", hr_level_text(figures->level),
                 figures->use * 100, figures->use_source);
    hri_text_put(text, "%-27s ", "limit_source");
    hri_text_put_name(text, figures->limit_source);
    hri_text_put(text, "\n");
    if (figures->stalled_ns > 0) {
        char bytes[24];
        hri_text_put(text, "%-27s relief has achieved nothing for %.1f s; most is held by ", "stalled",
                     (double)figures->stalled_ns / 1e9);
        hri_text_put_name(text, figures->holder);
        hri_text_put(text, ": %s\n", hr_size_format(figures->holder_bytes, bytes, sizeof bytes));
    }
}

/* Which requests were refused, within the history. */
static void put_refused(hri_history *history, hri_text *text)
{
    char sentence[1536];
    hri_text words = {.buffer = sentence, .size = sizeof sentence};
    hri_refused refused = {0}, observed = {.observed = true};
    hr_record record;
    hr_event event;
    uint64_t first = 0;
    for (size_t i = 0; hri_history_record_at(history, &first, i, &record); i++) {
        hri_refused_add(&refused, &record);
        hri_refused_add(&observed, &record);
    }
    first = 0;
    for (size_t i = 0; hri_history_event_at(history, &first, i, &event); i++) {
        hri_refused_add_event(&refused, &event);
        hri_refused_add_event(&observed, &event);
    }
    hri_refused_put_both(&refused, &observed, &words);
    put_wrapped(text, sentence);
}

void hri_report_put_people(const hri_report *report, hri_text *text)
{
    hri_figure_sheet sheet;
    put_level(report, text);
    if (report->explanation) {
        hri_text_put(text, "\n");
        put_wrapped(text, report->explanation);
    }
    if (report->trend) {
        char sentence[512];
        hri_text words = {.buffer = sentence, .size = sizeof sentence};
        hri_trend_put(report->trend, &words);
        put_wrapped(text, sentence);
    }
    if (report->history && (report->figures->refusals || report->figures->would_have_refused))
        put_refused(report->history, text);
    if (report->history)
        put_sparks(report->history, text);
    for (size_t i = 0; report->registry && hri_figures_take(report->registry, i, &sheet); i++)
        put_sheet(&sheet, text);
    hri_text_put(text, "%s", report->history ? "\n" : "");
    for (size_t i = 0; i < hri_own_figure_count; i++) {
        const hri_figure *figure = &hri_own_figures[i].figure;
        char number[32];
        write_value(figure, hri_own_value(report->figures, &hri_own_figures[i]), number);
        hri_text_put(text, "%-27s %-10s %s\n", figure->name, number, figure->text);
    }
}
