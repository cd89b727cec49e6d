/* SPDX-License-Identifier: Apache-2.0 */
/* Lines are counted in the same way by all programs of ours that are measured against each other. */
#ifndef BENCH_FLOW_LINES_H
#define BENCH_FLOW_LINES_H

#include <stddef.h>
#include <stdint.h>
#ifdef __x86_64__
#include <immintrin.h>
#endif

static inline uint64_t count_lines_anywhere(const uint8_t *bytes, size_t size)
{
    uint64_t count = 0;
    for (size_t i = 0; i < size; i++)
        count += bytes[i] == '\n';
    return count;
}

#ifdef __x86_64__
/* As wc and Go count where the processor can. */
__attribute__((target("avx2"))) static inline uint64_t count_lines_avx2(const uint8_t *bytes, size_t size)
{
    const __m256i newline = _mm256_set1_epi8('\n'), zero = _mm256_setzero_si256();
    __m256i counts = zero;
    size_t at = 0;
    while (at + 32 <= size) {
        __m256i sums = zero;
        for (unsigned i = 0; i < 255 && at + 32 <= size; i++, at += 32) {
            __m256i block = _mm256_loadu_si256((const __m256i *)(const void *)(bytes + at));
            sums = _mm256_sub_epi8(sums, _mm256_cmpeq_epi8(block, newline));
        }
        counts = _mm256_add_epi64(counts, _mm256_sad_epu8(sums, zero));
    }
    uint64_t lanes[4];
    _mm256_storeu_si256((__m256i *)(void *)lanes, counts);
    return lanes[0] + lanes[1] + lanes[2] + lanes[3] + count_lines_anywhere(bytes + at, size - at);
}
#endif

static inline uint64_t count_lines(const void *data, size_t size)
{
#ifdef __x86_64__
    if (__builtin_cpu_supports("avx2"))
        return count_lines_avx2(data, size);
#endif
    return count_lines_anywhere(data, size);
}

#endif
