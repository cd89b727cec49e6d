/* SPDX-License-Identifier: Apache-2.0 */
/* The common part of the fuzz targets. A target says what must hold for any input, and holds the parser against a
 * second,
 * simpler one (an oracle) where there is one.
 *
 * libFuzzer calls LLVMFuzzerTestOneInput() with inputs of its own; replay.c with the files of a corpus.
 */
#ifndef HRF_FUZZ_H
#define HRF_FUZZ_H

#include <headroom/base.h>

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define HRF_CHECK(condition) ((condition) ? (void)0 : hrf_fail(__FILE__, __LINE__, #condition))

static inline _Noreturn void hrf_fail(const char *file, int line, const char *condition)
{
    fprintf(stderr, "%s:%d: does not hold: %s\n", file, line, condition);
    abort();
}

/* Gives `size` bytes as a text in a block of its own, so that a read behind its end is found. */
static inline char *hrf_text(const uint8_t *data, size_t size)
{
    char *text = malloc(size + 1);
    if (!text)
        abort();
    if (size)
        memcpy(text, data, size);
    text[size] = '\0';
    return text;
}

/* Cuts a text at its first line's end. Gives what is behind it: "" if there is none. */
static inline char *hrf_cut_line(char *text)
{
    char *end = strchr(text, '\n');
    if (!end)
        return text + strlen(text);
    *end = '\0';
    return end + 1;
}

/* The oracle of numbers: digits, then one of `ends`. */
static inline bool hrf_number(const char *text, const char *ends, uint64_t *ret_value)
{
    char *end;
    if (!isdigit((unsigned char)text[0]))
        return false;
    errno = 0;
    unsigned long long value = strtoull(text, &end, 10);
    if (!*end || !strchr(ends, *end))
        return false;
    *ret_value = errno == ERANGE ? HR_NONE : value;
    return true;
}

/* The oracle of keys: the number behind the first line that begins with `key` and a blank. */
static inline bool hrf_key(const char *text, const char *key, uint64_t *ret_value)
{
    char *copy = strdup(text), *rest = copy;
    size_t length = strlen(key);
    bool found = false;
    if (!copy)
        abort();
    while (*rest && !found) {
        char *line = rest;
        bool ended = strchr(line, '\n');
        rest = hrf_cut_line(line);
        if (strncmp(line, key, length) != 0 || !line[length] || !strchr(" \t", line[length]))
            continue;
        /* The line's own end was cut off: put it back behind the number. */
        const char *value = line + length + strspn(line + length, " \t");
        size_t digits = strspn(value, "0123456789");
        bool whole = digits > 0 && (value[digits] == ' ' || (value[digits] == '\0' && ended));
        errno = 0;
        unsigned long long number = whole ? strtoull(value, NULL, 10) : 0;
        free(copy);
        if (whole)
            *ret_value = errno == ERANGE ? HR_NONE : number;
        return whole;
    }
    free(copy);
    return false;
}

#endif
