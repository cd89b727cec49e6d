/* SPDX-License-Identifier: Apache-2.0 */
/* Can a library be loaded into a program? ld.so leaves it out of many without a word, so the program's file is read
 * first: some fields of its ELF header. */
#ifndef RUN_IMAGE_H
#define RUN_IMAGE_H

#include <stdbool.h>
#include <stddef.h>

#define RUN_IMAGE_TEXT_BYTES 512

/* Decides by what the bytes of a program's file say, of which the first `size` are given: false, and a sentence, where
 * no library can be loaded into it. `machine_of` is another program's file (our own), whose machine is the one. Pure.
 * A script's interpreter is written to `ret_interpreter` (RUN_IMAGE_TEXT_BYTES), which else is "". */
bool run_image_judge(const void *bytes, size_t size, const void *machine_of, char *ret_interpreter,
                     const char **ret_why);

/* Finds `command` as execvp() does, and judges it, through its interpreters. Gives false and a sentence. */
bool run_image_can_enter(const char *command, char ret_why[RUN_IMAGE_TEXT_BYTES]);

#endif
