/* SPDX-License-Identifier: Apache-2.0 */
/* Records that are compressed with zlib, each with its length before it. */
#ifndef BENCH_FLOW_PACKED_H
#define BENCH_FLOW_PACKED_H

#include <stdint.h>

#define RECORD_BYTES (256 << 10) /* unpacked */
#define RECORDS 1024

typedef int zlib_uncompress(uint8_t *to, unsigned long *size, const uint8_t *from, unsigned long length);

/* A function of zlib's by its name; NULL where there is no zlib. It is loaded by those who need it: linked, it would
 * count as memory of all. */
void *zlib_function(const char *name);

/* Writes the records; nothing without zlib. */
void flow_write_packed(int fd);

/* The bytes that they are unpacked; 0 without zlib. */
uint64_t flow_packed_bytes(void);

#endif
