/* SPDX-License-Identifier: Apache-2.0 */
#include "os/stalls.h"

#include "os/file.h"
#include "os/parse.h"

#include <ctype.h>
#include <errno.h>
#include <string.h>

#define TEXT_BYTES 512

/* Reads "avg10=12.34" at `*at`, with a space behind it, and moves on. The kernel writes two digits behind the point. */
static bool take_share(const char **at, const char *name, double *ret_per_cent)
{
    size_t length = strlen(name);
    const char *text = *at;
    if (strncmp(text, name, length) != 0 || !isdigit((unsigned char)text[length]))
        return false;
    double value = 0, digit = 1;
    bool behind_point = false;
    for (text += length; isdigit((unsigned char)*text) || (*text == '.' && !behind_point); text++) {
        if (*text == '.') {
            behind_point = true;
            continue;
        }
        value = value * 10 + (*text - '0');
        digit *= behind_point ? 10 : 1;
    }
    if (*text != ' ' || !(value / digit <= 100)) /* of very many digits it is no number */
        return false;
    *ret_per_cent = value / digit;
    *at = text + 1;
    return true;
}

static bool take_line(const char *text, const char *kind, hri_stalled_time *ret_stall)
{
    size_t length = strlen(kind);
    while (text && strncmp(text, kind, length) != 0) {
        text = strchr(text, '\n');
        if (text)
            text++;
    }
    if (!text)
        return false;
    const char *at = text + length;
    return take_share(&at, "avg10=", &ret_stall->avg10) && take_share(&at, "avg60=", &ret_stall->avg60) &&
           take_share(&at, "avg300=", &ret_stall->avg300) && strncmp(at, "total=", 6) == 0 &&
           hri_parse_number(at + 6, &ret_stall->total_us) == 0;
}

int hri_stalls_parse(const char *text, hri_stalls *ret_stalls)
{
    hri_stalls stalls = {.known = true};
    if (!take_line(text, "some ", &stalls.some) || !take_line(text, "full ", &stalls.full))
        return -ENODATA;
    *ret_stalls = stalls;
    return 0;
}

void hri_stalls_read(int fd, hri_stalls *ret_stalls)
{
    char text[TEXT_BYTES];
    *ret_stalls = (hri_stalls){0};
    if (hri_file_read(fd, text, sizeof text) > 0)
        hri_stalls_parse(text, ret_stalls);
}
