/* SPDX-License-Identifier: Apache-2.0 */
#include "malloc/say.h"

#include <headroom/base.h>

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

void hri_say(const char *format, ...)
{
    static const char name[] = "libheadroom-malloc: ";
    char line[512];
    size_t at = sizeof name - 1;
    int saved = errno;
    memcpy(line, name, at);
    va_list rest;
    va_start(rest, format);
    int length = vsnprintf(line + at, sizeof line - at - 1, format, rest);
    va_end(rest);
    at += length < 0 ? 0 : (size_t)length < sizeof line - at - 1 ? (size_t)length : sizeof line - at - 2;
    line[at++] = '\n';
    if (write(STDERR_FILENO, line, at) < 0)
        errno = saved; /* nobody is there to read it */
    errno = saved;
}

hri_say_text hri_say_size(uint64_t bytes)
{
    hri_say_text text;
    hr_size_format(bytes, text.text, sizeof text.text);
    return text;
}
