/* SPDX-License-Identifier: Apache-2.0 */
/* The stream: slots that are filled and handed on.
 *
 * Its buffers are a byte pool of just as many as it has slots. A slot has one from when it is to be filled. It goes
 * back into the pool when the thread that runs the stream has no use for it: there a thread that is short of memory
 * finds it.
 *
 * A slot's buffer is filled until the splitter finds a chunk in it. The bytes behind the chunk are the *rest*: they
 * move to the front of the slot that is filled next. So every byte is in one slot at a time, in the order of the input.
 * A stream that stops for any reason except a callback's error has lost none.
 *
 * Invariant: stream->offset is the offset of the rest's first byte, or of the next to be read.
 *
 * Locking: none here; one thread runs a stream. workers.c has the lock for those that help.
 */
#include "flow/stream.h"

#include "base/assert.h"
#include "base/checked.h"
#include "base/clock.h"
#include "base/offer.h"
#include "base/uncancelled.h"
#include "flow/cancel.h"
#include "os/clock.h"

#include <errno.h>
#include <headroom/guard.h>
#include <stdlib.h>
#include <string.h>

#define BUFFER_BYTES (UINT64_C(1) << 20)
#define PAUSE_MAX_NS (30 * HRI_SECOND)
#define PROGRESS_INTERVAL_NS (1 * HRI_SECOND)

_Static_assert(sizeof(hri_slot) <= 512 && sizeof(hr_stream) <= 1024, "flow.h says how much a stream takes");

/* How long a cancelled pause may go unnoticed. */
#define PAUSE_SLICE_NS (20 * HRI_MILLISECOND)

/* ── buffers and level ──────────────────────────────────────────────────────────────────────────────────────────── */

static hr_level level_of(const hr_stream *stream)
{
    return stream->options.guard ? hri_yielders_level(hri_offer_of(stream->options.guard)->yielders) : HR_NORMAL;
}

unsigned hri_stream_allowed(const hr_stream *stream)
{
    switch (level_of(stream)) {
    case HR_NORMAL:
        return stream->slot_count;
    case HR_WARNING:
        return (stream->slot_count + 1) / 2;
    case HR_DEGRADED:
        return 1;
    default:
        return 0;
    }
}

int hri_slot_map(hr_stream *stream, hri_slot *slot)
{
    void *buffer;
    int error = slot->data ? 0 : hri_buffer_get(&stream->buffers, stream->mapped > 0, &buffer);
    if (error || slot->data)
        return error;
    slot->data = buffer;
    stream->mapped++;
    return 0;
}

void hri_slot_unmap(hr_stream *stream, hri_slot *slot)
{
    HRI_ASSERT(slot->state == HRI_SLOT_IDLE && slot != stream->rest);
    if (!slot->data)
        return;
    hri_buffer_put(&stream->buffers, slot->data);
    slot->data = NULL;
    stream->mapped--;
}

/* Takes the buffers that nothing is in. */
static void unmap_idle(hr_stream *stream)
{
    for (unsigned i = 0; i < stream->slot_count; i++)
        if (stream->slots[i].state == HRI_SLOT_IDLE && &stream->slots[i] != stream->rest)
            hri_slot_unmap(stream, &stream->slots[i]);
}

int hri_stream_pause(hr_stream *stream)
{
    if (level_of(stream) < HR_CRITICAL)
        return 0;
    unmap_idle(stream);
    hri_buffers_narrow(&stream->buffers, 0);
    int64_t begin_ns = hri_clock_now(&hri_os_clock), now_ns = begin_ns;
    int64_t most_ns = stream->options.pause_max_ns;
    int error;
    stream->result.pauses++;
    do {
        int64_t left_ns = most_ns < 0 ? INT64_MAX : most_ns - (now_ns - begin_ns);
        error = hr_cancel_is_set(stream->options.cancel) ? -ECANCELED : 0;
        if (!error)
            error = hri_offer_of(stream->options.guard)
                        ->wait(stream->options.guard, HR_DEGRADED, hri_later(0, hri_earlier(left_ns, PAUSE_SLICE_NS)));
        now_ns = hri_clock_now(&hri_os_clock);
    } while (error == -ETIMEDOUT && (most_ns < 0 || now_ns - begin_ns < most_ns));
    stream->result.paused_ns += now_ns - begin_ns;
    return error;
}

/* ── filling ────────────────────────────────────────────────────────────────────────────────────────────────────── */

static void take_rest(hr_stream *stream, hri_slot *slot)
{
    hri_slot *rest = stream->rest;
    size_t length = rest ? rest->size - rest->cut : 0;
    if (length)
        memmove(slot->data, rest->data + rest->cut, length);
    slot->size = length;
    slot->cut = 0;
    stream->rest = NULL;
}

/* Skips the first bytes, which another run has processed. Gives how much of `got` is left. */
static size_t pass_over(hr_stream *stream, hri_slot *slot, size_t got)
{
    size_t skipped = (size_t)hri_min(stream->skip, got);
    stream->skip -= skipped;
    if (skipped && skipped < got)
        memmove(slot->data + slot->size, slot->data + slot->size + skipped, got - skipped);
    return got - skipped;
}

static int read_more(hr_stream *stream, hri_slot *slot)
{
    if (hr_cancel_is_set(stream->options.cancel))
        return -ECANCELED;
    hri_got told;
    ssize_t got = hri_source_read(&stream->source, stream->wake, slot->data + slot->size,
                                  stream->buffers.bytes - slot->size, &told);
    if (got < 0)
        return (int)got;
    stream->ended = told.end;
    stream->file_ended = told.end || told.file_end;
    slot->size += pass_over(stream, slot, (size_t)got);
    return 0;
}

static void make_chunk(hr_stream *stream, hri_slot *slot, const hri_piece *piece)
{
    const char *name = hri_source_name(&stream->source);
    if (name)
        memcpy(slot->name, name, sizeof slot->name);
    slot->cut = piece->size;
    slot->offset = stream->offset;
    slot->file_start = stream->file_start;
    slot->index = stream->index;
    slot->chunk = (hr_chunk){
        .data = slot->data,
        .size = piece->size,
        .offset = stream->offset,
        .index = stream->index++,
        .starts = piece->starts,
        .ends = piece->ends,
        .name = name ? slot->name : NULL,
    };
    stream->offset += piece->size;
    stream->rest = slot->size > piece->size ? slot : NULL;
}

int hri_stream_fill(hr_stream *stream, hri_slot *slot)
{
    take_rest(stream, slot);
    for (;;) {
        hri_window window = {
            .data = slot->data,
            .size = slot->size,
            .full = slot->size == stream->buffers.bytes,
            .end = stream->file_ended,
        };
        hri_piece piece;
        int error = hri_splitter_cut(&stream->splitter, &window, &piece);
        if (!error && !piece.none) {
            make_chunk(stream, slot, &piece);
            return 1;
        }
        if (!error && stream->ended)
            return stream->skip ? -ERANGE : 0;
        if (!error) {
            if (stream->file_ended) /* nothing is left of it: the next begins */
                stream->file_start = stream->offset - stream->skip;
            stream->file_ended = false;
            error = read_more(stream, slot);
        }
        if (error) {
            stream->rest = slot->size ? slot : NULL;
            return error;
        }
    }
}

/* ── running on one thread ──────────────────────────────────────────────────────────────────────────────────────── */

/* Of the next byte to be cut; at the end of input that ends before it was to begin, that end. */
static uint64_t next_offset(const hr_stream *stream)
{
    return stream->offset - (stream->ended ? stream->skip : 0);
}

static double share_of(const hr_stream *stream, uint64_t offset)
{
    int64_t known = hri_source_size(&stream->source);
    uint64_t size = known < 0 ? stream->options.size_bytes : (uint64_t)known;
    if (known < 0 && !size)
        return -1;
    return size ? (double)hri_min(offset, size) / (double)size : 1;
}

void hri_stream_report(hr_stream *stream, bool at_end)
{
    const hr_stream_options *options = &stream->options;
    if (!options->on_progress)
        return;
    int64_t now_ns = hri_clock_now(&hri_os_clock), since_ns = now_ns - stream->reported_ns;
    if (!at_end && since_ns < options->progress_interval_ns)
        return;
    const hr_stream_result *result = &stream->result;
    uint64_t before_bytes = at_end ? stream->started_bytes : stream->reported_bytes;
    if (at_end)
        since_ns = now_ns - stream->started_ns;
    hr_progress progress = {
        .bytes = result->bytes,
        .chunks = result->chunks,
        .offset = next_offset(stream),
        .bytes_per_s = since_ns > 0 ? (double)(result->bytes - before_bytes) * 1e9 / (double)since_ns : 0,
        .share = share_of(stream, next_offset(stream)),
        .elapsed_ns = now_ns - stream->started_ns,
        .level = level_of(stream),
        .buffers = stream->mapped,
    };
    stream->reported_ns = now_ns;
    stream->reported_bytes = result->bytes;
    options->on_progress(options->context, &progress);
}

int hri_stream_work(hr_stream *stream, hri_slot *slot)
{
    const hr_stream_options *options = &stream->options;
    return options->on_work ? options->on_work(options->context, &slot->chunk) : 0;
}

int hri_stream_take(hr_stream *stream, hri_slot *slot)
{
    const hr_stream_options *options = &stream->options;
    if (options->on_chunk)
        return options->on_chunk(options->context, &slot->chunk);
    hri_stream_drop(stream, slot);
    return 0;
}

void hri_stream_drop(hr_stream *stream, hri_slot *slot)
{
    const hr_stream_options *options = &stream->options;
    if (options->on_work && options->on_drop)
        options->on_drop(options->context, &slot->chunk);
}

static int hand_on(hr_stream *stream, hri_slot *slot)
{
    int error = hri_stream_work(stream, slot);
    if (!error)
        error = hri_stream_take(stream, slot);
    if (error) {
        slot->state = HRI_SLOT_FAILED;
        stream->stale = true;
        return error;
    }
    stream->result.bytes += slot->cut;
    stream->result.chunks++;
    return 0;
}

hri_slot *hri_stream_first_ready(hr_stream *stream)
{
    hri_slot *first = NULL;
    for (unsigned i = 0; i < stream->slot_count; i++) {
        hri_slot *slot = &stream->slots[i];
        if (slot->state == HRI_SLOT_READY && (!first || slot->index < first->index))
            first = slot;
    }
    return first;
}

static int run_alone(hr_stream *stream)
{
    hri_slot *left; /* by workers of another run */
    while ((left = hri_stream_first_ready(stream))) {
        left->state = HRI_SLOT_IDLE;
        int error = hand_on(stream, left);
        if (error)
            return error;
    }
    /* Bytes that are read and not cut stay where they are, or another run has left them there. */
    hri_slot *slot = stream->rest ? stream->rest : &stream->slots[0];
    for (;;) {
        int error = hri_stream_pause(stream);
        if (!error && hr_cancel_is_set(stream->options.cancel))
            error = -ECANCELED;
        if (!error)
            error = hri_slot_map(stream, slot);
        int filled = error ? error : hri_stream_fill(stream, slot);
        if (filled <= 0)
            return filled;
        error = hand_on(stream, slot);
        if (error)
            return error;
        hri_stream_report(stream, false);
    }
}

/* ── making, running, freeing ───────────────────────────────────────────────────────────────────────────────────── */

static bool is_wrong(const hr_stream_options *options)
{
    int ways = (options->delimiter != 0) + (options->record_bytes != 0) + (options->on_frame != NULL);
    return options->delimiter < 0 || options->delimiter > HR_DELIMITER_NUL || ways > 1 ||
           options->workers > HR_WORKERS_MAX || options->buffers > HR_BUFFERS_MAX ||
           (!options->on_chunk && !options->on_work) || !hri_buffers_fit(options->guard, options->budget);
}

static bool has_records(const hr_stream_options *options)
{
    return options->delimiter || options->record_bytes || options->on_frame;
}

static unsigned count_slots(const hr_stream_options *options)
{
    if (options->workers == 0)
        return 1;
    return options->buffers ? options->buffers : options->workers + 2;
}

static int init(hr_stream *stream, const hr_stream_options *given)
{
    stream->options = *given;
    hr_stream_options *options = &stream->options;
    if (!options->pause_max_ns)
        options->pause_max_ns = PAUSE_MAX_NS;
    if (!options->progress_interval_ns)
        options->progress_interval_ns = PROGRESS_INTERVAL_NS;
    if (!options->budget && options->guard)
        options->budget = hri_offer_of(options->guard)->root;
    stream->splitter = (hri_splitter){
        .delimiter = options->delimiter == HR_DELIMITER_NUL ? 0
                     : options->delimiter                   ? options->delimiter
                                                            : -1,
        .record_bytes = options->record_bytes,
        .frame = options->on_frame,
        .context = options->context,
        .pieces = options->long_records_in_pieces,
    };
    stream->wake = (hri_wake){hri_cancel_fd(options->cancel), -1};
    int error = hri_source_open(&stream->source, &options->reader, options->drop_behind);
    /* Records are read behind the rest of the last buffer, which may end anywhere. */
    if (!error && stream->source.input.direct && has_records(options))
        error = -ENOTSUP;
    if (error)
        return error;
    stream->offset = options->offset;
    if (options->offset)
        stream->skip = hri_source_seek(&stream->source, options->offset);
    return hri_buffers_init(&stream->buffers, options->budget, "stream",
                            options->buffer_bytes ? options->buffer_bytes : BUFFER_BYTES);
}

int hr_stream_new(const hr_stream_options *options, hr_stream **ret_stream)
{
    if (!options || !ret_stream || is_wrong(options))
        return -EINVAL;
    unsigned slot_count = count_slots(options);
    hr_stream *stream = calloc(1, sizeof *stream + slot_count * sizeof stream->slots[0]);
    if (!stream)
        return -ENOMEM;
    stream->slot_count = slot_count;
    int error = init(stream, options);
    if (error) {
        free(stream);
        return error;
    }
    *ret_stream = stream;
    return 0;
}

/* The slot of the first chunk that was not taken; NULL: all were that have been cut. */
static const hri_slot *first_untaken(const hr_stream *stream)
{
    const hri_slot *first = NULL;
    for (unsigned i = 0; i < stream->slot_count; i++) {
        const hri_slot *slot = &stream->slots[i];
        if (slot->state != HRI_SLOT_IDLE && (!first || slot->offset < first->offset))
            first = slot;
    }
    return first;
}

/* Everything before this was taken. */
static uint64_t reached(const hr_stream *stream)
{
    const hri_slot *first = first_untaken(stream);
    return first ? first->offset : next_offset(stream);
}

/* Tells how far the stream is, and after an error in which of a folder's files that is. */
static void tell_place(hr_stream *stream, int error)
{
    hr_stream_result *result = &stream->result;
    const hri_slot *first = first_untaken(stream);
    const char *name = error ? hri_source_name(&stream->source) : NULL;
    result->offset = reached(stream);
    result->name = name ? hri_source_keep_name(&stream->source, first ? first->name : name) : NULL;
    result->file_offset = name ? result->offset - (first ? first->file_start : stream->file_start) : 0;
}

int hr_stream_continue(hr_stream *stream, hr_stream_result *ret_result)
{
    HRI_UNCANCELLED; /* workers have what is on this stack */
    if (!stream) {
        if (ret_result)
            *ret_result = (hr_stream_result){.method = "none"};
        return -EINVAL;
    }
    int error = stream->stale ? -ESTALE : 0;
    if (!error) {
        stream->started_ns = stream->reported_ns = hri_clock_now(&hri_os_clock);
        stream->started_bytes = stream->reported_bytes = stream->result.bytes;
        error = stream->options.workers ? hri_workers_run(stream) : -EAGAIN;
        if (!stream->options.workers || (error == -EAGAIN && stream->result.workers == 0))
            error = run_alone(stream);
        stream->result.elapsed_ns += hri_clock_now(&hri_os_clock) - stream->started_ns;
        hri_stream_report(stream, true);
        unmap_idle(stream);
        hri_source_drop(&stream->source);
    }
    tell_place(stream, error);
    stream->result.buffers_peak_bytes = hri_buffers_peak_bytes(&stream->buffers);
    stream->result.method =
        hri_source_method(&stream->source, stream->options.cancel != NULL || stream->result.workers > 0);
    if (ret_result)
        *ret_result = stream->result;
    return error;
}

void hr_stream_free(hr_stream *stream)
{
    if (!stream)
        return;
    /* Read ahead of what was taken: whoever goes on begins at the offset reached. */
    uint64_t offset = reached(stream);
    if (stream->source.reader.kind_ == HRI_READER_FD && stream->source.input.regular &&
        (int64_t)offset != stream->source.input.position)
        (void)hri_input_seek(&stream->source.input, offset);
    for (unsigned i = 0; i < stream->slot_count; i++)
        if (stream->slots[i].data)
            hri_buffer_put(&stream->buffers, stream->slots[i].data);
    hri_buffers_destroy(&stream->buffers);
    free(stream);
}

int hr_stream_run(const hr_stream_options *options, hr_stream_result *ret_result)
{
    hr_stream *stream = NULL;
    int error = hr_stream_new(options, &stream);
    if (error) {
        if (ret_result)
            *ret_result = (hr_stream_result){.offset = options ? options->offset : 0, .method = "none"};
        return error;
    }
    error = hr_stream_continue(stream, ret_result);
    hr_stream_free(stream);
    return error;
}
