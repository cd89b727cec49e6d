/* SPDX-License-Identifier: Apache-2.0 */
/* Flow: bounded work. Input of any size in constant memory, and items in batches.
 *
 * A *stream* takes its input from a *reader* through a few buffers of fixed size and hands it to a callback, chunk by
 * chunk. It holds buffers × buffer_bytes, whatever the size of the input:
 *
 *     static int count(void *context, const hr_chunk *chunk)
 *     {
 *         *(uint64_t *)context += chunk->size;
 *         return 0;                                     // anything else stops the stream with that error
 *     }
 *     ...
 *     hr_stream_options options = {.reader = hr_reader_fd(fd), .on_chunk = count, .context = &bytes};
 *     hr_stream_result result;
 *     int error = hr_stream_run(&options, &result);     // result.offset: everything before it was processed
 *
 * Lines: .delimiter = '\n', and every chunk holds whole lines, as many as fit. Other records: .record_bytes where all
 * have the same size, .on_frame where a header says it. A record that does not fit into a buffer with its delimiter is
 * -EMSGSIZE at its offset, or comes in pieces (.long_records_in_pieces).
 *
 * Short of memory: with .guard the buffers are charged to it. They are a byte pool (pool.h; in reports "stream"): those
 * that wait for their next use are given to whoever is short. At warning half of them are used, at degraded one, and at
 * critical the stream pauses until the level falls, .pause_max_ns at the longest (-ETIMEDOUT). hr_stream_new() and
 * hr_stream_continue() then go on from there, also from a pipe.
 *
 * Threads: by default there are none but the caller's: it reads, then calls back; nothing is faster where the callback
 * takes less time than the read. Where it takes more, .workers call back while the caller's thread reads ahead; it
 * waits when all buffers are full. With .ordered the calls of on_chunk come in the order of the input, one at a time,
 * and on_work, if given, runs before each of them on several at once:
 *
 *     .workers = 4, .ordered = true, .on_work = compress, .on_chunk = write_out
 *
 * A *batch* collects items from any thread and hands them on in groups, by number, bytes or age.
 *
 *     hr_batch_options options = {.item_bytes = sizeof(struct row), .items_max = 500, .age_max_ns = 200000000,
 *                                 .on_flush = insert_rows, .guard = guard};
 *     hr_batch_new(&options, &batch);
 *     hr_batch_add(batch, &row);                        // what a failed flush could not hand on stays, in order
 *     hr_batch_free(batch);                             // flushes the rest
 */
#ifndef HEADROOM_FLOW_H
#define HEADROOM_FLOW_H

#include <headroom/base.h>
#include <stdio.h>
#include <sys/types.h>

#ifdef __cplusplus
extern "C" {
#endif

/* ── readers ────────────────────────────────────────────────────────────────────────────────────────────────────── */

/* Reads up to `size` bytes (never 0) into `buffer`. `*ret_end`, false at the call, is set at the end of the input, with
 * the last bytes or with none: what comes together with the end is processed. 0 bytes without the end means "ask
 * again". Give as much as is there: without records each read that brings something is a chunk. A reader that gives a
 * byte at a time makes a callback of each byte, and with workers a hand-over between threads.
 *
 * returns  bytes, or a negative errno
 */
typedef ssize_t hr_read_fn(void *self, void *buffer, size_t size, bool *ret_end);

typedef struct hr_folder hr_folder;
typedef struct hr_cancel hr_cancel;

/* Where a stream's input comes from: made by one of the functions below. */
typedef struct hr_reader {
    int kind_; /* the library's */
    int fd_;
    int error_;
    hr_read_fn *read_;
    void *self_;
    size_t size_;
    size_t done_;
} hr_reader;

/* Reads a descriptor: file, pipe, socket, terminal; blocking or not. It stays the caller's. A stream begins where it
 * stands; at its end a file that can seek stands at the offset reached. A pipe is made to hold 256 KiB, where the
 * kernel allows it. A file or device that was opened with O_DIRECT can be read where chunks may end anywhere, from an
 * offset that is a multiple of its blocks. Records of one are -ENOTSUP (hr_stream_new()), since their reads end
 * anywhere.
 *
 * threads  any
 */
HR_API hr_reader hr_reader_fd(int fd);

/* Reads a FILE from where it stands, what stdio has in its buffer first. It stays the caller's. Pieces come when stdio
 * has filled them: for a pipe whose writer is slow take hr_reader_fd().
 *
 * threads  any
 */
HR_API hr_reader hr_reader_file(FILE *file);

/* Reads `size` bytes of memory, which must stay as they are while it is read.
 *
 * threads  any
 */
HR_API hr_reader hr_reader_memory(const void *bytes, size_t size);

/* Reads by a function of the caller's, which is called by one thread at a time with `self`.
 *
 * threads  any
 */
HR_API hr_reader hr_reader_custom(hr_read_fn *read, void *self);

/* Opens a folder, whose regular files can then be read in turn. Folders in it are passed over.
 *
 * returns  0; -EINVAL; -ENOENT, -ENOTDIR, -EACCES and what else open() says; -ENOMEM
 * threads  any
 * memory   allocates 8 KiB, however many files there are
 * undo     hr_folder_free()
 */
HR_API HR_MUST_CHECK int hr_folder_new(const char *path, hr_folder **ret_folder);

/* Frees a folder. NULL is fine.
 *
 * threads  any, as the last user of the folder
 */
HR_API void hr_folder_free(hr_folder *folder);

/* Reads a folder's files one after another, in the order in which the kernel lists them. The end of a file ends its
 * last record; chunks never hold bytes of two files and name theirs (hr_chunk.name). Symbolic links are followed. A
 * file that vanishes before its turn is passed over; one that cannot be opened or read is an error, which names it
 * (hr_stream_result.name), and hr_stream_continue() tries that file again. A folder can be read once: then it is
 * -ESTALE.
 *
 * threads  any
 */
HR_API hr_reader hr_reader_folder(hr_folder *folder);

/* Reads once from a reader, as a stream does: for readers that stand on other readers, such as one that decompresses.
 * Interrupted calls are repeated, and where a descriptor has nothing yet it waits for it. `cancel` may be NULL.
 *
 * returns  bytes, 0 at the end (`*ret_end`, written on success) or where the reader has nothing yet; -EINVAL for a
 *          reader that was not made; -ECANCELED; what the reader says
 * threads  one at a time a reader
 */
HR_API HR_MUST_CHECK ssize_t hr_reader_read(hr_reader *reader, hr_cancel *cancel, void *buffer, size_t size,
                                            bool *ret_end);

/* ── cancellation ───────────────────────────────────────────────────────────────────────────────────────────────── */

/* Makes a handle that stops streams: between two chunks, while they pause, and while they wait for a pipe or socket. A
 * callback, or the reader of a FILE or of the caller's, is let finish. pthread_cancel() does not stop them. A forked
 * child makes handles of its own: setting one of the parent's may end a wait there, too.
 *
 * returns  0; -EINVAL; -ENOMEM; -EMFILE, -ENFILE
 * threads  any
 * undo     hr_cancel_free()
 */
HR_API HR_MUST_CHECK int hr_cancel_new(hr_cancel **ret_cancel);

/* Frees a handle. NULL is fine.
 *
 * threads  any, as the last user of the handle
 */
HR_API void hr_cancel_free(hr_cancel *cancel);

/* Stops every stream that runs with this handle, and each that begins before hr_cancel_clear(). NULL is fine.
 *
 * threads  any, signal handlers too
 */
HR_API void hr_cancel_set(hr_cancel *cancel);

/* Lets the handle be used again. NULL is fine.
 *
 * threads  any
 */
HR_API void hr_cancel_clear(hr_cancel *cancel);

/* Says whether a handle is set: for callbacks that take long. NULL is not.
 *
 * threads  any, signal handlers too
 * cost     one load
 */
HR_API bool hr_cancel_is_set(const hr_cancel *cancel);

/* ── streams ────────────────────────────────────────────────────────────────────────────────────────────────────── */

#define HR_DELIMITER_NUL 256 /* as a delimiter: a NUL, since 0 means none */

#define HR_BUFFERS_MAX 256
#define HR_WORKERS_MAX 128

/* A piece of the input. It is the callee's until it returns. */
typedef struct hr_chunk {
    const void *data;
    size_t size;      /* 0 only where the last piece of a long record turns out to be empty at the end of the input */
    uint64_t offset;  /* of the first byte, from where the reader stood */
    uint64_t index;   /* counts from 0 */
    bool starts;      /* a record begins with its first byte; false: it goes on in here */
    bool ends;        /* a record ends with its last byte; false: it goes on in the next */
    const char *name; /* of the file, where a folder is read; else NULL */
    void *result;     /* what on_work left there, for on_chunk or on_drop; else NULL */
} hr_chunk;

/* Takes a chunk.
 *
 * returns  0; anything else stops the stream, which returns it: a negative errno, or a number of the caller's own
 */
typedef int hr_chunk_fn(void *context, const hr_chunk *chunk);

/* Works on a chunk before on_chunk gets it; runs on several threads at once. It may leave something in chunk->result,
 * and change data and size to what on_chunk is to get instead.
 *
 * returns  0; anything else stops the stream, and neither on_chunk nor on_drop is called for this chunk
 */
typedef int hr_work_fn(void *context, hr_chunk *chunk);

/* Lets go of what on_work left in chunk->result. Each chunk for which on_work returned 0 goes to on_chunk, whatever
 * that returns. It goes to this where another chunk's error came first, or where there is no on_chunk. Runs on the
 * thread that on_work ran on, on several at once, before hr_stream_run() or hr_stream_continue() returns.
 */
typedef void hr_drop_fn(void *context, const hr_chunk *chunk);

/* Says how long the record is that begins at `data`, of which `size` bytes (at least 1) are there.
 *
 * returns  its whole length, which may be more than `size`; 0 where more bytes are needed to tell; a negative errno
 *          stops the stream
 */
typedef ssize_t hr_frame_fn(void *context, const void *data, size_t size);

/* How far a stream is. */
typedef struct hr_progress {
    uint64_t bytes;     /* handed on so far */
    uint64_t chunks;    /* by which they were handed on */
    uint64_t offset;    /* of the next byte */
    double bytes_per_s; /* since the last report; in the last one of the whole run */
    double share;       /* of the input's size, 0 to 1; negative where that is not known */
    int64_t elapsed_ns; /* since the last start; pauses included */
    hr_level level;     /* of the guard */
    unsigned buffers;   /* in use */
} hr_progress;

/* Called on the thread that runs the stream, after a chunk was handed on and progress_interval_ns have passed, and once
 * at the end. */
typedef void hr_progress_fn(void *context, const hr_progress *progress);

/* Zero means default everywhere.
 *
 * drop_behind: the kernel is told, 8 MiB after 8 MiB and when a run ends, however it ends, that the file's pages are
 * not needed. It does not ask who brought them: pages of the same file that others had in the cache go too. Since the
 * kernel reads ahead, so may up to 4 MiB before where the run began and 32 MiB behind where it ended. Pages stay that
 * somebody has mapped, that are not on the disk yet, or that the disk is still bringing when the run ends.
 */
typedef struct hr_stream_options {
    hr_reader reader;
    size_t buffer_bytes;         /* 1 MiB; rounded up to whole pages */
    unsigned buffers;            /* with workers: 2 more than those; HR_BUFFERS_MAX at most. Without workers always 1 */
    unsigned workers;            /* none: all on the caller's thread. HR_WORKERS_MAX at most; fewer if no thread can be
                              made */
    bool ordered;                /* on_chunk is called in the order of the input, one call at a time */
    int delimiter;               /* the byte that ends a record, 1 to 255, or HR_DELIMITER_NUL; 0: see below */
    size_t record_bytes;         /* all records have this size; 0: see below */
    hr_frame_fn *on_frame;       /* says how long a record is. None of the three: no records, chunks end anywhere */
    bool long_records_in_pieces; /* a record larger than a buffer comes in pieces, in chunks of its own */
    uint64_t offset;             /* passes over this many bytes first: to go on where another run had come to */
    uint64_t size_bytes;         /* of the input, for on_progress, where the reader does not know */
    bool drop_behind;            /* the page cache of a file is dropped once read: see above */
    hr_guard *guard;             /* whose level is answered to, and whose root pays; NULL: neither */
    hr_budget *budget;           /* who pays for the buffers instead; with a guard one of its own */
    int64_t pause_max_ns;        /* 30 s: how long one pause at critical may last; negative: for ever */
    hr_chunk_fn *on_chunk;       /* may be NULL where there is an on_work */
    hr_work_fn *on_work;
    hr_drop_fn *on_drop;
    hr_progress_fn *on_progress;
    int64_t progress_interval_ns; /* 1 s; negative: after each chunk */
    void *context;                /* for all of them */
    hr_cancel *cancel;
} hr_stream_options;

/* The result of a run. Always written, also when it fails. `name` is NULL without an error, and for all readers but
 * hr_reader_folder(); it is valid until the next run or until the folder is freed. */
typedef struct hr_stream_result {
    uint64_t bytes;              /* handed on, and taken by on_chunk */
    uint64_t chunks;             /* by which they were handed on */
    uint64_t offset;             /* reached: everything before it was taken; unordered workers may have taken more */
    uint64_t buffers_peak_bytes; /* the most that buffers held at once */
    uint64_t pauses;             /* at critical */
    int64_t paused_ns;           /* in all */
    int64_t elapsed_ns;          /* of all runs of the stream together, pauses included */
    unsigned workers;            /* that ran */
    const char *method;          /* how the input was read, such as "read, sequential"; a constant string */
    const char *name;            /* after an error the folder's file in which `offset` is, or that cannot be opened */
    uint64_t file_offset;        /* `offset` from that file's beginning */
} hr_stream_result;

/* Runs a stream from its beginning to its end, or to the first error. `ret_result` may be NULL.
 *
 * The first error stops everything: chunks that wait are not handed on. After an error of the reader, and a pause that
 * took too long, those that were read before are.
 *
 * returns  0; what a callback or the reader returned; what hr_stream_new() does; -ECANCELED; -ETIMEDOUT after a pause
 *          of pause_max_ns; -EDQUOT or -ENOMEM where there is not even one buffer. -EMSGSIZE: a record is larger than a
 *          buffer, and a buffer is full of it. -EBADMSG: the input ends inside a record of known length. Both are at
 *          the record's offset; where pieces of it were handed on, -EBADMSG is at the end of the input. -ERANGE: the
 *          input ends before options.offset, and the error is at that end
 * threads  any; callbacks come on the caller's thread, with workers on theirs
 * memory   buffers × buffer_bytes, charged; beside them a page, 4 KiB and half a KiB a buffer; the workers' stacks
 */
HR_API int hr_stream_run(const hr_stream_options *options, hr_stream_result *ret_result);

typedef struct hr_stream hr_stream;

/* Makes a stream that can be continued: its reader must live as long.
 *
 * returns  0; -EINVAL; -ENOMEM; -ESTALE for a folder that was read before; -EISDIR, -EBADF; -ENOTSUP for records of a
 *          descriptor with O_DIRECT
 * threads  any
 * memory   allocates 4 KiB and half a KiB a buffer; buffers are taken while it runs
 * undo     hr_stream_free()
 */
HR_API HR_MUST_CHECK int hr_stream_new(const hr_stream_options *options, hr_stream **ret_stream);

/* Runs a stream as hr_stream_run() does, from where it is. After -ETIMEDOUT, an error of the reader and a cancelled
 * wait nothing that was read is lost, and it can be continued. After an error of a callback it cannot: -ESTALE; but
 * with a reader that can seek another stream may begin there. The figures of `ret_result` are of all runs together.
 *
 * returns  as hr_stream_run(); 0 after the end; -ESTALE
 * threads  one at a time
 */
HR_API int hr_stream_continue(hr_stream *stream, hr_stream_result *ret_result);

/* Frees a stream and its buffers. NULL is fine.
 *
 * threads  any, as the last user of the stream
 */
HR_API void hr_stream_free(hr_stream *stream);

/* Frames records whose length, of what follows it, stands before them in four bytes, most significant first: for
 * on_frame. Chunks hold the records with their lengths.
 *
 * returns  as a hr_frame_fn
 * threads  any
 */
HR_API ssize_t hr_frame_length32(void *context, const void *data, size_t size);

/* ── batches ────────────────────────────────────────────────────────────────────────────────────────────────────── */

typedef struct hr_batch hr_batch;

/* Takes `count` items, oldest first, as one array of item_bytes each. Runs with no lock held, one call at a time a
 * batch; on which thread hr_batch_new() says. It may add to the batch as long as it is not full, and not flush it.
 *
 * returns  0: all are taken; a negative errno: none is, they stay in their order. A positive number is taken for
 *          -EINVAL
 */
typedef int hr_flush_fn(void *context, const void *items, size_t count);

/* Zero means default everywhere. A batch is flushed at whichever comes first; above normal sooner: at half as many
 * items and bytes when warning, a quarter when degraded, an eighth when critical. */
typedef struct hr_batch_options {
    size_t item_bytes;  /* size of an item; it is copied. Required */
    size_t items_max;   /* as many as bytes_max allows, 1,024 without it: never more than these are kept */
    uint64_t bytes_max; /* HR_NONE: not by bytes; counted are item_bytes each, or what hr_batch_add_sized() is told */
    int64_t age_max_ns; /* of the oldest item; 0: not by age */
    hr_flush_fn *on_flush;
    void *context;
    hr_guard *guard;   /* whose level is answered to, whose monitor flushes by age, and whose root pays; or NULL */
    hr_budget *budget; /* who pays for the items instead; with a guard one of its own */
} hr_batch_options;

/* A batch at one instant; counts are since it was made. */
typedef struct hr_batch_figures {
    uint64_t items;   /* kept now */
    uint64_t bytes;   /* and their bytes */
    int64_t age_ns;   /* of the oldest */
    uint64_t added;   /* items in all */
    uint64_t flushed; /* items that on_flush took */
    uint64_t flushes; /* calls of on_flush that took them */
    uint64_t failed;  /* calls that did not */
    int last_error;   /* of the last of those */
    uint64_t refused; /* adds to a full batch */
} hr_batch_figures;

/* Makes a batch. on_flush is called on the thread that adds the item which fills it, that calls hr_batch_flush() or
 * hr_batch_flush_aged(), or that frees it. Where a guard has a monitor thread, on_flush is called on that thread for
 * items that have grown too old. There it should be quick, since it keeps the guard from looking. Without a guard, or
 * to keep it off that thread, leave `guard` NULL and watch hr_batch_fd() in a loop of your own.
 *
 * That thread has all signals blocked and a stack of 256 KiB. Free a batch before its guard. After a fork what it keeps
 * is the parent's to flush; the child has an empty one, and opens a descriptor of its own by hr_batch_fd().
 *
 * returns  0; -EINVAL; -ENOMEM; -EDQUOT
 * threads  any
 * memory   items_max × item_bytes, in whole pages, charged; beside them a page and 4 KiB
 * undo     hr_batch_free()
 */
HR_API HR_MUST_CHECK int hr_batch_new(const hr_batch_options *options, hr_batch **ret_batch);

/* Adds an item, then flushes if that fills the batch. While another thread flushes a full batch it waits for that.
 *
 * returns  0: the item is kept or taken; -ENOBUFS: the batch is full since its last flush failed, and the item was not
 *          taken; -EINVAL. Anything else is the error of a flush, and the item is kept with all others: do not add it
 *          again. An item of the batch's own, which on_flush is shown, may be added while it runs: -ENOBUFS where
 *          that would have to wait for the flush
 * threads  any
 * memory   never allocates
 */
HR_API HR_MUST_CHECK int hr_batch_add(hr_batch *batch, const void *item);

/* As hr_batch_add() for an item that stands for `bytes` bytes, such as a pointer to a message.
 *
 * returns  as hr_batch_add()
 * threads  any
 */
HR_API HR_MUST_CHECK int hr_batch_add_sized(hr_batch *batch, const void *item, uint64_t bytes);

/* Flushes what is kept, be it full or not.
 *
 * returns  0, also when nothing is kept; what on_flush returned: all is kept then; -EINVAL; -EDEADLK from on_flush
 * threads  any; it waits while another thread flushes
 */
HR_API int hr_batch_flush(hr_batch *batch);

/* Flushes if the oldest item has reached age_max_ns: what the guard's monitor calls, for a loop of the caller's.
 *
 * returns  0, also when it is not time; what on_flush returned
 * threads  any
 */
HR_API int hr_batch_flush_aged(hr_batch *batch);

/* Gives a timerfd that is readable from when the oldest item has reached age_max_ns: then call hr_batch_flush_aged(),
 * which clears it. After a failed flush it is readable again after another age_max_ns. The first call opens it; it
 * belongs to the batch.
 *
 * returns  the descriptor; -EINVAL without age_max_ns; -EMFILE, -ENFILE, -ENOMEM
 * threads  any
 */
HR_API int hr_batch_fd(hr_batch *batch);

/* Reads the figures.
 *
 * returns  0; -EINVAL
 * threads  any
 */
HR_API int hr_batch_read(hr_batch *batch, hr_batch_figures *ret_figures);

/* Drops what is kept: for what cannot be handed on any more.
 *
 * returns  how many items
 * threads  any; it waits while another thread flushes; 0 from on_flush
 */
HR_API size_t hr_batch_clear(hr_batch *batch);

/* Flushes what is kept, then frees the batch. NULL is fine.
 *
 * returns  0; -EBUSY where on_flush did not take it: nothing is freed, and all is kept
 * threads  any, as the last user of the batch; not from on_flush
 */
HR_API HR_MUST_CHECK int hr_batch_free(hr_batch *batch);

#ifndef HR_NO_SIZES_ /* see base.h */

HR_SIZED_ int hr_stream_run(const hr_stream_options *options, hr_stream_result *ret_result)
{
    return hr_sized_(HR_SIZED_STREAM_RUN_, NULL, options, ret_result, HR_SIZES_(sizeof *options, sizeof *ret_result));
}

HR_SIZED_ int hr_stream_new(const hr_stream_options *options, hr_stream **ret_stream)
{
    return hr_sized_(HR_SIZED_STREAM_NEW_, NULL, options, ret_stream, HR_SIZES_(sizeof *options, 0));
}

HR_SIZED_ int hr_stream_continue(hr_stream *stream, hr_stream_result *ret_result)
{
    return hr_sized_(HR_SIZED_STREAM_CONTINUE_, stream, NULL, ret_result, HR_SIZES_(0, sizeof *ret_result));
}

HR_SIZED_ int hr_batch_new(const hr_batch_options *options, hr_batch **ret_batch)
{
    return hr_sized_(HR_SIZED_BATCH_NEW_, NULL, options, ret_batch, HR_SIZES_(sizeof *options, 0));
}

HR_SIZED_ int hr_batch_read(hr_batch *batch, hr_batch_figures *ret_figures)
{
    return hr_sized_(HR_SIZED_BATCH_READ_, batch, NULL, ret_figures, HR_SIZES_(0, sizeof *ret_figures));
}

#endif

#ifdef __cplusplus
}
#endif

#endif
