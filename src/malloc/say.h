/* SPDX-License-Identifier: Apache-2.0 */
/* Sentences for a person, on standard error. Allocates nothing. */
#ifndef HRI_MALLOC_SAY_H
#define HRI_MALLOC_SAY_H

#include <stdint.h>

__attribute__((format(printf, 1, 2))) void hri_say(const char *format, ...);

typedef struct hri_say_text {
    char text[16];
} hri_say_text;

hri_say_text hri_say_size(uint64_t bytes);

#endif
