/* SPDX-License-Identifier: Apache-2.0 */
#include "report/census.h"

#include <string.h>

/* The rows of a census are the figures of these names: those that sources publish, and that a page shows. */
static const struct kind {
    const char *noun;
    const char *used, *limit, *peak, *refused; /* NULL: it has none */
} kinds[HR_CENSUS_KINDS] = {
    [HR_CENSUS_BUDGET] = {"budget", "used_bytes", "limit_bytes", "peak_bytes", "refused"},
    [HR_CENSUS_POOL] = {"pool", "in_use_bytes", NULL, "peak_bytes", "refused"},
    [HR_CENSUS_CACHE] = {"cache", "bytes", NULL, NULL, "refused_budget"},
};

bool hri_census_is_due(hri_census_times *times, hr_level level, int64_t now_ns)
{
    int64_t interval_ns = (now_ns - times->begin_ns) / 8;
    if (interval_ns < HRI_CENSUS_INTERVAL_MIN_NS)
        interval_ns = HRI_CENSUS_INTERVAL_MIN_NS;
    if (interval_ns > HRI_CENSUS_INTERVAL_MAX_NS)
        interval_ns = HRI_CENSUS_INTERVAL_MAX_NS;
    bool due = !times->begun || level > times->level || now_ns - times->last_ns >= interval_ns;
    if (!times->begun)
        times->begin_ns = now_ns;
    times->begun = true;
    times->level = level;
    times->last_ns = due ? now_ns : times->last_ns;
    return due;
}

/* ── writing ────────────────────────────────────────────────────────────────────────────────────────────────────── */

static uint64_t value_of(const hri_figure_sheet *sheet, size_t row, const char *name)
{
    for (size_t i = 0; name && i < sheet->source.count; i++)
        if (strcmp(sheet->source.figures[i].name, name) == 0)
            return sheet->rows[row].values[i];
    return HR_NONE;
}

static void copy_row(const hri_figure_sheet *sheet, size_t row, hr_census_kind kind, hr_census_row *ret_row)
{
    const struct kind *names = &kinds[kind];
    *ret_row = (hr_census_row){
        .kind = kind,
        .used_bytes = value_of(sheet, row, names->used),
        .limit_bytes = value_of(sheet, row, names->limit),
        .peak_bytes = value_of(sheet, row, names->peak),
        .refused = value_of(sheet, row, names->refused),
    };
    memcpy(ret_row->name, sheet->rows[row].name, strnlen(sheet->rows[row].name, sizeof ret_row->name - 1));
}

/* The largest row that is not shown yet; of several alike the first, so that a budget comes before those below it. */
static size_t largest(const hri_figure_sheet *sheet, const bool *shown)
{
    size_t found = sheet->count;
    for (size_t i = 0; i < sheet->count; i++)
        if (!shown[i] && (found == sheet->count || sheet->rows[i].values[0] > sheet->rows[found].values[0]))
            found = i;
    return found;
}

static size_t encode_sheet(const hri_figure_sheet *sheet, hr_census_kind kind, hri_census_entry entry,
                           unsigned char *ret_bytes)
{
    bool shown[HRI_FIGURES_SHOWN] = {false};
    entry.count = sheet->count < HR_CENSUS_ROWS ? sheet->count : HR_CENSUS_ROWS;
    entry.left_out = sheet->left_out + sheet->count - entry.count;
    for (entry.number = 0; entry.number < entry.count; entry.number++) {
        size_t row = largest(sheet, shown);
        shown[row] = true;
        copy_row(sheet, row, kind, &entry.row);
        hri_census_entry_encode(&entry, ret_bytes + entry.number * HRI_ENTRY_BYTES);
    }
    return entry.count;
}

size_t hri_census_encode(hri_figure_registry *registry, const hri_census_entry *moment,
                         unsigned char ret_bytes[HRI_CENSUS_ENTRIES * HRI_ENTRY_BYTES])
{
    hri_figure_sheet sheet;
    bool done[HR_CENSUS_KINDS] = {false};
    size_t count = 0;
    for (size_t i = 0; hri_figures_take(registry, i, &sheet); i++)
        for (hr_census_kind kind = 0; kind < HR_CENSUS_KINDS; kind++)
            if (!done[kind] && strcmp(sheet.source.noun, kinds[kind].noun) == 0) {
                done[kind] = true;
                count += encode_sheet(&sheet, kind, *moment, ret_bytes + count * HRI_ENTRY_BYTES);
            }
    return count;
}

/* ── reading ────────────────────────────────────────────────────────────────────────────────────────────────────── */

/* All rows of a kind have come. Those of another moment are of an earlier census, which this one replaces. */
static void finish(hri_census_reader *reader)
{
    hr_census *census = reader->census;
    const hri_census_entry *first = &reader->begun[0];
    hr_census_kind kind = first->row.kind;
    if (census->session != first->session || census->time_ns != first->time_ns)
        *census = (hr_census){.session = first->session, .time_ns = first->time_ns, .wall_ns = first->wall_ns};
    census->left_out[kind] = first->left_out;
    for (size_t i = 0; i < reader->count && census->count < HRI_CENSUS_ENTRIES; i++)
        census->rows[census->count++] = reader->begun[i].row;
    reader->count = 0;
}

void hri_census_take(hri_census_reader *reader, const hri_census_entry *entry)
{
    const hri_census_entry *first = &reader->begun[0];
    if (entry->number == 0)
        reader->count = 0;
    if (entry->number != reader->count ||
        (entry->number > 0 && (entry->session != first->session || entry->time_ns != first->time_ns ||
                               entry->row.kind != first->row.kind || entry->count != first->count))) {
        reader->count = 0; /* one before it is damaged */
        return;
    }
    reader->begun[reader->count++] = *entry;
    if (reader->count == entry->count)
        finish(reader);
}

/* ── showing ────────────────────────────────────────────────────────────────────────────────────────────────────── */

static void put_figure(hri_text *text, const char *name, uint64_t value)
{
    if (!name)
        return;
    hri_text_put(text, ", \"%s\": ", name);
    if (value == HR_NONE)
        hri_text_put(text, "null");
    else
        hri_text_put(text, "%llu", (unsigned long long)value);
}

void hri_census_put(const hr_census *census, hri_text *text)
{
    for (hr_census_kind kind = 0; kind < HR_CENSUS_KINDS; kind++) {
        const struct kind *names = &kinds[kind];
        bool any = false;
        for (size_t i = 0; i < census->count && i < HRI_CENSUS_ENTRIES; i++) {
            const hr_census_row *row = &census->rows[i];
            if (row->kind != kind)
                continue;
            hri_text_put(text, any ? ",\n{\"name\": " : ", \"%ss\": [\n{\"name\": ", names->noun);
            any = true;
            hri_text_put_json(text, row->name);
            put_figure(text, names->used, row->used_bytes);
            put_figure(text, names->limit, row->limit_bytes);
            put_figure(text, names->peak, row->peak_bytes);
            put_figure(text, names->refused, row->refused);
            hri_text_put(text, "}");
        }
        if (any)
            hri_text_put(text, "], \"%ss_left_out\": %llu", names->noun, (unsigned long long)census->left_out[kind]);
    }
}
