/* SPDX-License-Identifier: Apache-2.0 */
/* History as bytes of a file: pure. A head of HRI_HEAD_BYTES, then entries of HRI_ENTRY_BYTES, all numbers little-endian:
 *
 *     head    magic "HRHIST\r\n" · u32 version · u32 bytes of an entry · i64 wall_ns · zeros · u32 checksum of the rest
 *     entry   u32 checksum of the rest · u8 kind · u8 level · u8 from · u8 event · i64 session · i64 time_ns · i64 wall_ns
 *             · ten u64: live, total, rss, cgroup, reliefs, limit, relieved, anonymous, kernel, cache
 *             (an event: freed, live, and zeros) · zeros
 *
 * The checksum is CRC-32 (ISO 3309, as zlib's crc32()): it tells a torn or damaged entry, and is no defence against one
 * who wants to deceive. A later version may add entries of other kinds, which are passed over.
 */
#ifndef HRI_REPORT_CODEC_H
#define HRI_REPORT_CODEC_H

#include <headroom/report.h>

#define HRI_HEAD_BYTES 64
#define HRI_ENTRY_BYTES 128
#define HRI_FILE_VERSION 1

void hri_head_encode(int64_t wall_ns, unsigned char ret_head[HRI_HEAD_BYTES]);

/* Gives 0; -EBADMSG if it is no head of ours; -EPROTONOSUPPORT if it is of a version that is not known. */
int hri_head_decode(const unsigned char head[HRI_HEAD_BYTES]);

void hri_entry_encode(const hr_history_entry *entry, unsigned char ret_bytes[HRI_ENTRY_BYTES]);

/* Gives 0; -EBADMSG if it is damaged; -ENOMSG if it is whole and of a kind that is not known. */
int hri_entry_decode(const unsigned char bytes[HRI_ENTRY_BYTES], hr_history_entry *ret_entry);

uint32_t hri_crc32(const void *bytes, size_t size);

#endif
