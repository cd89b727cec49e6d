/* SPDX-License-Identifier: Apache-2.0 */
/* History as bytes of a file: pure. A head of HRI_HEAD_BYTES, then entries of HRI_ENTRY_BYTES, all numbers
 * little-endian:
 *
 *     head    magic "HRHIST\r\n" · u32 version · u32 bytes of an entry · i64 wall_ns · zeros · u32 checksum of the rest
 *     entry   u32 checksum of the rest · u8 kind · u8 level · u8 from · u8 event · i64 session · i64 time_ns
 *             · i64 wall_ns · figures · u32 millionths of use · 16 bytes: decided by · of an event 48 bytes: budget
 *             · zeros
 *     figures of a sample: u64 live, total, rss, cgroup, reliefs, limit, relieved, anonymous, kernel, cache, refusals,
 *             refusals_degraded, refusals_critical, would_have_refused and its two parts
 *             of an event: u64 freed, live, by limit, by level, i64 span
 *
 * An entry of a census (census.h) has the kind of its row at `level`. At `from` is its number in the list of that kind,
 * at `event` how many rows that list has. Its figures:
 *
 *     u64 used, limit, peak, refused, left out · 96 bytes: name · zeros
 *
 * An entry of an origin (origin.h) has at `level` which of its texts it is a piece of. At `from` is the piece's number,
 * at `event` how many pieces the text has. Its figures are 160 bytes of the text, and zeros behind its end.
 *
 * Version 2 had entries of 160 bytes, without would_have_refused; version 1 of 128 bytes, which end with cache, or with
 * live.
 *
 * The checksum is CRC-32 (ISO 3309, as zlib's crc32()): it tells a torn or damaged entry, and is no defence against one
 * who wants to deceive. A later version may add entries of other kinds, which are passed over.
 */
#ifndef HRI_REPORT_CODEC_H
#define HRI_REPORT_CODEC_H

#include <headroom/report.h>

/* An entry of a census. */
typedef struct hri_census_entry {
    int64_t session, time_ns, wall_ns;
    size_t number, count; /* in the list of its kind */
    uint64_t left_out;    /* smaller ones that are not in it */
    hr_census_row row;
} hri_census_entry;

/* The texts of an origin, and an entry of one. */
typedef enum hri_origin_text {
    HRI_ORIGIN_COMMAND,
    HRI_ORIGIN_LIMIT_SOURCE,
    HRI_ORIGIN_TEXTS
} hri_origin_text;

#define HRI_ORIGIN_PIECE_BYTES 160
#define HRI_ORIGIN_PIECES ((HR_COMMAND_BYTES + HRI_ORIGIN_PIECE_BYTES - 1) / HRI_ORIGIN_PIECE_BYTES) /* of a text */

typedef struct hri_origin_entry {
    int64_t session;
    hri_origin_text text;
    size_t number, count; /* of the pieces of that text */
    char piece[HRI_ORIGIN_PIECE_BYTES + 1];
} hri_origin_entry;

#define HRI_HEAD_BYTES 64
#define HRI_ENTRY_BYTES 192
#define HRI_FILE_VERSION 3

/* The bytes of an entry of a version; 0: of one that is not known. */
unsigned hri_entry_bytes(unsigned version);

void hri_head_encode(int64_t wall_ns, unsigned char ret_head[HRI_HEAD_BYTES]);

/* Gives 0; -EBADMSG if it is no head of ours; -EPROTONOSUPPORT if it is of a version that is not known. */
int hri_head_decode(const unsigned char head[HRI_HEAD_BYTES], unsigned *ret_version);

void hri_entry_encode(const hr_history_entry *entry, unsigned char ret_bytes[HRI_ENTRY_BYTES]);

void hri_census_entry_encode(const hri_census_entry *entry, unsigned char ret_bytes[HRI_ENTRY_BYTES]);

/* Decodes an entry of a known version. Gives 0; -EBADMSG if it is damaged; -ENOMSG if it is whole and of a kind that is
 * not known, or of a census or an origin. */
int hri_entry_decode(const unsigned char *bytes, unsigned version, hr_history_entry *ret_entry);

/* Decodes an entry that is whole as one of a census; gives false if it is none. */
bool hri_census_entry_decode(const unsigned char *bytes, unsigned version, hri_census_entry *ret_entry);

void hri_origin_entry_encode(const hri_origin_entry *entry, unsigned char ret_bytes[HRI_ENTRY_BYTES]);

/* Decodes an entry that is whole as one of an origin; gives false if it is none. */
bool hri_origin_entry_decode(const unsigned char *bytes, unsigned version, hri_origin_entry *ret_entry);

uint32_t hri_crc32(const void *bytes, size_t size);

#endif
