/* SPDX-License-Identifier: Apache-2.0 */
/* A history file of somebody else's figures: a journal that follows no history in memory. */
#include "base/uncancelled.h"
#include "report/journal.h"

#include <errno.h>
#include <stdlib.h>

struct hr_history_writer {
    hri_journal journal;
};

int hr_history_writer_new(const char *path, uint64_t bytes, hr_history_writer **ret_writer)
{
    HRI_UNCANCELLED; /* the file is to be closed */
    if (!path || !*path || !ret_writer)
        return -EINVAL;
    hr_history_writer *writer = malloc(sizeof *writer);
    if (!writer)
        return -ENOMEM;
    int error = hri_journal_init(&writer->journal, path, bytes);
    if (error) {
        free(writer);
        return error;
    }
    *ret_writer = writer;
    return 0;
}

int hr_history_writer_add(hr_history_writer *writer, const hr_history_entry *entry)
{
    HRI_UNCANCELLED;
    if (!writer || !entry)
        return -EINVAL;
    return hri_journal_write(&writer->journal, entry);
}

int hr_history_writer_describe(hr_history_writer *writer, const char *command, const char *limit_source)
{
    if (!writer)
        return -EINVAL;
    hri_journal_describe(&writer->journal, command, limit_source);
    return 0;
}

void hr_history_writer_free(hr_history_writer *writer)
{
    HRI_UNCANCELLED;
    if (!writer)
        return;
    hri_journal_destroy(&writer->journal);
    free(writer);
}
