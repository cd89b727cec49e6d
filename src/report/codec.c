/* SPDX-License-Identifier: Apache-2.0 */
#include "report/codec.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

static const char magic[8] = {'H', 'R', 'H', 'I', 'S', 'T', '\r', '\n'};

/* Where the parts of a head and an entry are. */
enum {
    HEAD_VERSION = 8,
    HEAD_ENTRY_BYTES = 12,
    HEAD_WALL = 16,
    HEAD_SUM = HRI_HEAD_BYTES - 4,
    ENTRY_KIND = 4,
    ENTRY_LEVEL = 5,
    ENTRY_FROM = 6,
    ENTRY_EVENT = 7,
    ENTRY_SESSION = 8,
    ENTRY_TIME = 16,
    ENTRY_WALL = 24,
    ENTRY_FIGURES = 32,
};

enum {
    KIND_SAMPLE = 1,
    KIND_EVENT = 2,
    KIND_CENSUS = 3,
    KIND_ORIGIN = 4,
};

uint32_t hri_crc32(const void *bytes, size_t size)
{
    /* By half bytes: a table of 16 is enough for some hundred bytes a second. */
    static const uint32_t table[16] = {
        0x00000000, 0x1db71064, 0x3b6e20c8, 0x26d930ac, 0x76dc4190, 0x6b6b51f4, 0x4db26158, 0x5005713c,
        0xedb88320, 0xf00f9344, 0xd6d6a3e8, 0xcb61b38c, 0x9b64c2b0, 0x86d3d2d4, 0xa00ae278, 0xbdbdf21c,
    };
    uint32_t sum = 0xffffffff;
    for (size_t i = 0; i < size; i++) {
        sum ^= ((const unsigned char *)bytes)[i];
        sum = table[sum & 15] ^ (sum >> 4);
        sum = table[sum & 15] ^ (sum >> 4);
    }
    return ~sum;
}

static void put(unsigned char *at, uint64_t value, unsigned bytes)
{
    for (unsigned i = 0; i < bytes; i++)
        at[i] = (unsigned char)(value >> (8 * i));
}

static uint64_t get(const unsigned char *at, unsigned bytes)
{
    uint64_t value = 0;
    for (unsigned i = 0; i < bytes; i++)
        value |= (uint64_t)at[i] << (8 * i);
    return value;
}

void hri_head_encode(int64_t wall_ns, unsigned char ret_head[HRI_HEAD_BYTES])
{
    memset(ret_head, 0, HRI_HEAD_BYTES);
    memcpy(ret_head, magic, sizeof magic);
    put(ret_head + HEAD_VERSION, HRI_FILE_VERSION, 4);
    put(ret_head + HEAD_ENTRY_BYTES, HRI_ENTRY_BYTES, 4);
    put(ret_head + HEAD_WALL, (uint64_t)wall_ns, 8);
    put(ret_head + HEAD_SUM, hri_crc32(ret_head, HEAD_SUM), 4);
}

unsigned hri_entry_bytes(unsigned version)
{
    static const unsigned bytes[HRI_FILE_VERSION + 1] = {0, 128, 160, HRI_ENTRY_BYTES};
    return version <= HRI_FILE_VERSION ? bytes[version] : 0;
}

int hri_head_decode(const unsigned char head[HRI_HEAD_BYTES], unsigned *ret_version)
{
    if (memcmp(head, magic, sizeof magic) != 0 || get(head + HEAD_SUM, 4) != hri_crc32(head, HEAD_SUM))
        return -EBADMSG;
    unsigned version = (unsigned)get(head + HEAD_VERSION, 4);
    if (hri_entry_bytes(version) == 0 || get(head + HEAD_ENTRY_BYTES, 4) != hri_entry_bytes(version))
        return -EPROTONOSUPPORT;
    *ret_version = version;
    return 0;
}

/* The figures of a record and of an event in their order on disk, and how many of them a version has. */
#define FIGURES_MAX 16

typedef struct figure_list {
    uint64_t *figures[FIGURES_MAX];
    unsigned count;
} figure_list;

static figure_list figures_of(hr_history_entry *entry, unsigned version)
{
    static const unsigned counts[HRI_FILE_VERSION + 1] = {0, 10, 13, FIGURES_MAX};
    hr_record *record = &entry->record;
    hr_event *event = &entry->event;
    if (entry->is_event)
        return (figure_list){
            .figures = {&event->freed_bytes, &event->live_bytes, &event->refused_by_limit, &event->refused_by_level},
            .count = version == 1 ? 2 : 4,
        };
    return (figure_list){
        .figures = {&record->live_bytes, &record->total_bytes, &record->rss_bytes, &record->cgroup_bytes,
                    &record->reliefs, &record->limit_bytes, &record->relieved_bytes, &record->cgroup_anonymous_bytes,
                    &record->cgroup_kernel_bytes, &record->cgroup_cache_bytes, &record->refusals,
                    &record->refusals_degraded, &record->refusals_critical, &record->would_have_refused,
                    &record->would_have_refused_degraded, &record->would_have_refused_critical},
        .count = counts[version],
    };
}

/* Behind the figures, since version 2. */
enum {
    SAMPLE_USE_OF_2 = ENTRY_FIGURES + 8 * 13,
    SAMPLE_USE = ENTRY_FIGURES + 8 * FIGURES_MAX,
    EVENT_SPAN = ENTRY_FIGURES + 8 * 4,
    EVENT_USE = EVENT_SPAN + 8,
    USE_DECIDED_BY = 4, /* from the use on */
    USE_BUDGET = USE_DECIDED_BY + HR_LEDGER_NAME_BYTES,
    EVENT_KILLS = EVENT_USE + USE_BUDGET + 48,
};

static void put_use(unsigned char *at, double use, const char *decided_by)
{
    double millionths = use * 1e6 + 0.5;
    put(at, millionths < 0x1p32 ? (uint32_t)millionths : UINT32_MAX, 4);
    memcpy(at + USE_DECIDED_BY, decided_by, strnlen(decided_by, HR_LEDGER_NAME_BYTES - 1));
}

static double get_use(const unsigned char *at, char ret_decided_by[HR_LEDGER_NAME_BYTES])
{
    for (int i = 0; i < HR_LEDGER_NAME_BYTES - 1; i++) { /* it goes to terminals and into JSON as it is */
        char byte = (char)at[USE_DECIDED_BY + i];
        ret_decided_by[i] = byte;
        if (byte == '\0')
            break;
        if (byte != ' ' && (byte < 'a' || byte > 'z'))
            ret_decided_by[i] = '?';
    }
    return (double)get(at, 4) / 1e6;
}

void hri_entry_encode(const hr_history_entry *entry, unsigned char ret_bytes[HRI_ENTRY_BYTES])
{
    hr_history_entry copy = *entry;
    const hr_record *record = &entry->record;
    const hr_event *event = &entry->event;
    figure_list list = figures_of(&copy, HRI_FILE_VERSION);
    memset(ret_bytes, 0, HRI_ENTRY_BYTES);
    put(ret_bytes + ENTRY_KIND, entry->is_event ? KIND_EVENT : KIND_SAMPLE, 1);
    put(ret_bytes + ENTRY_LEVEL, (uint64_t)(entry->is_event ? event->to : record->level), 1);
    put(ret_bytes + ENTRY_SESSION, (uint64_t)entry->session, 8);
    put(ret_bytes + ENTRY_TIME, (uint64_t)(entry->is_event ? event->time_ns : record->time_ns), 8);
    put(ret_bytes + ENTRY_WALL, (uint64_t)(entry->is_event ? event->wall_ns : record->wall_ns), 8);
    for (unsigned i = 0; i < list.count; i++)
        put(ret_bytes + ENTRY_FIGURES + 8 * (size_t)i, *list.figures[i], 8);
    if (entry->is_event) {
        put(ret_bytes + ENTRY_FROM, (uint64_t)event->from, 1);
        put(ret_bytes + ENTRY_EVENT, (uint64_t)event->kind, 1);
        put(ret_bytes + EVENT_SPAN, (uint64_t)event->span_ns, 8);
        put_use(ret_bytes + EVENT_USE, event->use, event->decided_by);
        memcpy(ret_bytes + EVENT_USE + USE_BUDGET, event->budget, strnlen(event->budget, sizeof event->budget - 1));
        put(ret_bytes + EVENT_KILLS, event->kills, 8);
    } else {
        put_use(ret_bytes + SAMPLE_USE, record->use, record->decided_by);
    }
    put(ret_bytes, hri_crc32(ret_bytes + 4, HRI_ENTRY_BYTES - 4), 4);
}

/* Decodes the parts beside figures, since version 2. */
static void decode_more(const unsigned char *bytes, unsigned version, hr_history_entry *entry)
{
    if (!entry->is_event) {
        bytes += version == 2 ? SAMPLE_USE_OF_2 : SAMPLE_USE;
        entry->record.use = get_use(bytes, entry->record.decided_by);
        return;
    }
    entry->event.span_ns = (int64_t)get(bytes + EVENT_SPAN, 8);
    entry->event.use = get_use(bytes + EVENT_USE, entry->event.decided_by);
    const char *budget = (const char *)bytes + EVENT_USE + USE_BUDGET;
    memcpy(entry->event.budget, budget, strnlen(budget, sizeof entry->event.budget - 1));
    entry->event.kills = get(bytes + EVENT_KILLS, 8);
}

int hri_entry_decode(const unsigned char *bytes, unsigned version, hr_history_entry *ret_entry)
{
    if (get(bytes, 4) != hri_crc32(bytes + 4, hri_entry_bytes(version) - 4))
        return -EBADMSG;
    unsigned kind = bytes[ENTRY_KIND], level = bytes[ENTRY_LEVEL], from = bytes[ENTRY_FROM];
    unsigned event = bytes[ENTRY_EVENT];
    bool known = level <= HR_CRITICAL && from <= HR_CRITICAL && event <= HR_EVENT_WOULD_RELIEVE;
    if (!known || (kind != KIND_SAMPLE && kind != KIND_EVENT))
        return -ENOMSG;
    int64_t time_ns = (int64_t)get(bytes + ENTRY_TIME, 8), wall_ns = (int64_t)get(bytes + ENTRY_WALL, 8);
    hr_history_entry entry = {.is_event = kind == KIND_EVENT, .session = (int64_t)get(bytes + ENTRY_SESSION, 8)};
    if (entry.is_event)
        entry.event = (hr_event){.time_ns = time_ns,
                                 .wall_ns = wall_ns,
                                 .kind = (hr_event_kind)event,
                                 .from = (hr_level)from,
                                 .to = (hr_level)level};
    else
        entry.record = (hr_record){.time_ns = time_ns,
                                   .wall_ns = wall_ns,
                                   .level = (hr_level)level,
                                   .refusals = HR_NONE,
                                   .refusals_degraded = HR_NONE,
                                   .refusals_critical = HR_NONE};
    figure_list list = figures_of(&entry, version);
    for (unsigned i = 0; i < list.count; i++)
        *list.figures[i] = get(bytes + ENTRY_FIGURES + 8 * (size_t)i, 8);
    if (version >= 2)
        decode_more(bytes, version, &entry);
    *ret_entry = entry;
    return 0;
}

/* ── of a census ────────────────────────────────────────────────────────────────────────────────────────────────── */

#define CENSUS_FIGURES 5

enum {
    CENSUS_ROW_KIND = ENTRY_LEVEL,
    CENSUS_NUMBER = ENTRY_FROM,
    CENSUS_COUNT = ENTRY_EVENT,
    CENSUS_NAME = ENTRY_FIGURES + 8 * CENSUS_FIGURES,
};

static_assert(CENSUS_NAME + HR_CENSUS_NAME_BYTES <= HRI_ENTRY_BYTES, "a row fits");
static_assert(HR_CENSUS_ROWS <= UINT8_MAX, "numbers of rows are a byte");

void hri_census_entry_encode(const hri_census_entry *entry, unsigned char ret_bytes[HRI_ENTRY_BYTES])
{
    const hr_census_row *row = &entry->row;
    const uint64_t figures[CENSUS_FIGURES] = {row->used_bytes, row->limit_bytes, row->peak_bytes, row->refused,
                                              entry->left_out};
    memset(ret_bytes, 0, HRI_ENTRY_BYTES);
    put(ret_bytes + ENTRY_KIND, KIND_CENSUS, 1);
    put(ret_bytes + CENSUS_ROW_KIND, (uint64_t)row->kind, 1);
    put(ret_bytes + CENSUS_NUMBER, entry->number, 1);
    put(ret_bytes + CENSUS_COUNT, entry->count, 1);
    put(ret_bytes + ENTRY_SESSION, (uint64_t)entry->session, 8);
    put(ret_bytes + ENTRY_TIME, (uint64_t)entry->time_ns, 8);
    put(ret_bytes + ENTRY_WALL, (uint64_t)entry->wall_ns, 8);
    for (unsigned i = 0; i < CENSUS_FIGURES; i++)
        put(ret_bytes + ENTRY_FIGURES + 8 * (size_t)i, figures[i], 8);
    memcpy(ret_bytes + CENSUS_NAME, row->name, strnlen(row->name, sizeof row->name - 1));
    put(ret_bytes, hri_crc32(ret_bytes + 4, HRI_ENTRY_BYTES - 4), 4);
}

bool hri_census_entry_decode(const unsigned char *bytes, unsigned version, hri_census_entry *ret_entry)
{
    unsigned kind = bytes[CENSUS_ROW_KIND], number = bytes[CENSUS_NUMBER], count = bytes[CENSUS_COUNT];
    if (version != HRI_FILE_VERSION || bytes[ENTRY_KIND] != KIND_CENSUS || kind >= HR_CENSUS_KINDS ||
        count > HR_CENSUS_ROWS || number >= count)
        return false;
    uint64_t figures[CENSUS_FIGURES];
    for (unsigned i = 0; i < CENSUS_FIGURES; i++)
        figures[i] = get(bytes + ENTRY_FIGURES + 8 * (size_t)i, 8);
    *ret_entry = (hri_census_entry){
        .session = (int64_t)get(bytes + ENTRY_SESSION, 8),
        .time_ns = (int64_t)get(bytes + ENTRY_TIME, 8),
        .wall_ns = (int64_t)get(bytes + ENTRY_WALL, 8),
        .number = number,
        .count = count,
        .left_out = figures[4],
        .row = {.kind = (hr_census_kind)kind,
                .used_bytes = figures[0],
                .limit_bytes = figures[1],
                .peak_bytes = figures[2],
                .refused = figures[3]},
    };
    const char *name = (const char *)bytes + CENSUS_NAME;
    memcpy(ret_entry->row.name, name, strnlen(name, sizeof ret_entry->row.name - 1));
    return true;
}

/* ── of an origin ───────────────────────────────────────────────────────────────────────────────────────────────── */

static_assert(ENTRY_FIGURES + HRI_ORIGIN_PIECE_BYTES == HRI_ENTRY_BYTES, "a piece fits");

void hri_origin_entry_encode(const hri_origin_entry *entry, unsigned char ret_bytes[HRI_ENTRY_BYTES])
{
    memset(ret_bytes, 0, HRI_ENTRY_BYTES);
    put(ret_bytes + ENTRY_KIND, KIND_ORIGIN, 1);
    put(ret_bytes + ENTRY_LEVEL, (uint64_t)entry->text, 1);
    put(ret_bytes + ENTRY_FROM, entry->number, 1);
    put(ret_bytes + ENTRY_EVENT, entry->count, 1);
    put(ret_bytes + ENTRY_SESSION, (uint64_t)entry->session, 8);
    memcpy(ret_bytes + ENTRY_FIGURES, entry->piece, strnlen(entry->piece, HRI_ORIGIN_PIECE_BYTES));
    put(ret_bytes, hri_crc32(ret_bytes + 4, HRI_ENTRY_BYTES - 4), 4);
}

bool hri_origin_entry_decode(const unsigned char *bytes, unsigned version, hri_origin_entry *ret_entry)
{
    unsigned which = bytes[ENTRY_LEVEL], number = bytes[ENTRY_FROM], count = bytes[ENTRY_EVENT];
    if (version != HRI_FILE_VERSION || bytes[ENTRY_KIND] != KIND_ORIGIN || which >= HRI_ORIGIN_TEXTS ||
        count > HRI_ORIGIN_PIECES || number >= count)
        return false;
    *ret_entry = (hri_origin_entry){.session = (int64_t)get(bytes + ENTRY_SESSION, 8),
                                    .text = (hri_origin_text)which,
                                    .number = number,
                                    .count = count};
    const char *piece = (const char *)bytes + ENTRY_FIGURES;
    memcpy(ret_entry->piece, piece, strnlen(piece, HRI_ORIGIN_PIECE_BYTES));
    return true;
}
