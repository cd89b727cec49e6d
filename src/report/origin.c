/* SPDX-License-Identifier: Apache-2.0 */
#include "report/origin.h"

#include "os/file.h"

#include <stdio.h>
#include <string.h>

/* Copies as much of a text as there is room for. Gives whether that changes anything. */
static bool copy(char *to, size_t size, const char *text)
{
    size_t length = text ? strnlen(text, size - 1) : 0;
    if (!text || (strlen(to) == length && memcmp(to, text, length) == 0))
        return false;
    memcpy(to, text, length);
    to[length] = '\0';
    return true;
}

unsigned hri_origin_set(hr_history_origin *origin, const char *command, const char *limit_source)
{
    unsigned differ = 0;
    differ |= (unsigned)copy(origin->command, sizeof origin->command, command) << HRI_ORIGIN_COMMAND;
    differ |= (unsigned)copy(origin->limit_source, sizeof origin->limit_source, limit_source)
              << HRI_ORIGIN_LIMIT_SOURCE;
    return differ;
}

size_t hri_origin_encode(const hr_history_origin *origin, unsigned texts,
                         unsigned char ret_bytes[HRI_ORIGIN_ENTRIES * HRI_ENTRY_BYTES])
{
    const char *const all[HRI_ORIGIN_TEXTS] = {
        [HRI_ORIGIN_COMMAND] = origin->command,
        [HRI_ORIGIN_LIMIT_SOURCE] = origin->limit_source,
    };
    size_t made = 0;
    for (hri_origin_text text = 0; text < HRI_ORIGIN_TEXTS; text++) {
        hri_origin_entry entry = {.session = origin->session, .text = text};
        if (texts >> text & 1)
            entry.count = (strlen(all[text]) + HRI_ORIGIN_PIECE_BYTES - 1) / HRI_ORIGIN_PIECE_BYTES;
        for (; entry.number < entry.count; entry.number++) {
            snprintf(entry.piece, sizeof entry.piece, "%s", all[text] + entry.number * HRI_ORIGIN_PIECE_BYTES);
            hri_origin_entry_encode(&entry, ret_bytes + made++ * HRI_ENTRY_BYTES);
        }
    }
    return made;
}

/* All pieces of a text have come. A text of another process begins another origin. */
static void finish(hri_origin_reader *reader)
{
    hr_history_origin *origin = reader->origin;
    const hri_origin_entry *last = &reader->last;
    if (origin->session != last->session)
        *origin = (hr_history_origin){.session = last->session};
    bool is_command = last->text == HRI_ORIGIN_COMMAND;
    hri_origin_set(origin, is_command ? reader->text : NULL, is_command ? NULL : reader->text);
    reader->found = true;
}

void hri_origin_take(hri_origin_reader *reader, const hri_origin_entry *entry)
{
    const hri_origin_entry *last = &reader->last;
    if (entry->number == 0) {
        reader->length = 0;
    } else if (entry->number != last->number + 1 || entry->session != last->session || entry->text != last->text ||
               entry->count != last->count) {
        reader->last = (hri_origin_entry){.number = HRI_ORIGIN_PIECES}; /* one before it is damaged */
        return;
    }
    size_t length = strlen(entry->piece);
    memcpy(reader->text + reader->length, entry->piece, length + 1);
    reader->length += length;
    reader->last = *entry;
    if (entry->number + 1 == entry->count)
        finish(reader);
}

void hri_origin_read_command(char ret_command[HR_COMMAND_BYTES])
{
    ssize_t length = hri_file_read_path("", "/proc/self/cmdline", ret_command, HR_COMMAND_BYTES);
    ret_command[length > 0 ? length : 0] = '\0';
    for (ssize_t i = 0; i + 1 < length; i++)
        if (ret_command[i] == '\0')
            ret_command[i] = ' ';
}
