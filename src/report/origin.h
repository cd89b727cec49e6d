/* SPDX-License-Identifier: Apache-2.0 */
/* An origin: the command line of a process and the source of its limit, as entries of its history file (codec.h). A
 * journal writes it before the first entry of a file, so that each part of a history has its own. A text that has
 * changed is written before the next entry. A reader keeps the last texts of which all pieces are whole, of one
 * process. */
#ifndef HRI_REPORT_ORIGIN_H
#define HRI_REPORT_ORIGIN_H

#include "report/codec.h"

/* The most entries of an origin. */
#define HRI_ORIGIN_ENTRIES ((size_t)HRI_ORIGIN_TEXTS * HRI_ORIGIN_PIECES)

/* A set of texts: bit N is for the text N of hri_origin_text. */
#define HRI_ORIGIN_ALL ((1U << HRI_ORIGIN_TEXTS) - 1)

/* Takes texts over, where they are not NULL. Gives the set of those that differ. */
unsigned hri_origin_set(hr_history_origin *origin, const char *command, const char *limit_source);

/* Writes the entries of a set of texts, except for those that are empty; gives their number. */
size_t hri_origin_encode(const hr_history_origin *origin, unsigned texts,
                         unsigned char ret_bytes[HRI_ORIGIN_ENTRIES * HRI_ENTRY_BYTES]);

/* The entries of a file, as they come. */
typedef struct hri_origin_reader {
    hr_history_origin *origin; /* whole texts of the last process that had one */
    bool found;
    hri_origin_entry last;
    char text[HRI_ORIGIN_PIECES * HRI_ORIGIN_PIECE_BYTES + 1]; /* the pieces up to `last`, where they are whole */
    size_t length;
} hri_origin_reader;

void hri_origin_take(hri_origin_reader *reader, const hri_origin_entry *entry);

/* Reads this process's words, with spaces between them; "" where /proc does not say them. */
void hri_origin_read_command(char ret_command[HR_COMMAND_BYTES]);

#endif
