/* SPDX-License-Identifier: Apache-2.0 */
/* Sizes as people write them. Pure: bytes in, a number out, and back; no locale (strtod would read one). */
#include "base/checked.h"

#include <headroom/base.h>

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#define UNITS "KMGTPE"
#define FRACTION_DIGITS_MAX 18 /* 10 to that power fits into 64 bits */

static const char *skip_spaces(const char *text)
{
    while (isspace((unsigned char)*text))
        text++;
    return text;
}

/* True if the text is this word, and only spaces follow it. */
static bool is_word(const char *text, const char *word)
{
    size_t length = strlen(word);
    return strncasecmp(text, word, length) == 0 && *skip_spaces(text + length) == '\0';
}

/* Reads the unit behind a number: its power of 1024, or -1. Moves `text` behind it. */
static int parse_unit(const char **text)
{
    const char *at = skip_spaces(*text);
    int power = 0;
    const char *unit = *at ? strchr(UNITS, toupper((unsigned char)*at)) : NULL;
    if (unit) {
        power = (int)(unit - UNITS) + 1;
        at++;
        at += *at == 'i' || *at == 'I'; /* "Mi", as Kubernetes writes it, and "MiB" are the same as "M" */
        at += *at == 'b' || *at == 'B';
    } else if (*at == 'b' || *at == 'B') {
        at++;
    }
    *text = skip_spaces(at);
    return **text ? -1 : power;
}

int hr_size_parse(const char *text, uint64_t *ret_bytes)
{
    if (!text || !ret_bytes)
        return -EINVAL;
    text = skip_spaces(text);
    if (is_word(text, "none") || is_word(text, "unlimited")) {
        *ret_bytes = HR_NONE;
        return 0;
    }
    if (!isdigit((unsigned char)*text))
        return -EINVAL;
    bool over = false;
    uint64_t whole = 0;
    for (; isdigit((unsigned char)*text); text++) {
        over |= __builtin_mul_overflow(whole, 10, &whole);
        over |= __builtin_add_overflow(whole, (uint64_t)(*text - '0'), &whole);
    }
    uint64_t fraction = 0, scale = 1;
    if (*text == '.') {
        if (!isdigit((unsigned char)*++text))
            return -EINVAL;
        for (int digits = 0; isdigit((unsigned char)*text); text++, digits++) {
            if (digits < FRACTION_DIGITS_MAX) {
                fraction = fraction * 10 + (uint64_t)(*text - '0');
                scale *= 10;
            }
        }
    }
    int power = parse_unit(&text);
    if (power < 0)
        return -EINVAL;
    uint64_t unit = UINT64_C(1) << (10 * power), bytes;
    over |= __builtin_mul_overflow(whole, unit, &bytes);
    over |= __builtin_add_overflow(bytes, (uint64_t)((long double)fraction * (long double)unit / (long double)scale),
                                   &bytes);
    if (over || bytes == HR_NONE)
        return -ERANGE;
    *ret_bytes = bytes;
    return 0;
}

char *hr_size_format(uint64_t bytes, char *buffer, size_t size)
{
    static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
    if (!buffer || size == 0)
        return buffer;
    if (bytes == HR_NONE) {
        snprintf(buffer, size, "none");
        return buffer;
    }
    unsigned unit = 0;
    double value = (double)bytes;
    while (value >= 1023.95 && unit < sizeof units / sizeof *units - 1) {
        value /= 1024;
        unit++;
    }
    unsigned tenths = (unsigned)(value * 10 + 0.5); /* by hand: printf would write the locale's decimal point */
    if (unit)
        snprintf(buffer, size, "%u.%u %s", tenths / 10, tenths % 10, units[unit]);
    else
        snprintf(buffer, size, "%u %s", (unsigned)bytes, units[0]);
    return buffer;
}
