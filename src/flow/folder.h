/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HRI_FLOW_FOLDER_H
#define HRI_FLOW_FOLDER_H

#include "os/input.h"

#include <headroom/flow.h>

/* Reads on; `*ret_file_end` is set with the last bytes of a file, `*ret_end` with those of the last file, or with none. */
ssize_t hri_folder_read(hr_folder *folder, void *buffer, size_t size, bool *ret_file_end, bool *ret_end);

/* The name of the file that the last bytes came from. */
const char *hri_folder_name(const hr_folder *folder);

void hri_folder_drop_behind(hr_folder *folder, bool drop);

/* As hri_input_drop(), of the file that is open. */
void hri_folder_drop(hr_folder *folder);

#endif
