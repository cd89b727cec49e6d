/* SPDX-License-Identifier: Apache-2.0 */
/* A history file: the input is one. A reader finds the entries that a second, slower checksum finds, and each comes out of
 * the encoder as it was; a writer takes the file up and leaves it whole, or leaves it as it is. */
#include "fuzz.h"

#include "report/codec.h"
#include "report/journal.h"

#include <fcntl.h>
#include <unistd.h>

static char path[] = "/tmp/headroom-fuzz-XXXXXX";
static bool made;

static void remove_file(void)
{
    unlink(path);
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

static int visit(void *context, const hr_history_entry *entry)
{
    unsigned char bytes[HRI_ENTRY_BYTES];
    hr_history_entry again;
    (void)context;
    visited++;
    HRF_CHECK(entry->is_event ? entry->event.to <= HR_CRITICAL : entry->record.level <= HR_CRITICAL);
    hri_entry_encode(entry, bytes);
    HRF_CHECK(hri_entry_decode(bytes, &again) == 0);
    HRF_CHECK(again.is_event == entry->is_event && again.session == entry->session);
    HRF_CHECK(memcmp(&again.record, &entry->record, sizeof again.record) == 0);
    return 0;
}

static uint64_t expected(const uint8_t *data, size_t size, uint64_t *ret_damaged)
{
    uint64_t whole = 0;
    for (size_t at = HRI_HEAD_BYTES; at + HRI_ENTRY_BYTES <= size; at += HRI_ENTRY_BYTES) {
        bool good = number(data + at) == slow_sum(data + at + 4, HRI_ENTRY_BYTES - 4);
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
    uint64_t damaged = 0, whole = expected(data, size, &damaged);
    HRF_CHECK(findings.entries == visited && findings.entries + findings.unknown == whole);
    HRF_CHECK(findings.damaged == damaged && findings.torn_bytes == (size - HRI_HEAD_BYTES) % HRI_ENTRY_BYTES);
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
    HRF_CHECK(hr_history_file_visit(path, visit, NULL, &findings) == 0 && findings.torn_bytes == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    write_file(data, size);
    check_reading(data, size);
    check_writing(size);
    return 0;
}
