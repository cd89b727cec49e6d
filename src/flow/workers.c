/* SPDX-License-Identifier: Apache-2.0 */
/* Workers: threads that hand chunks on, while the thread that runs the stream fills the next ones.
 *
 * A slot goes from idle (the feeder's) to ready (the queue's) to busy (a worker's) and back. The queue is first in,
 * first out, so the chunk whose turn it is with `ordered` is always in somebody's hands and nobody waits for ever. When
 * all buffers that the level allows are taken the feeder waits: that is the backpressure.
 *
 * Locking: `lock` guards the queue, the states of slots and the counts. Callbacks, reads and charges are made without
 * it.
 */
#include "flow/stream.h"

#include "base/checked.h"
#include "base/uncancelled.h"
#include "base/wait.h"
#include "flow/cancel.h"
#include "os/event.h"
#include "os/file.h"

#include <errno.h>
#include <signal.h>

/* After a buffer was refused, this many chunks go by before the next is asked for. */
#define ASK_AGAIN_CHUNKS 64

struct crew {
    hr_stream *stream;
    pthread_mutex_t lock;
    pthread_cond_t work;             /* for workers: a chunk is ready, or none will come */
    pthread_cond_t turn;             /* for workers: another chunk's turn has come */
    pthread_cond_t idle;             /* for the feeder: a slot is idle, or something has failed */
    hri_slot *queue[HR_BUFFERS_MAX]; /* from head to tail, modulo its size */
    unsigned head, tail;
    uint64_t turn_index; /* the chunk that on_chunk gets next, if ordered */
    uint64_t finished;   /* chunks, counted to see that one was */
    uint64_t bytes, chunks;
    int error;    /* the first one of a callback */
    bool closing; /* no more chunks will come */
};

/* ── workers ────────────────────────────────────────────────────────────────────────────────────────────────────── */

/* Takes the next chunk, under the lock; NULL: there is nothing more to do. */
static hri_slot *take(struct crew *crew)
{
    for (;;) {
        if (crew->error || hr_cancel_is_set(crew->stream->options.cancel))
            return NULL;
        if (crew->head != crew->tail) {
            hri_slot *slot = crew->queue[crew->head++ % HR_BUFFERS_MAX];
            slot->state = HRI_SLOT_BUSY;
            return slot;
        }
        if (crew->closing)
            return NULL;
        hri_wait_on(&crew->work, &crew->lock);
    }
}

/* Notes what became of a chunk, under the lock. */
static void finish(struct crew *crew, hri_slot *slot, int error)
{
    crew->finished++;
    if (error) {
        slot->state = HRI_SLOT_FAILED;
        if (!crew->error) {
            crew->error = error;
            hri_event_signal(crew->stream->wake.stop_fd);
        }
        pthread_cond_broadcast(&crew->work);
    } else {
        slot->state = HRI_SLOT_IDLE;
        crew->bytes += slot->cut;
        crew->chunks++;
        crew->turn_index++;
    }
    pthread_cond_broadcast(&crew->turn);
    pthread_cond_signal(&crew->idle);
}

/* Waits until it is a chunk's turn, under the lock. Gives 0, or the error of a callback: then its turn never comes. */
static int wait_for_turn(struct crew *crew, const hri_slot *slot)
{
    while (crew->stream->options.ordered && crew->turn_index != slot->index) {
        if (crew->error)
            return crew->error;
        hri_wait_on(&crew->turn, &crew->lock);
    }
    return 0;
}

/* Hands a chunk on; called, and left, under the lock. */
static int hand_on(struct crew *crew, hri_slot *slot)
{
    int error = 0;
    if (crew->stream->options.on_work) {
        pthread_mutex_unlock(&crew->lock);
        error = hri_stream_work(crew->stream, slot);
        pthread_mutex_lock(&crew->lock);
    }
    if (error)
        return error;
    error = wait_for_turn(crew, slot);
    pthread_mutex_unlock(&crew->lock);
    if (error)
        hri_stream_drop(crew->stream, slot);
    else
        error = hri_stream_take(crew->stream, slot);
    pthread_mutex_lock(&crew->lock);
    return error;
}

static void *work(void *argument)
{
    HRI_UNCANCELLED;
    struct crew *crew = argument;
    hri_slot *slot;
    pthread_mutex_lock(&crew->lock);
    while ((slot = take(crew)))
        finish(crew, slot, hand_on(crew, slot));
    pthread_mutex_unlock(&crew->lock);
    return NULL;
}

/* ── the feeder ─────────────────────────────────────────────────────────────────────────────────────────────────── */

/* Counts the slots that are not idle, and notes which are the feeder's; under the lock. */
static unsigned count_busy(hr_stream *stream)
{
    unsigned busy = 0;
    for (unsigned i = 0; i < stream->slot_count; i++) {
        stream->slots[i].ours = stream->slots[i].state == HRI_SLOT_IDLE;
        busy += !stream->slots[i].ours;
    }
    return busy;
}

/* Waits until fewer than `most` slots are busy. Gives 0, the error of a callback, or -ECANCELED: workers leave what is
 * ready then, and each has come by finish(). */
static int wait_for_fewer(struct crew *crew, unsigned most)
{
    pthread_mutex_lock(&crew->lock);
    int error;
    while (!(error = crew->error) && count_busy(crew->stream) >= most) {
        if (hr_cancel_is_set(crew->stream->options.cancel)) {
            error = -ECANCELED;
            break;
        }
        hri_wait_on(&crew->idle, &crew->lock);
    }
    pthread_mutex_unlock(&crew->lock);
    return error;
}

/* Chooses among the slots that are the feeder's, and takes the buffers of the others: reading may take long. NULL: a
 * busy one has to come back first, or, with an error, there is not one buffer. */
static hri_slot *choose(hr_stream *stream, unsigned allowed, int *ret_error)
{
    hri_slot *mapped = NULL, *unmapped = NULL;
    *ret_error = 0;
    for (unsigned i = 0; i < stream->slot_count; i++) {
        hri_slot *slot = &stream->slots[i];
        if (!slot->ours || slot == stream->rest)
            continue;
        if (mapped || stream->mapped > allowed)
            hri_slot_unmap(stream, slot);
        if (slot->data)
            mapped = slot;
        else
            unmapped = slot;
    }
    if (allowed < stream->slot_count)
        hri_buffers_narrow(&stream->buffers, allowed);
    if (mapped)
        return mapped;
    if (unmapped && stream->mapped < allowed && (stream->mapped == 0 || stream->index >= stream->ask_at)) {
        *ret_error = hri_slot_map(stream, unmapped);
        if (!*ret_error)
            return unmapped;
        stream->ask_at = stream->index + ASK_AGAIN_CHUNKS;
        if (stream->mapped > 0)
            *ret_error = 0;
    }
    return stream->rest && stream->rest->ours ? stream->rest : NULL;
}

/* Gives an idle slot with a buffer; NULL with an error. */
static hri_slot *acquire(struct crew *crew, int *ret_error)
{
    hr_stream *stream = crew->stream;
    for (;;) {
        unsigned allowed = hri_stream_allowed(stream);
        if (allowed == 0)
            allowed = 1; /* the level has just become critical: the pause comes with the next */
        *ret_error = wait_for_fewer(crew, allowed);
        if (*ret_error)
            return NULL;
        hri_slot *slot = choose(stream, allowed, ret_error);
        if (slot || *ret_error)
            return slot;
        *ret_error = wait_for_fewer(crew, stream->mapped); /* all that there are */
        if (*ret_error)
            return NULL;
    }
}

static void publish(struct crew *crew, hri_slot *slot)
{
    pthread_mutex_lock(&crew->lock);
    slot->state = HRI_SLOT_READY;
    crew->queue[crew->tail++ % HR_BUFFERS_MAX] = slot;
    pthread_cond_signal(&crew->work);
    crew->stream->result.bytes = crew->bytes;
    crew->stream->result.chunks = crew->chunks;
    pthread_mutex_unlock(&crew->lock);
}

static int feed(struct crew *crew)
{
    hr_stream *stream = crew->stream;
    for (;;) {
        int error = hr_cancel_is_set(stream->options.cancel) ? -ECANCELED : 0;
        if (!error && hri_stream_allowed(stream) == 0) {
            error = wait_for_fewer(crew, 1);
            if (!error)
                error = hri_stream_pause(stream);
        }
        if (error)
            return error;
        hri_slot *slot = acquire(crew, &error);
        if (!slot)
            return error;
        int filled = hri_stream_fill(stream, slot);
        if (filled <= 0)
            return filled;
        publish(crew, slot);
        hri_stream_report(stream, false);
    }
}

/* ── running ────────────────────────────────────────────────────────────────────────────────────────────────────── */

static int init(struct crew *crew, hr_stream *stream)
{
    *crew = (struct crew){.stream = stream, .bytes = stream->result.bytes, .chunks = stream->result.chunks};
    stream->wake.stop_fd = hri_event_open();
    int error = stream->wake.stop_fd < 0 ? stream->wake.stop_fd : hri_wait_init(&crew->lock, &crew->work);
    if (error)
        goto close_event;
    error = hri_wait_init_condition(&crew->turn);
    if (error)
        goto destroy_wait;
    error = hri_wait_init_condition(&crew->idle);
    if (error)
        goto destroy_turn;
    hri_slot *slot; /* left by another run */
    while ((slot = hri_stream_first_ready(stream))) {
        slot->state = HRI_SLOT_BUSY;
        crew->queue[crew->tail++] = slot;
    }
    crew->turn_index = crew->tail ? crew->queue[0]->index : stream->index;
    for (unsigned i = 0; i < crew->tail; i++)
        crew->queue[i]->state = HRI_SLOT_READY;
    return 0;

destroy_turn:
    pthread_cond_destroy(&crew->turn);
destroy_wait:
    hri_wait_destroy(&crew->lock, &crew->work);
close_event:
    hri_file_close(stream->wake.stop_fd);
    stream->wake.stop_fd = -1;
    return error;
}

static void destroy(struct crew *crew)
{
    pthread_cond_destroy(&crew->idle);
    pthread_cond_destroy(&crew->turn);
    hri_wait_destroy(&crew->lock, &crew->work);
    hri_file_close(crew->stream->wake.stop_fd);
    crew->stream->wake.stop_fd = -1;
}

/* Starts up to `count` threads, with all signals blocked: handlers run on the program's own threads. Gives how many. */
static unsigned start(struct crew *crew, pthread_t *threads, unsigned count)
{
    sigset_t all, before;
    unsigned started = 0;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    while (started < count && pthread_create(&threads[started], NULL, work, crew) == 0)
        started++;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return started;
}

int hri_workers_run(hr_stream *stream)
{
    struct crew crew;
    pthread_t threads[HR_WORKERS_MAX];
    stream->result.workers = 0;
    int error = init(&crew, stream);
    if (error)
        return error;
    unsigned started = start(&crew, threads, stream->options.workers);
    stream->result.workers = started;
    error = started ? feed(&crew) : -EAGAIN;
    pthread_mutex_lock(&crew.lock);
    crew.closing = true;
    pthread_cond_broadcast(&crew.work);
    pthread_mutex_unlock(&crew.lock);
    for (unsigned i = 0; i < started; i++)
        pthread_join(threads[i], NULL);
    stream->result.bytes = crew.bytes;
    stream->result.chunks = crew.chunks;
    if (crew.error) {
        error = crew.error;
        stream->stale = true;
    } else if (!error && hri_stream_first_ready(stream)) {
        error = -ECANCELED; /* at the end of the input, before all was handed on */
    }
    destroy(&crew);
    return error;
}
