/* SPDX-License-Identifier: Apache-2.0 */
/* A history file: the input is one. A reader finds the entries that a second, slower checksum finds, and each comes out
 * of the encoder as it was. A writer takes the file up and leaves it whole, or leaves it as it is. */
#include "fuzz.h"

#include "report/codec.h"
#include "report/journal.h"

#include <fcntl.h>
#include <unistd.h>

static char path[] = "/tmp/headroom-fuzz-XXXXXX", older[sizeof path + 2];
static bool made;

static void remove_file(void)
{
    unlink(path);
    unlink(older);
}

static void write_file(const uint8_t *data, size_t size)
{
    int fd = made ? open(path, O_WRONLY | O_TRUNC | O_CLOEXEC) : mkstemp(path);
    if (fd < 0 || write(fd, data, size) != (ssize_t)size)
        abort();
    close(fd);
    if (!made)
        atexit(remove_file);
    made = true;
    snprintf(older, sizeof older, "%s.1", path);
    unlink(older);
}

/* CRC-32 a bit at a time, as the standard has it. */
static uint32_t slow_sum(const uint8_t *bytes, size_t size)
{
    uint32_t sum = 0xffffffff;
    for (size_t i = 0; i < size; i++) {
        sum ^= bytes[i];
        for (int bit = 0; bit < 8; bit++)
            sum = sum & 1 ? (sum >> 1) ^ 0xedb88320 : sum >> 1;
    }
    return ~sum;
}

static uint32_t number(const uint8_t *at)
{
    return (uint32_t)at[0] | (uint32_t)at[1] << 8 | (uint32_t)at[2] << 16 | (uint32_t)at[3] << 24;
}

static uint64_t visited;

/* The sentence has the length that was returned, for whatever a file says. */
static void say(const hr_history_entry *entry)
{
    char text[1024];
    const hr_record records[2] = {{.refusals = 0}, entry->record};
    ssize_t length = hr_refusals_format(&(hr_history_view){records, 2, &entry->event, 1}, text, sizeof text);
    HRF_CHECK(length > 0 && (size_t)length < sizeof text && strlen(text) == (size_t)length);
}

static int visit(void *context, const hr_history_entry *entry)
{
    unsigned char bytes[HRI_ENTRY_BYTES];
    hr_history_entry again;
    (void)context;
    visited++;
    HRF_CHECK(entry->is_event ? entry->event.to <= HR_CRITICAL : entry->record.level <= HR_CRITICAL);
    hri_entry_encode(entry, bytes);
    HRF_CHECK(hri_entry_decode(bytes, HRI_FILE_VERSION, &again) == 0);
    HRF_CHECK(again.is_event == entry->is_event && again.session == entry->session);
    HRF_CHECK(memcmp(&again.record, &entry->record, sizeof again.record) == 0);
    HRF_CHECK(memcmp(&again.event, &entry->event, sizeof again.event) == 0);
    const char *decided_by = entry->is_event ? entry->event.decided_by : entry->record.decided_by;
    HRF_CHECK(memchr(decided_by, '\0', HR_LEDGER_NAME_BYTES) &&
              strspn(decided_by, " abcdefghijklmnopqrstuvwxyz?") == strlen(decided_by));
    HRF_CHECK(memchr(entry->event.budget, '\0', sizeof entry->event.budget));
    say(entry);
    return 0;
}

static uint64_t expected(const uint8_t *data, size_t size, size_t entry, uint64_t *ret_damaged)
{
    uint64_t whole = 0;
    for (size_t at = HRI_HEAD_BYTES; at + entry <= size; at += entry) {
        bool good = number(data + at) == slow_sum(data + at + 4, entry - 4);
        whole += good;
        *ret_damaged += !good;
    }
    return whole;
}

static void check_reading(const uint8_t *data, size_t size)
{
    hr_history_findings findings;
    visited = 0;
    int error = hr_history_file_visit(path, visit, NULL, &findings);
    bool head = size >= HRI_HEAD_BYTES && memcmp(data, "HRHIST\r\n", 8) == 0 &&
                number(data + HRI_HEAD_BYTES - 4) == slow_sum(data, HRI_HEAD_BYTES - 4);
    HRF_CHECK(error == 0 || error == -ENODATA || error == -EBADMSG || error == -EPROTONOSUPPORT);
    HRF_CHECK((error == 0 || error == -EPROTONOSUPPORT) == head);
    if (error)
        return;
    size_t entry = hri_entry_bytes(number(data + 8));
    uint64_t damaged = 0, whole = expected(data, size, entry, &damaged);
    HRF_CHECK(findings.entries == visited &&
              findings.entries + findings.unknown + findings.census + findings.origin == whole);
    HRF_CHECK(findings.damaged == damaged && findings.torn_bytes == (size - HRI_HEAD_BYTES) % entry);
}

/* A census has rows that are bounded and terminated, and each comes out of the encoder as it was. */
static void check_census(void)
{
    hr_census census;
    if (hr_history_file_read_census(path, &census) != 0)
        return;
    HRF_CHECK(census.count > 0 && census.count <= HR_CENSUS_KINDS * HR_CENSUS_ROWS);
    for (size_t i = 0; i < census.count; i++) {
        unsigned char bytes[HRI_ENTRY_BYTES], copy[HRI_ENTRY_BYTES];
        hri_census_entry entry = {.count = 1, .row = census.rows[i]}, again;
        HRF_CHECK(census.rows[i].kind < HR_CENSUS_KINDS);
        HRF_CHECK(memchr(census.rows[i].name, '\0', HR_CENSUS_NAME_BYTES));
        hri_census_entry_encode(&entry, bytes);
        HRF_CHECK(hri_census_entry_decode(bytes, HRI_FILE_VERSION, &again));
        hri_census_entry_encode(&again, copy);
        HRF_CHECK(memcmp(copy, bytes, sizeof bytes) == 0);
    }
}

/* An origin has texts that are terminated, and each comes out of the encoder as it was. */
static void check_origin(void)
{
    unsigned char bytes[HRI_ORIGIN_ENTRIES * HRI_ENTRY_BYTES];
    hr_history_origin origin, again = {0};
    hri_origin_reader reader = {.origin = &again};
    hri_origin_entry entry;
    if (hr_history_file_read_origin(path, &origin) != 0)
        return;
    HRF_CHECK(memchr(origin.command, '\0', sizeof origin.command));
    HRF_CHECK(memchr(origin.limit_source, '\0', sizeof origin.limit_source));
    size_t count = hri_origin_encode(&origin, HRI_ORIGIN_ALL, bytes);
    HRF_CHECK(count <= HRI_ORIGIN_ENTRIES);
    for (size_t i = 0; i < count; i++) {
        HRF_CHECK(hri_origin_entry_decode(bytes + i * HRI_ENTRY_BYTES, HRI_FILE_VERSION, &entry));
        hri_origin_take(&reader, &entry);
    }
    HRF_CHECK(strcmp(again.command, origin.command) == 0 && strcmp(again.limit_source, origin.limit_source) == 0);
}

static void check_writing(size_t size)
{
    hri_journal journal;
    hr_history_findings findings;
    int error = hri_journal_init(&journal, path, 0);
    if (error) {
        HRF_CHECK(error == -EBADMSG || error == -EPROTONOSUPPORT);
        int fd = open(path, O_RDONLY | O_CLOEXEC);
        HRF_CHECK(lseek(fd, 0, SEEK_END) == (off_t)size);
        close(fd);
        return;
    }
    uint64_t left = journal.append.size;
    HRF_CHECK((left - HRI_HEAD_BYTES) % HRI_ENTRY_BYTES == 0 &&
              left <= (size > HRI_HEAD_BYTES ? size : HRI_HEAD_BYTES));
    hri_journal_destroy(&journal);
    unlink(older); /* of an older version all of it */
    HRF_CHECK(hr_history_file_visit(path, visit, NULL, &findings) == 0 && findings.torn_bytes == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    write_file(data, size);
    check_reading(data, size);
    check_census();
    check_origin();
    check_writing(size);
    return 0;
}
