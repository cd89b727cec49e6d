/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HRI_FLOW_FOLDER_H
#define HRI_FLOW_FOLDER_H

#include "os/input.h"

#include <headroom/flow.h>

/* Before a stream reads. Gives 0; -ESTALE where something was read from it before. */
int hri_folder_begin(hr_folder *folder, bool drop_behind);

/* Reads on; `*ret_file_end` is set with the last bytes of a file, `*ret_end` with those of the last file, or with
 * none. */
ssize_t hri_folder_read(hr_folder *folder, void *buffer, size_t size, bool *ret_file_end, bool *ret_end);

/* The name of the file that the last bytes came from, or that could not be opened; "" where there is none. */
const char *hri_folder_name(const hr_folder *folder);

/* Keeps a name for the caller, until the next one. Gives the copy. */
const char *hri_folder_keep_name(hr_folder *folder, const char name[HRI_NAME_BYTES]);

/* As hri_input_drop(), of the file that is open. */
void hri_folder_drop(hr_folder *folder);

#endif
