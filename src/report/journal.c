/* SPDX-License-Identifier: Apache-2.0 */
/* Invariant: what is in the file up to `append.size` is a head and whole entries. A process that is killed while it
 * writes leaves a torn entry behind that, which the next one cuts off. */
#include "report/journal.h"

#include "base/checked.h"
#include "base/lock.h"
#include "base/uncancelled.h"
#include "os/clock.h"
#include "os/file.h"
#include "report/codec.h"

#include <errno.h>
#include <string.h>

#define BATCH 16

/* ── opening ────────────────────────────────────────────────────────────────────────────────────────────────────── */

static int begin(hri_journal *journal)
{
    unsigned char head[HRI_HEAD_BYTES];
    hri_head_encode(hri_os_wall_ns(), head);
    int error = hri_append_cut(&journal->append, 0);
    return error ? error : hri_append_add(&journal->append, head, sizeof head);
}

/* Is what there is the beginning of a head that its writer could not finish? */
static bool is_torn_head(const unsigned char *head, size_t length)
{
    unsigned char whole[HRI_HEAD_BYTES];
    hri_head_encode(0, whole);
    return memcmp(head, whole, length < 16 ? length : 16) == 0; /* magic, version, size */
}

/* Begins a new file; the one that was becomes the older part. */
static int turn(hri_journal *journal)
{
    unsigned char head[HRI_HEAD_BYTES];
    hri_head_encode(hri_os_wall_ns(), head);
    return hri_append_turn(&journal->append, head, sizeof head);
}

/* Cuts entries from the end that are torn or damaged: what was being written when its process or machine died. */
static int cut_tail(hri_journal *journal)
{
    unsigned char bytes[HRI_ENTRY_BYTES];
    hr_history_entry entry;
    uint64_t size = journal->append.size;
    size -= (size - HRI_HEAD_BYTES) % HRI_ENTRY_BYTES;
    while (size > HRI_HEAD_BYTES) {
        ssize_t got = hri_append_read(&journal->append, bytes, sizeof bytes, size - HRI_ENTRY_BYTES);
        if (got < 0)
            return (int)got;
        if (got == sizeof bytes && hri_entry_decode(bytes, HRI_FILE_VERSION, &entry) != -EBADMSG)
            break;
        size -= HRI_ENTRY_BYTES;
    }
    journal->figures.cut_bytes = journal->append.size - size;
    return journal->figures.cut_bytes ? hri_append_cut(&journal->append, size) : 0;
}

/* A file that is not ours is left as it is. */
static int go_on(hri_journal *journal)
{
    unsigned char head[HRI_HEAD_BYTES];
    if (journal->append.size == 0)
        return begin(journal);
    ssize_t got = hri_append_read(&journal->append, head, sizeof head, 0);
    if (got < 0)
        return (int)got;
    if ((size_t)got < sizeof head) {
        if (!is_torn_head(head, (size_t)got))
            return -EBADMSG;
        journal->figures.cut_bytes = (uint64_t)got;
        return begin(journal);
    }
    unsigned version;
    int error = hri_head_decode(head, &version);
    if (!error)
        hri_append_finish_turn(&journal->append);
    if (!error) /* what an older version wrote is read as it is, and is not written to */
        error = version == HRI_FILE_VERSION ? cut_tail(journal) : turn(journal);
    return error;
}

int hri_journal_init(hri_journal *journal, const char *path, uint64_t bytes)
{
    *journal = (hri_journal){.append = {.fd = -1}, .session = hri_os_wall_ns()};
    if (bytes == 0)
        bytes = HRI_JOURNAL_BYTES;
    if (path && (bytes < HRI_JOURNAL_BYTES_MIN || bytes > INT64_MAX))
        return -EINVAL;
    if (path) {
        int error = hri_append_open(&journal->append, path, bytes / 2);
        if (!error)
            error = go_on(journal);
        if (error) {
            hri_append_close(&journal->append);
            return error;
        }
        journal->figures.is_open = true;
    }
    journal->origin.session = journal->session;
    int error = hri_lock_init(&journal->lock);
    if (error)
        hri_append_close(&journal->append);
    return error;
}

void hri_journal_destroy(hri_journal *journal)
{
    pthread_mutex_destroy(&journal->lock);
    hri_append_close(&journal->append);
}

void hri_journal_fork(hri_journal *journal, hri_fork moment)
{
    hri_fork_lock(&journal->lock, moment);
    if (moment != HRI_FORK_CHILD)
        return;
    hri_append_close(&journal->append);
    journal->figures = (hr_history_file_figures){0};
}

/* ── following ──────────────────────────────────────────────────────────────────────────────────────────────────── */

/* Appends entries; where the file is full, to a new one, which begins with the origin. */
static int append(hri_journal *journal, const unsigned char *bytes, size_t size)
{
    unsigned char origin[HRI_ORIGIN_ENTRIES * HRI_ENTRY_BYTES];
    size_t ahead = journal->origin_due ? sizeof origin : 0;
    int error = 0;
    if (journal->append.size + ahead + size > journal->append.most) {
        error = turn(journal);
        journal->origin_due = error ? journal->origin_due : HRI_ORIGIN_ALL;
    }
    if (!error && journal->origin_due) {
        size_t count = hri_origin_encode(&journal->origin, journal->origin_due, origin);
        error = hri_append_add(&journal->append, origin, count * HRI_ENTRY_BYTES);
        journal->origin_due = error ? journal->origin_due : 0;
    }
    return error ? error : hri_append_add(&journal->append, bytes, size);
}

void hri_journal_describe(hri_journal *journal, const char *command, const char *limit_source)
{
    pthread_mutex_lock(&journal->lock);
    journal->origin_due |= hri_origin_set(&journal->origin, command, limit_source);
    pthread_mutex_unlock(&journal->lock);
}

static int write_encoded(hri_journal *journal, const unsigned char *bytes, size_t count)
{
    int error = append(journal, bytes, count * HRI_ENTRY_BYTES);
    journal->figures.error = error;
    journal->figures.failures += error != 0;
    if (!error)
        journal->figures.entries += count;
    return error;
}

static int write_entries(hri_journal *journal, const hr_history_entry *entries, size_t count)
{
    unsigned char bytes[BATCH * HRI_ENTRY_BYTES];
    for (size_t i = 0; i < count; i++)
        hri_entry_encode(&entries[i], bytes + i * HRI_ENTRY_BYTES);
    return write_encoded(journal, bytes, count);
}

/* Writes a batch of what is not written yet; gives whether there was any and it was. */
static bool follow_records(hri_journal *journal, hri_history *history)
{
    hr_history_entry entries[BATCH];
    uint64_t first = journal->next_record;
    size_t count = 0;
    while (count < BATCH && hri_history_record_at(history, &first, count, &entries[count].record)) {
        entries[count].is_event = false;
        entries[count++].session = journal->session;
    }
    journal->figures.lost += first - journal->next_record;
    journal->next_record = first;
    if (count == 0 || write_entries(journal, entries, count) != 0)
        return false;
    journal->next_record += count;
    return true;
}

static bool follow_events(hri_journal *journal, hri_history *history)
{
    hr_history_entry entries[BATCH];
    uint64_t first = journal->next_event;
    size_t count = 0;
    while (count < BATCH && hri_history_event_at(history, &first, count, &entries[count].event)) {
        entries[count].is_event = true;
        entries[count++].session = journal->session;
    }
    journal->figures.lost += first - journal->next_event;
    journal->next_event = first;
    if (count == 0 || write_entries(journal, entries, count) != 0)
        return false;
    journal->next_event += count;
    return true;
}

void hri_journal_follow(hri_journal *journal, hri_history *history)
{
    pthread_mutex_lock(&journal->lock);
    while (journal->append.fd >= 0 && (follow_records(journal, history) || follow_events(journal, history)))
        ;
    pthread_mutex_unlock(&journal->lock);
}

void hri_journal_count(hri_journal *journal, hri_figure_registry *registry, hr_level level, int64_t now_ns)
{
    unsigned char bytes[HRI_CENSUS_ENTRIES * HRI_ENTRY_BYTES];
    pthread_mutex_lock(&journal->lock);
    bool due = journal->append.fd >= 0 && hri_census_is_due(&journal->census, level, now_ns);
    pthread_mutex_unlock(&journal->lock);
    if (!due)
        return;
    /* The journal is in that registry too, and is asked with its lock open. */
    hri_census_entry moment = {.session = journal->session, .time_ns = now_ns, .wall_ns = hri_os_wall_ns()};
    size_t count = hri_census_encode(registry, &moment, bytes);
    pthread_mutex_lock(&journal->lock);
    if (count && journal->append.fd >= 0)
        write_encoded(journal, bytes, count);
    pthread_mutex_unlock(&journal->lock);
}

int hri_journal_write(hri_journal *journal, const hr_history_entry *entry)
{
    hr_history_entry own = *entry;
    own.session = journal->session;
    pthread_mutex_lock(&journal->lock);
    int error = write_entries(journal, &own, 1);
    pthread_mutex_unlock(&journal->lock);
    return error;
}

void hri_journal_read(hri_journal *journal, hr_history_file_figures *ret_figures)
{
    pthread_mutex_lock(&journal->lock);
    *ret_figures = journal->figures;
    ret_figures->bytes = journal->append.fd >= 0 ? journal->append.size : 0;
    pthread_mutex_unlock(&journal->lock);
}

static const hri_figure published[] = {
    {"bytes", NULL, HRI_BYTES, "size of the history file"},
    {"errno", NULL, HRI_COUNT, "of the last write: 0, or why it failed"},
    {"failures", NULL, HRI_COUNTER, "writes that failed"},
    {"lost", NULL, HRI_COUNTER, "entries that left memory unwritten"},
    {"entries", NULL, HRI_COUNTER, "entries written by this process"},
    {"cut_bytes", NULL, HRI_BYTES, "torn tail that was cut off at the start"},
};

static void each_file(void *context, hri_figures_visit *visit, void *visitor)
{
    hri_journal *journal = context;
    hr_history_file_figures figures;
    hri_journal_read(journal, &figures);
    uint64_t values[] = {figures.bytes, (uint64_t)-figures.error, figures.failures,
                         figures.lost,  figures.entries,          figures.cut_bytes};
    if (figures.is_open)
        visit(visitor, journal->append.path, values);
}

void hri_journal_publish(hri_journal *journal, hri_figure_source *ret_source)
{
    *ret_source = (hri_figure_source){
        .noun = "history_file",
        .figures = published,
        .count = sizeof published / sizeof *published,
        .each = each_file,
        .context = journal,
    };
}

/* ── reading, of any file ───────────────────────────────────────────────────────────────────────────────────────── */

/* A file that is read: of its version, for whom. */
struct reading {
    int fd;
    unsigned version;
    hr_history_visit_fn *visit;
    void *context;
    hri_census_reader *census; /* NULL: nobody asks */
    hri_origin_reader *origin; /* likewise */
};

/* Takes an entry that is no sample and no event. Gives whether it is known. */
static bool read_other(const struct reading *reading, const unsigned char *bytes, hr_history_findings *findings)
{
    hri_census_entry row;
    hri_origin_entry piece;
    bool is_census = hri_census_entry_decode(bytes, reading->version, &row);
    bool is_origin = hri_origin_entry_decode(bytes, reading->version, &piece);
    if (is_census && reading->census)
        hri_census_take(reading->census, &row);
    if (is_origin && reading->origin)
        hri_origin_take(reading->origin, &piece);
    findings->census += is_census;
    findings->origin += is_origin;
    return is_census || is_origin;
}

static int read_entries(const struct reading *reading, hr_history_findings *findings)
{
    unsigned char bytes[HRI_ENTRY_BYTES];
    size_t size = hri_entry_bytes(reading->version);
    for (;;) {
        hr_history_entry entry;
        ssize_t got = hri_append_read_on(reading->fd, bytes, size);
        if (got < 0)
            return (int)got;
        findings->torn_bytes += (size_t)got < size ? (uint64_t)got : 0;
        if ((size_t)got < size)
            return 0;
        int error = hri_entry_decode(bytes, reading->version, &entry);
        findings->damaged += error == -EBADMSG;
        findings->unknown += error == -ENOMSG && !read_other(reading, bytes, findings);
        if (error)
            continue;
        findings->entries++;
        int result = reading->visit ? reading->visit(reading->context, &entry) : 0;
        if (result)
            return result;
    }
}

static int read_one(int fd, struct reading reading, hr_history_findings *findings)
{
    unsigned char head[HRI_HEAD_BYTES];
    ssize_t got = hri_append_read_on(fd, head, sizeof head);
    if (got < 0)
        return (int)got;
    if (got == 0)
        return -ENODATA;
    if ((size_t)got < sizeof head)
        return is_torn_head(head, (size_t)got) ? -ENODATA : -EBADMSG;
    reading.fd = fd;
    int error = hri_head_decode(head, &reading.version);
    return error ? error : read_entries(&reading, findings);
}

static int read_files(const char *path, struct reading reading, hr_history_findings *ret_findings)
{
    HRI_UNCANCELLED; /* the files are to be closed */
    hr_history_findings findings = {0};
    if (!path)
        return -EINVAL;
    int fd = hri_append_open_to_read(path, "");
    if (fd < 0)
        return fd;
    int older = hri_append_open_to_read(path, ".1"), error = 0;
    if (older >= 0 && hri_append_is_same(fd, older)) { /* its writer was killed while it turned the file, or is at it */
        hri_file_close(older);
        older = -ENOENT;
    }
    if (older >= 0) {
        error = read_one(older, reading, &findings);
        findings.older = error == 0;
        error = error == -ENODATA || error == -EBADMSG || error == -EPROTONOSUPPORT ? 0 : error;
        hri_file_close(older);
    }
    if (!error)
        error = read_one(fd, reading, &findings);
    if (error == -ENODATA && findings.entries > 0)
        error = 0;
    hri_file_close(fd);
    if (ret_findings && !error)
        *ret_findings = findings;
    return error;
}

int hr_history_file_visit(const char *path, hr_history_visit_fn *visit, void *context,
                          hr_history_findings *ret_findings)
{
    return read_files(path, (struct reading){.visit = visit, .context = context}, ret_findings);
}

int hr_history_file_read_census(const char *path, hr_census *ret_census)
{
    hr_census census = {0};
    hri_census_reader reader = {.census = &census};
    if (!ret_census)
        return -EINVAL;
    int error = read_files(path, (struct reading){.census = &reader}, NULL);
    if (!error && census.count == 0)
        error = -ENODATA;
    if (!error)
        *ret_census = census;
    return error;
}

int hr_history_file_read_origin(const char *path, hr_history_origin *ret_origin)
{
    hr_history_origin origin = {0};
    hri_origin_reader reader = {.origin = &origin};
    if (!ret_origin)
        return -EINVAL;
    int error = read_files(path, (struct reading){.origin = &reader}, NULL);
    if (!error && !reader.found)
        error = -ENODATA;
    if (!error)
        *ret_origin = origin;
    return error;
}
