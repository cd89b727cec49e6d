/* SPDX-License-Identifier: Apache-2.0 */
/* hri_splitter_cut(): records, however the input is cut by reads and buffers. The input's first byte is the way in
 * which records end, the second the buffer's size, the third the seed by which reads are cut; the rest is the stream.
 *
 * The oracle splits the whole stream at once.
 */
#include "fuzz.h"

#include "flow/splitter.h"

#define BUFFER_MAX 64

enum way {
    NONE,
    DELIMITED,
    FIXED,
    FRAMED,
    WAYS
};

/* The frames of this test: a byte that is the length of what follows it; 255 is no frame. */
static ssize_t frame(void *context, const void *data, size_t size)
{
    (void)context, (void)size;
    uint8_t length = *(const uint8_t *)data;
    return length == 255 ? -EPROTO : 1 + length;
}

/* The oracle: the length of the first record of what is left, or why there is none. */
static int first_record(const hri_splitter *splitter, const char *data, size_t size, size_t *ret_length)
{
    size_t length;
    if (splitter->delimiter >= 0) {
        const char *end = memchr(data, splitter->delimiter, size);
        length = end ? (size_t)(end - data) + 1 : size;
    } else if (splitter->frame) {
        if ((uint8_t)data[0] == 255)
            return -EPROTO;
        length = 1 + (size_t)(uint8_t)data[0];
    } else {
        length = splitter->record_bytes;
    }
    *ret_length = length;
    return length > size ? -EBADMSG : 0;
}

/* Holds one piece against the stream. `*record_left` is what is left of a long record, 0 between records. */
static void check_piece(const hri_splitter *splitter, const hri_piece *piece, const char *data, size_t size,
                        size_t *record_left)
{
    HRF_CHECK(piece->size <= size);
    HRF_CHECK(piece->starts == (*record_left == 0));
    if (*record_left == 0 && piece->ends) { /* whole records, exactly */
        size_t done = 0, length;
        while (done < piece->size) {
            HRF_CHECK(first_record(splitter, data + done, size - done, &length) == 0);
            done += length;
        }
        HRF_CHECK(done == piece->size && done > 0);
        return;
    }
    if (*record_left == 0) /* the first piece of a long one */
        HRF_CHECK(first_record(splitter, data, size, record_left) != -EPROTO);
    HRF_CHECK(piece->size <= *record_left);
    *record_left -= piece->size;
    /* A delimited record that the stream's end ends may show it only after its last byte. */
    HRF_CHECK(piece->ends == (*record_left == 0) || (!piece->ends && splitter->delimiter >= 0 && piece->size == size));
    if (!piece->ends && *record_left == 0)
        *record_left = SIZE_MAX;
}

/* An error must be one that the oracle sees at this place. */
static void check_error(const hri_splitter *splitter, int error, const hri_window *rest, size_t capacity, bool inside)
{
    size_t length = 0;
    int expected = rest->size ? first_record(splitter, rest->data, rest->size, &length) : 0;
    /* A delimiter has to fit too, also behind a last record that turns out to have none. */
    if (splitter->delimiter >= 0 && length && rest->data[length - 1] != splitter->delimiter)
        length++;
    if (error == -EMSGSIZE)
        HRF_CHECK(!splitter->pieces && length > capacity);
    else if (error == -EBADMSG)
        HRF_CHECK(splitter->delimiter < 0 && (inside || expected == -EBADMSG));
    else
        HRF_CHECK(error == -EPROTO && expected == -EPROTO);
}

static hri_splitter make_splitter(uint8_t how)
{
    hri_splitter splitter = {.delimiter = -1, .pieces = how & 64};
    switch (how % WAYS) {
    case DELIMITED:
        splitter.delimiter = '\n';
        break;
    case FIXED:
        splitter.record_bytes = 1 + how / 4 % 16;
        break;
    case FRAMED:
        splitter.frame = frame;
        break;
    default:
        break;
    }
    return splitter;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 3)
        return 0;
    hri_splitter splitter = make_splitter(data[0]);
    bool records = data[0] % WAYS != NONE;
    size_t capacity = 1 + data[1] % BUFFER_MAX, in_buffer = 0, cut = 0, record_left = 0;
    unsigned seed = data[2];
    char *stream = hrf_text(data + 3, size - 3), *buffer = hrf_text(data, capacity < size ? capacity : size);
    buffer = realloc(buffer, capacity); /* a block of its own, so that a read behind it is found */
    size -= 3;
    bool end = false;
    for (;;) {
        hri_window window = {buffer, in_buffer, in_buffer == capacity, end};
        hri_piece piece;
        bool inside = splitter.inside;
        int error = hri_splitter_cut(&splitter, &window, &piece);
        if (error) {
            hri_window rest = {.data = stream + cut, .size = size - cut};
            check_error(&splitter, error, &rest, capacity, inside);
            break;
        }
        if (!piece.none) {
            HRF_CHECK(piece.size <= in_buffer && memcmp(buffer, stream + cut, piece.size) == 0);
            if (records && record_left == SIZE_MAX) { /* only its end was still to be told */
                HRF_CHECK(piece.size == 0 && piece.ends && !piece.starts && cut == size);
                record_left = 0;
            } else if (records) {
                check_piece(&splitter, &piece, stream + cut, size - cut, &record_left);
            }
            in_buffer -= piece.size;
            memmove(buffer, buffer + piece.size, in_buffer);
            cut += piece.size;
            continue;
        }
        if (end) {
            HRF_CHECK(cut == size && record_left == 0); /* nothing is lost */
            break;
        }
        HRF_CHECK(in_buffer < capacity); /* else it would ask for ever */
        seed = seed * 1103515245u + 12345u;
        size_t step = seed >> 16 & 7, left = size - cut - in_buffer, room = capacity - in_buffer;
        step = step < left ? step : left;
        step = step < room ? step : room;
        memcpy(buffer + in_buffer, stream + cut + in_buffer, step);
        in_buffer += step;
        end = cut + in_buffer == size && (seed & 256);
    }
    free(stream);
    free(buffer);
    return 0;
}
