/* SPDX-License-Identifier: Apache-2.0 */
#include "flow/source.h"

#include "base/answer.h"
#include "base/checked.h"
#include "flow/cancel.h"
#include "flow/folder.h"

#include <errno.h>
#include <string.h>

/* ── readers ────────────────────────────────────────────────────────────────────────────────────────────────────── */

hr_reader hr_reader_fd(int fd)
{
    return (hr_reader){.kind_ = HRI_READER_FD, .fd_ = fd};
}

hr_reader hr_reader_file(FILE *file)
{
    return (hr_reader){.kind_ = file ? HRI_READER_FILE : 0, .self_ = file};
}

hr_reader hr_reader_memory(const void *bytes, size_t size)
{
    /* It is only read; the field is the one in which custom readers have what they may write to. */
    return (hr_reader){
        .kind_ = bytes || !size ? HRI_READER_MEMORY : 0, .self_ = (void *)(uintptr_t)bytes, .size_ = size};
}

hr_reader hr_reader_custom(hr_read_fn *read, void *self)
{
    return (hr_reader){.kind_ = read ? HRI_READER_CUSTOM : 0, .read_ = read, .self_ = self};
}

hr_reader hr_reader_folder(hr_folder *folder)
{
    return (hr_reader){.kind_ = folder ? HRI_READER_FOLDER : 0, .self_ = folder};
}

static ssize_t read_memory(hr_reader *reader, void *buffer, size_t size, bool *ret_end)
{
    size_t length = (size_t)hri_min(size, reader->size_ - reader->done_);
    if (length)
        memcpy(buffer, (const char *)reader->self_ + reader->done_, length);
    reader->done_ += length;
    *ret_end = reader->done_ == reader->size_;
    return (ssize_t)length;
}

static ssize_t read_file(hr_reader *reader, hri_wake wake, void *buffer, size_t size, bool *ret_end)
{
    hri_stdio input = {reader->self_, reader->error_};
    ssize_t got = hri_input_read_file(&input, wake, buffer, size, ret_end);
    reader->error_ = input.kept_error;
    return got;
}

static ssize_t read_custom(hr_reader *reader, void *buffer, size_t size, bool *ret_end)
{
    ssize_t got = reader->read_(reader->self_, buffer, size, ret_end);
    return got < -HRI_ERRNO_MAX || (got > 0 && (size_t)got > size) ? -EINVAL : got;
}

/* Reads by a reader that has no hri_input open. */
static ssize_t read_any(hr_reader *reader, hri_wake wake, void *buffer, size_t size, hri_got *ret_got)
{
    switch (reader->kind_) {
    case HRI_READER_FILE:
        return read_file(reader, wake, buffer, size, &ret_got->end);
    case HRI_READER_MEMORY:
        return read_memory(reader, buffer, size, &ret_got->end);
    case HRI_READER_CUSTOM:
        return read_custom(reader, buffer, size, &ret_got->end);
    case HRI_READER_FOLDER:
        return hri_folder_read(reader->self_, buffer, size, &ret_got->file_end, &ret_got->end);
    default:
        return -EINVAL;
    }
}

static ssize_t read_descriptor(hri_input *input, hri_wake wake, void *buffer, size_t size, hri_got *ret_got)
{
    ssize_t got = hri_input_read(input, wake, buffer, size);
    ret_got->end = got == 0;
    return got;
}

ssize_t hr_reader_read(hr_reader *reader, hr_cancel *cancel, void *buffer, size_t size, bool *ret_end)
{
    if (!reader || !buffer || !size || !ret_end)
        return -EINVAL;
    if (hr_cancel_is_set(cancel))
        return -ECANCELED;
    hri_wake wake = {hri_cancel_fd(cancel), -1};
    hri_got told = {0};
    ssize_t got;
    if (reader->kind_ == HRI_READER_FD) {
        hri_input input = {.fd = reader->fd_, .start = -1};
        got = read_descriptor(&input, wake, buffer, size, &told);
    } else {
        got = read_any(reader, wake, buffer, size, &told);
    }
    if (got >= 0)
        *ret_end = told.end;
    return got;
}

/* ── a reader while it is read ──────────────────────────────────────────────────────────────────────────────────── */

int hri_source_open(hri_source *source, const hr_reader *reader, bool drop_behind)
{
    *source = (hri_source){.reader = *reader, .input = {.fd = -1, .start = -1, .size = -1}, .drop_behind = drop_behind};
    if (reader->kind_ < HRI_READER_FD || reader->kind_ > HRI_READER_FOLDER)
        return -EINVAL;
    if (reader->kind_ == HRI_READER_FOLDER)
        return hri_folder_begin(reader->self_, drop_behind);
    return reader->kind_ == HRI_READER_FD ? hri_input_open(&source->input, reader->fd_, drop_behind) : 0;
}

ssize_t hri_source_read(hri_source *source, hri_wake wake, void *buffer, size_t size, hri_got *ret_got)
{
    *ret_got = (hri_got){0};
    if (source->reader.kind_ == HRI_READER_FD)
        return read_descriptor(&source->input, wake, buffer, size, ret_got);
    return read_any(&source->reader, wake, buffer, size, ret_got);
}

/* A file can be sought beyond its end, and then would seem to be read. */
static uint64_t seek_input(hri_input *input, uint64_t offset)
{
    uint64_t size = input->size > 0 ? (uint64_t)input->size : 0;
    uint64_t to = input->regular ? hri_min(offset, size) : offset;
    return hri_input_seek(input, to) == 0 ? offset - to : offset;
}

uint64_t hri_source_seek(hri_source *source, uint64_t offset)
{
    hr_reader *reader = &source->reader;
    if (reader->kind_ == HRI_READER_FD)
        return seek_input(&source->input, offset);
    if (reader->kind_ != HRI_READER_MEMORY)
        return offset;
    reader->done_ = (size_t)hri_min(offset, reader->size_);
    return offset - reader->done_;
}

void hri_source_drop(hri_source *source)
{
    if (source->reader.kind_ == HRI_READER_FD)
        hri_input_drop(&source->input);
    else if (source->reader.kind_ == HRI_READER_FOLDER)
        hri_folder_drop(source->reader.self_);
}

int64_t hri_source_size(const hri_source *source)
{
    return source->reader.kind_ == HRI_READER_MEMORY ? (int64_t)source->reader.size_ : source->input.size;
}

const char *hri_source_name(const hri_source *source)
{
    const char *name = source->reader.kind_ == HRI_READER_FOLDER ? hri_folder_name(source->reader.self_) : "";
    return name[0] ? name : NULL;
}

const char *hri_source_keep_name(hri_source *source, const char name[HRI_NAME_BYTES])
{
    return hri_folder_keep_name(source->reader.self_, name);
}

const char *hri_source_method(const hri_source *source, bool can_be_woken)
{
    switch (source->reader.kind_) {
    case HRI_READER_FD:
        if (source->input.regular)
            return source->drop_behind ? "read, sequential, cache dropped behind" : "read, sequential";
        if (source->input.widened)
            return can_be_woken ? "poll and read, pipe widened" : "read, pipe widened";
        return can_be_woken ? "poll and read" : "read";
    case HRI_READER_FILE:
        return "fread";
    case HRI_READER_MEMORY:
        return "copy";
    case HRI_READER_CUSTOM:
        return "callback";
    case HRI_READER_FOLDER:
        return source->drop_behind ? "read, file by file, cache dropped behind" : "read, file by file";
    default:
        return "none";
    }
}
