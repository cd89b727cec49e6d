/* SPDX-License-Identifier: Apache-2.0 */
/* Every byte is looked at once: `seen` remembers how far the search has come in a window that has only grown.
 * Delimiters are searched from the end, since the last one is wanted.
 *
 * A chunk is always whole records, or exactly one piece of a long record. */
#define _GNU_SOURCE
#include "flow/splitter.h"

#include "base/answer.h"
#include "base/checked.h"

#include <errno.h>
#include <string.h>

static const hri_piece nothing = {.none = true};

static int whole(hri_splitter *splitter, size_t size, size_t seen, hri_piece *ret_piece)
{
    splitter->seen = seen;
    *ret_piece = size ? (hri_piece){.size = size, .starts = true, .ends = true} : nothing;
    return 0;
}

/* A record fills the buffer and goes on, for `left` more bytes where that is known. */
static int begin_long(hri_splitter *splitter, const hri_window *window, uint64_t left, hri_piece *ret_piece)
{
    if (!splitter->pieces)
        return -EMSGSIZE;
    splitter->inside = true;
    splitter->left = left;
    splitter->seen = 0;
    *ret_piece = (hri_piece){.size = window->size, .starts = true};
    return 0;
}

/* How much of the long record is in the window, and whether that is all of it. */
static size_t find_its_end(const hri_splitter *splitter, const hri_window *window, bool *ret_ends)
{
    if (splitter->delimiter < 0) {
        size_t size = (size_t)hri_min(window->size, splitter->left);
        *ret_ends = size == splitter->left;
        return size;
    }
    size_t seen = splitter->seen;
    const char *found =
        window->size > seen ? memchr(window->data + seen, splitter->delimiter, window->size - seen) : NULL;
    *ret_ends = found || window->end;
    return found ? (size_t)(found - window->data) + 1 : window->size;
}

/* The next piece of a long record, alone: a whole buffer of it, or its end. */
static int go_on_long(hri_splitter *splitter, const hri_window *window, hri_piece *ret_piece)
{
    bool ends;
    size_t size = find_its_end(splitter, window, &ends);
    if (!ends && window->end && !size)
        return -EBADMSG;
    if (!ends && !window->end && !window->full) {
        splitter->seen = size;
        *ret_piece = nothing;
        return 0;
    }
    splitter->left = hri_sub(splitter->left, size);
    splitter->seen = 0;
    splitter->inside = !ends;
    *ret_piece = (hri_piece){.size = size, .ends = ends};
    return 0;
}

static int cut_delimited(hri_splitter *splitter, const hri_window *window, hri_piece *ret_piece)
{
    size_t seen = splitter->seen;
    const char *found =
        window->size > seen ? memrchr(window->data + seen, splitter->delimiter, window->size - seen) : NULL;
    if (found) {
        size_t size = (size_t)(found - window->data) + 1;
        return whole(splitter, size, window->size - size, ret_piece);
    }
    if (window->end)
        return whole(splitter, window->size, 0, ret_piece);
    if (window->full)
        return begin_long(splitter, window, 0, ret_piece);
    return whole(splitter, 0, window->size, ret_piece);
}

/* Whole records that are known are handed on before what stands behind them is judged. `length` is that of the record
 * behind them, 0 if it is not known. */
static int cut_known(hri_splitter *splitter, const hri_window *window, uint64_t length, hri_piece *ret_piece)
{
    if (splitter->seen > 0)
        return whole(splitter, splitter->seen, 0, ret_piece);
    if (window->full)
        return length ? begin_long(splitter, window, length - window->size, ret_piece) : -EMSGSIZE;
    if (window->end)
        return window->size ? -EBADMSG : whole(splitter, 0, 0, ret_piece);
    return whole(splitter, 0, 0, ret_piece);
}

static int cut_framed(hri_splitter *splitter, const hri_window *window, hri_piece *ret_piece)
{
    ssize_t length = 0;
    while (splitter->seen < window->size) {
        size_t rest = window->size - splitter->seen;
        length = splitter->frame(splitter->context, window->data + splitter->seen, rest);
        if (length <= 0 || (size_t)length > rest)
            break;
        splitter->seen += (size_t)length;
    }
    if (length < 0 && splitter->seen == 0)
        return hri_answer(length);
    return cut_known(splitter, window, length > 0 ? (uint64_t)length : 0, ret_piece);
}

int hri_splitter_cut(hri_splitter *splitter, const hri_window *window, hri_piece *ret_piece)
{
    if (splitter->inside)
        return go_on_long(splitter, window, ret_piece);
    if (splitter->delimiter >= 0)
        return cut_delimited(splitter, window, ret_piece);
    if (splitter->frame)
        return cut_framed(splitter, window, ret_piece);
    if (splitter->record_bytes) {
        splitter->seen = window->size - window->size % splitter->record_bytes;
        return cut_known(splitter, window, splitter->record_bytes, ret_piece);
    }
    return whole(splitter, window->size, 0, ret_piece);
}

ssize_t hr_frame_length32(void *context, const void *data, size_t size)
{
    (void)context;
    if (!data || size < 4)
        return 0;
    const uint8_t *bytes = data;
    return 4 + (ssize_t)((uint32_t)bytes[0] << 24 | (uint32_t)bytes[1] << 16 | (uint32_t)bytes[2] << 8 | bytes[3]);
}
