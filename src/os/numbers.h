/* SPDX-License-Identifier: Apache-2.0 */
/* A set of numbers that needs no memory of its own: numbers that are equal modulo its size are one. The kernel numbers
 * pipes and sockets one after the other, so that is rare. */
#ifndef HRI_OS_NUMBERS_H
#define HRI_OS_NUMBERS_H

#include <stdbool.h>
#include <stdint.h>

#define HRI_NUMBERS 16384u

typedef struct hri_numbers {
    uint64_t words[HRI_NUMBERS / 64];
} hri_numbers;

static inline bool hri_numbers_have(const hri_numbers *numbers, uint64_t number)
{
    return numbers->words[number % HRI_NUMBERS / 64] >> number % 64 & 1;
}

static inline void hri_numbers_add(hri_numbers *numbers, uint64_t number)
{
    numbers->words[number % HRI_NUMBERS / 64] |= UINT64_C(1) << number % 64;
}

#endif
