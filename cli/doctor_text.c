/* SPDX-License-Identifier: Apache-2.0 */
/* The doctor's report for people, who paste it into bug reports: 80 columns, except for paths that are longer, and no
 * colours unless it is a terminal that wants them. Names of cgroups come from others, so what is no printable character
 * does not reach the terminal. */
#include "cli.h"

#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

#define WIDTH 80
#define INDENT 18 /* of the second column */

struct page {
    FILE *out;
    bool colours;
};

bool wants_colours(FILE *out)
{
    const char *no = getenv("NO_COLOR"), *terminal = getenv("TERM");
    return isatty(fileno(out)) && !(no && *no) && terminal && strcmp(terminal, "dumb") != 0;
}

static void start(const struct page *page, const char *colour)
{
    if (page->colours)
        fprintf(page->out, "\033[%sm", colour);
}

static void stop(const struct page *page)
{
    if (page->colours)
        fputs("\033[0m", page->out);
}

/* ── text ───────────────────────────────────────────────────────────────────────────────────────────────────────── */

/* Puts `length` bytes; gives how many columns they take. */
static int put(const struct page *page, const char *text, size_t length)
{
    int columns = 0;
    for (size_t i = 0; i < length; i++) {
        unsigned char byte = (unsigned char)text[i];
        fputc(byte < ' ' || byte == 0x7f ? '?' : byte, page->out);
        columns += (byte & 0xc0) != 0x80; /* not the inside of a character of UTF-8 */
    }
    return columns;
}

/* Puts a text from `column` on, its further lines at `indent`. */
static void put_wrapped(const struct page *page, int column, int indent, const char *text)
{
    bool first = true;
    while (*text) {
        int length = (int)strcspn(text, " ");
        if (!first && column + 1 + length > WIDTH) {
            fprintf(page->out, "\n%*s", indent, "");
            column = indent;
        } else if (!first) {
            fputc(' ', page->out);
            column++;
        }
        column += put(page, text, (size_t)length);
        text += length;
        text += strspn(text, " ");
        first = false;
    }
    fputc('\n', page->out);
}

static void head(const struct page *page, const char *text)
{
    fputc('\n', page->out);
    start(page, "1");
    fputs(text, page->out);
    stop(page);
    fputc('\n', page->out);
}

static void line(const struct page *page, const char *name, const char *text)
{
    fprintf(page->out, "  %-*s", INDENT - 2, name);
    put_wrapped(page, INDENT, INDENT, text);
}

static const char *size_of(uint64_t bytes, const char *none, char buffer[16])
{
    return bytes == HR_NONE ? none : hr_size_format(bytes, buffer, 16);
}

/* ── the verdict ────────────────────────────────────────────────────────────────────────────────────────────────── */

static const hr_ledger *deciding(const hr_survey *survey)
{
    for (size_t i = 0; i < survey->ledger_count; i++) {
        if (survey->ledgers[i].decides)
            return &survey->ledgers[i];
    }
    return NULL;
}

static int describe(const hr_survey *survey, char *text, size_t size)
{
    char limit[16], used[16], of[16];
    const hr_ledger *ledger = deciding(survey);
    size_of(survey->rss_bytes, "?", used);
    if (!survey->limit_source && !ledger && survey->rss_bytes != HR_NONE)
        return snprintf(text, size, "no limit was found; %s of the process is resident", used);
    if (!survey->limit_source && !ledger)
        return snprintf(text, size, "no limit was found, and nothing is known of what is used");
    size_of(survey->limit_bytes, "none", limit);
    if (!ledger)
        return snprintf(text, size, "the limit is %s, by %s; what is used of it is not known", limit,
                        survey->limit_source);
    size_of(ledger->use_bytes, "?", used);
    size_of(ledger->limit_bytes, "none", of);
    if (!survey->limit_source)
        return snprintf(text, size, "%s of %s used (%.1f %%), of %s", used, of, survey->use * 100, ledger->source);
    if (ledger->binds)
        return snprintf(text, size, "%s of %s used (%.1f %%); the limit is set by %s", used, limit, survey->use * 100,
                        survey->limit_source);
    return snprintf(text, size,
                    "the limit is %s, by %s; but nearest to its limit is %s, of which %s of %s is used (%.1f %%)",
                    limit, survey->limit_source, ledger->source, used, of, survey->use * 100);
}

static void put_verdict(const struct page *page, const hr_survey *survey)
{
    static const char *const colours[] = {"1;32", "1;33", "1;31", "1;31"};
    const char *level = hr_level_text(survey->level);
    char text[2048];
    describe(survey, text, sizeof text);
    start(page, colours[survey->level]);
    fputs(level, page->out);
    stop(page);
    fputs(": ", page->out);
    put_wrapped(page, (int)strlen(level) + 2, 2, text);
}

/* ── the tables ─────────────────────────────────────────────────────────────────────────────────────────────────── */

static void put_share(const struct page *page, const hr_ledger *ledger)
{
    bool known = ledger->use_bytes != HR_NONE && ledger->limit_bytes != HR_NONE;
    double limit = (double)ledger->limit_bytes, use = (double)ledger->use_bytes;
    if (known && ledger->limit_bytes > 0)
        fprintf(page->out, "%6.1f %%", use / limit * 100);
    else
        fprintf(page->out, "%8s", known && ledger->use_bytes > 0 ? "full" : "-");
}

static void put_limits(const struct page *page, const hr_survey *survey)
{
    head(page, "Limits");
    if (survey->ledger_count == 0)
        fputs("  none that could be seen\n", page->out);
    else
        fprintf(page->out, "  %10s %10s %8s      %s\n", "used", "limit", "share", "of");
    for (size_t i = 0; i < survey->ledger_count; i++) {
        const hr_ledger *ledger = &survey->ledgers[i];
        char used[16], limit[16];
        fprintf(page->out, "  %10s %10s ", size_of(ledger->use_bytes, "?", used),
                size_of(ledger->limit_bytes, "none", limit));
        put_share(page, ledger);
        fprintf(page->out, "  %c%c  ", ledger->binds ? 'B' : ' ', ledger->decides ? 'D' : ' ');
        put(page, ledger->source, strlen(ledger->source));
        fputc('\n', page->out);
    }
    if (survey->limit_source || deciding(survey))
        fputs("  B binds: no limit is smaller. D decides the level: nearest to its limit.\n", page->out);
}

static void put_thresholds(const struct page *page, const hr_survey *survey)
{
    const struct {
        const char *name, *from, *until;
        uint64_t from_bytes, until_bytes;
    } levels[] = {
        {"warning", "from", "until below", survey->thresholds.warn_at, survey->thresholds.warn_below},
        {"degraded", "over", "until below", survey->thresholds.degrade_at, survey->thresholds.recover_below},
        {"critical", "over", "until below", survey->thresholds.critical_at, survey->thresholds.recover_below},
    };
    if (survey->limit_bytes == HR_NONE)
        return;
    head(page, "Levels, by the limit that binds");
    for (size_t i = 0; i < sizeof levels / sizeof *levels; i++) {
        char from[16], until[16], text[80];
        snprintf(text, sizeof text, "%s %s, %s %s", levels[i].from, size_of(levels[i].from_bytes, "?", from),
                 levels[i].until, size_of(levels[i].until_bytes, "?", until));
        line(page, levels[i].name, text);
    }
}

static void put_findings(const struct page *page, const hr_survey *survey)
{
    if (survey->finding_count == 0)
        return;
    head(page, "What to know, and what to do");
    for (size_t i = 0; i < survey->finding_count; i++) {
        fprintf(page->out, "  %s\n    ", survey->findings[i].id);
        put_wrapped(page, 4, 4, survey->findings[i].text);
        fputs("    -> ", page->out);
        put_wrapped(page, 7, 7, survey->findings[i].advice);
    }
}

static void put_pressure(const struct page *page, const hr_survey *survey)
{
    char text[256];
    const hr_pressure *pressure = &survey->pressure;
    const hr_events *events = &survey->events;
    if (pressure->known) {
        snprintf(text, sizeof text,
                 "tasks stood still for memory: some for %.1f %%, all for %.1f %% of the last 10 s; %.1f and "
                 "%.1f %% of the last minute",
                 pressure->some_avg10, pressure->full_avg10, pressure->some_avg60, pressure->full_avg60);
        line(page, "pressure", text);
    }
    if (events->max != HR_NONE) {
        snprintf(text, sizeof text, "high %llu, max %llu, oom %llu, killed %llu",
                 (unsigned long long)(events->high == HR_NONE ? 0 : events->high), (unsigned long long)events->max,
                 (unsigned long long)(events->oom == HR_NONE ? 0 : events->oom),
                 (unsigned long long)(events->oom_kill == HR_NONE ? 0 : events->oom_kill));
        line(page, "events", text);
    }
}

static void put_measures(const struct page *page, const hr_survey *survey)
{
    if (survey->ledger_count == 0)
        return;
    head(page, "What is counted");
    for (size_t i = 0; i < survey->ledger_count; i++) {
        const hr_ledger *ledger = &survey->ledgers[i];
        if (i == 0 || strcmp(ledger->name, ledger[-1].name) != 0)
            line(page, ledger->name, ledger->measures);
    }
}

static void put_process(const struct page *page, const hr_survey *survey)
{
    char text[8192], size[16];
    head(page, "Process and host");
    if (survey->cgroup_version) {
        snprintf(text, sizeof text, "v%d %s", survey->cgroup_version, survey->cgroup_path);
        line(page, "cgroup", text);
    } else {
        line(page, "cgroup", "none was found");
    }
    if (survey->cgroup_cache_bytes != HR_NONE) {
        snprintf(text, sizeof text, "%s in the %s; it is not counted as used",
                 size_of(survey->cgroup_cache_bytes, "?", size),
                 survey->limit_source && strncmp(survey->limit_source, "cgroup", 6) == 0 ? "cgroup that binds"
                                                                                         : "cgroup");
        line(page, "page cache", text);
    }
    if (survey->dirty_bytes != HR_NONE && survey->dirty_bytes > 0) {
        snprintf(text, sizeof text, "%s of it, which is counted as used", size_of(survey->dirty_bytes, "?", size));
        line(page, "dirty", text);
    }
    if (survey->swap_bytes != HR_NONE && survey->swap_bytes > 0)
        line(page, "swapped out", size_of(survey->swap_bytes, "?", size));
    for (size_t i = 0; i < survey->hugetlb_count; i++) {
        char of[16];
        snprintf(text, sizeof text, "%s of %s, %s", size_of(survey->hugetlb[i].use_bytes, "?", size),
                 size_of(survey->hugetlb[i].limit_bytes, "?", of), survey->hugetlb[i].source);
        line(page, "huge pages", text);
    }
    put_pressure(page, survey);
    line(page, "resident set", size_of(survey->rss_bytes, "not known", size));
    if (survey->allocator) {
        snprintf(text, sizeof text, "%s%s%s", survey->allocator, survey->allocator_purge ? ", purged by " : "",
                 survey->allocator_purge ? survey->allocator_purge : ", which no call of headroom's can purge");
        line(page, "allocator", text);
    }
    if (survey->lease_processes) {
        snprintf(text, sizeof text, "%u that know of each other's grants share the limit", survey->lease_processes);
        line(page, "guarded", text);
    }
    if (survey->forked_children) {
        snprintf(text, sizeof text,
                 "%u share its pages: what either of them rewrites is copied and charged without a grant, and may be "
                 "killed for",
                 survey->forked_children);
        line(page, "forked children", text);
    }
    if (survey->host_total_bytes != HR_NONE) {
        char available[16];
        snprintf(text, sizeof text, "%s, of which %s are available", size_of(survey->host_total_bytes, "?", size),
                 size_of(survey->host_available_bytes, "an unknown part", available));
        line(page, "host memory", text);
    }
}

static void put_signals(const struct page *page, const hr_survey *survey)
{
    head(page, "Signals");
    for (size_t i = 0; i < survey->signal_count; i++) {
        const hr_signal *signal = &survey->signals[i];
        const char *answer = signal->usable ? "yes" : "no";
        fprintf(page->out, "  %-4s %-22s ", signal->known ? answer : "?", signal->name);
        put_wrapped(page, 30, 30, signal->detail);
    }
}

static void put_unseen(const struct page *page, const hr_survey *survey)
{
    head(page, "What could not be seen");
    if (survey->unseen_count == 0)
        fputs("  nothing was found to be hidden\n", page->out);
    for (size_t i = 0; i < survey->unseen_count; i++) {
        fputs("  - ", page->out);
        put_wrapped(page, 4, 4, survey->unseen[i]);
    }
}

/* Where the report is from; under another root this kernel would mislead. */
static void put_origin(const struct page *page, const hr_survey_options *options)
{
    struct utsname kernel;
    fprintf(page->out, "\nheadroom %s", hr_version());
    if (options->pid)
        fprintf(page->out, ", process %d", options->pid);
    if (options->root) {
        fputs(", root ", page->out);
        put(page, options->root, strlen(options->root));
    } else if (uname(&kernel) == 0) {
        fprintf(page->out, ", %s %s %s", kernel.sysname, kernel.release, kernel.machine);
    }
    fputc('\n', page->out);
}

int doctor_print_text(const hr_survey *survey, const hr_survey_options *options, FILE *out)
{
    struct page page = {.out = out, .colours = wants_colours(out)};
    put_verdict(&page, survey);
    put_findings(&page, survey);
    put_limits(&page, survey);
    put_thresholds(&page, survey);
    put_process(&page, survey);
    put_signals(&page, survey);
    put_measures(&page, survey);
    put_unseen(&page, survey);
    put_origin(&page, options);
    return 0;
}

void doctor_print_line(const hr_survey *survey, int columns, FILE *out)
{
    struct page page = {.out = out};
    char text[4096], verdict[2048], cache[16];
    describe(survey, verdict, sizeof verdict);
    int length = snprintf(text, sizeof text, "%s: %s; cache %s", hr_level_text(survey->level), verdict,
                          size_of(survey->cgroup_cache_bytes, "?", cache));
    if (survey->pressure.known && length < (int)sizeof text)
        length +=
            snprintf(text + length, sizeof text - (size_t)length, "; stalled %.1f %%", survey->pressure.full_avg10);
    if (survey->events.max != HR_NONE && length < (int)sizeof text)
        length += snprintf(text + length, sizeof text - (size_t)length, "; limit met %llu, killed %llu",
                           (unsigned long long)survey->events.max,
                           (unsigned long long)(survey->events.oom_kill == HR_NONE ? 0 : survey->events.oom_kill));
    for (size_t i = 0; i < survey->finding_count && length < (int)sizeof text; i++)
        length += snprintf(text + length, sizeof text - (size_t)length, "; %s", survey->findings[i].id);
    if (columns > 0 && (size_t)columns < strlen(text))
        text[columns] = '\0';
    put(&page, text, strlen(text));
}
