/* SPDX-License-Identifier: Apache-2.0 */
#include "gauge/declared.h"

#include <errno.h>
#include <headroom/base.h>
#include <stdlib.h>
#include <string.h>

/* A number and a per cent sign, whatever the locale's decimal point. Gives the per cent; below 0: it is none. */
static double parse_percent(const char *text)
{
    double value = 0, place = 0;
    bool digits = false;
    text += strspn(text, " ");
    for (; (*text >= '0' && *text <= '9') || (*text == '.' && place == 0); text++) {
        if (*text == '.') {
            place = 1;
            continue;
        }
        digits = true;
        value = place > 0 ? value + (*text - '0') * (place /= 10) : value * 10 + (*text - '0');
    }
    text += strspn(text, " ");
    if (!digits || *text++ != '%')
        return -1;
    return text[strspn(text, " ")] == '\0' ? value : -1;
}

int hri_observe_parse(const char *text, bool *ret_observes)
{
    bool one = text && strcmp(text, "1") == 0;
    if (text && *text && !one && strcmp(text, "0") != 0)
        return -EINVAL;
    *ret_observes = one;
    return 0;
}

int hri_declared_parse(const char *text, hri_declared *ret_declared)
{
    hri_declared declared = {.source = HRI_DECLARED_VARIABLE};
    if (text && strchr(text, '%')) {
        double percent = parse_percent(text);
        if (!(percent > 0 && percent <= 100))
            return -EINVAL;
        declared.share = percent / 100;
    } else if (text && *text) {
        int error = hr_size_parse(text, &declared.bytes);
        if (error)
            return error;
        if (declared.bytes == 0)
            return -EINVAL;
        if (declared.bytes == HR_NONE)
            declared.bytes = 0;
    }
    *ret_declared = declared;
    return 0;
}
