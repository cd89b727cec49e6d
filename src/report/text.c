/* SPDX-License-Identifier: Apache-2.0 */
#include "report/text.h"

#include "base/clock.h"
#include "os/file.h"

#include <headroom/base.h>
#include <stdarg.h>
#include <stdio.h>

/* Where the next byte goes, and how many fit with their end. */
static size_t place(const hri_text *text)
{
    return text->length - text->written;
}

static size_t room(const hri_text *text)
{
    return place(text) < text->size ? text->size - place(text) : 0;
}

int hri_text_finish(hri_text *text)
{
    if (!text->error)
        text->error = hri_file_write(text->fd, text->buffer, place(text));
    text->written = text->length;
    return text->error;
}

/* A piece that is put at once is shorter than the buffer of a text that streams. */
void hri_text_put(hri_text *text, const char *format, ...)
{
    va_list arguments;
    for (int attempt = 0; attempt < 2; attempt++) {
        va_start(arguments, format);
        int length = vsnprintf(room(text) ? text->buffer + place(text) : NULL, room(text), format, arguments);
        va_end(arguments);
        if (length > 0 && text->streams && (size_t)length >= room(text) && attempt == 0) {
            hri_text_finish(text);
            continue;
        }
        text->length += length > 0 ? (size_t)length : 0;
        return;
    }
}

static void put_byte(hri_text *text, char byte)
{
    if (text->streams && room(text) < 2)
        hri_text_finish(text);
    if (room(text) >= 2) {
        text->buffer[place(text)] = byte;
        text->buffer[place(text) + 1] = '\0';
    }
    text->length++;
}

/* How many bytes a character of UTF-8 has that begins here: 0 where none does. */
static unsigned utf8_length(const unsigned char *at)
{
    unsigned length = at[0] < 0x80 ? 1 : at[0] >= 0xc2 && at[0] < 0xe0 ? 2 : at[0] >= 0xe0 && at[0] < 0xf0 ? 3 : 4;
    if ((at[0] >= 0x80 && at[0] < 0xc2) || at[0] > 0xf4)
        return 0;
    for (unsigned i = 1; i < length; i++)
        if ((at[i] & 0xc0) != 0x80)
            return 0;
    bool overlong = (at[0] == 0xe0 && at[1] < 0xa0) || (at[0] == 0xf0 && at[1] < 0x90);
    bool beyond = (at[0] == 0xed && at[1] > 0x9f) || (at[0] == 0xf4 && at[1] > 0x8f);
    return overlong || beyond ? 0 : length;
}

/* Puts one character, or '?' for a byte that begins none; gives how many bytes it was. */
static unsigned put_character(hri_text *text, const char *at)
{
    unsigned length = utf8_length((const unsigned char *)at);
    for (unsigned i = 0; i < length; i++)
        put_byte(text, at[i]);
    if (length == 0)
        put_byte(text, '?');
    return length ? length : 1;
}

static bool is_control(char byte)
{
    return (unsigned char)byte < ' ' || byte == 0x7f;
}

void hri_text_put_name(hri_text *text, const char *name)
{
    while (*name)
        name += put_character(text, is_control(*name) ? "?" : name);
}

void hri_text_put_json(hri_text *text, const char *string)
{
    put_byte(text, '"');
    while (*string) {
        if (is_control(*string) || *string == '<') { /* a page has JSON in an element, which "</script" would end */
            hri_text_put(text, "\\u%04x", (unsigned)*string++);
            continue;
        }
        if (*string == '"' || *string == '\\')
            put_byte(text, '\\');
        string += put_character(text, string);
    }
    put_byte(text, '"');
}

void hri_text_put_label(hri_text *text, const char *string)
{
    put_byte(text, '"');
    while (*string) {
        if (*string == '"' || *string == '\\')
            put_byte(text, '\\');
        string += put_character(text, is_control(*string) ? "?" : string);
    }
    put_byte(text, '"');
}

/* A spreadsheet takes what begins with these for a formula. */
static bool is_formula(char byte)
{
    return byte == '=' || byte == '+' || byte == '-' || byte == '@';
}

void hri_text_put_csv(hri_text *text, const char *string)
{
    put_byte(text, '"');
    if (is_formula(*string))
        put_byte(text, '\'');
    while (*string) {
        if (*string == '"')
            put_byte(text, '"');
        string += put_character(text, is_control(*string) ? "?" : string);
    }
    put_byte(text, '"');
}

void hri_text_put_size(hri_text *text, uint64_t bytes)
{
    char size[24];
    hri_text_put(text, "%s", hr_size_format(bytes, size, sizeof size));
}

void hri_text_put_time(hri_text *text, int64_t time_ns)
{
    double time_s = (double)time_ns / 1e9;
    if (time_s < 1)
        hri_text_put(text, "%.0f ms", time_s * 1e3);
    else if (time_s < 120)
        hri_text_put(text, "%.0f s", time_s);
    else if (time_s < 2 * 3600)
        hri_text_put(text, "%.0f min", time_s / 60);
    else if (time_s < 48 * 3600)
        hri_text_put(text, "%.1f h", time_s / 3600);
    else
        hri_text_put(text, "%.0f days", time_s / 86400);
}
