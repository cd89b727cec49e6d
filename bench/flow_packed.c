/* SPDX-License-Identifier: Apache-2.0 */
#include "flow_packed.h"

#include "bench.h"

#include <dlfcn.h>
#include <unistd.h>

void *zlib_function(const char *name)
{
    static void *library;
    if (!library)
        library = dlopen("libz.so.1", RTLD_NOW);
    return library ? dlsym(library, name) : NULL;
}

typedef int zlib_compress(uint8_t *to, unsigned long *size, const uint8_t *from, unsigned long length, int level);

uint64_t flow_packed_bytes(void)
{
    return zlib_function("compress2") ? (uint64_t)RECORDS * RECORD_BYTES : 0;
}

void flow_write_packed(int fd)
{
    static uint8_t record[RECORD_BYTES], packed[RECORD_BYTES + 4];
    zlib_compress *compress = (zlib_compress *)zlib_function("compress2");
    if (!compress)
        return;
    uint32_t seed = 1;
    for (size_t i = 0; i < sizeof record; i++) {
        seed = seed * 1103515245u + 12345u;
        record[i] = (uint8_t)("etaoin shrdlu\n"[(seed >> 16) % 14]);
    }
    unsigned long size = sizeof packed - 4;
    bench_require(compress(packed + 4, &size, record, sizeof record, 6) == 0, "compress2");
    for (int i = 0; i < 4; i++)
        packed[i] = (uint8_t)(size >> (24 - 8 * i));
    for (int i = 0; i < RECORDS; i++)
        bench_require(write(fd, packed, size + 4) == (ssize_t)(size + 4), "write");
}
