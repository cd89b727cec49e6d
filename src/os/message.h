/* SPDX-License-Identifier: Apache-2.0 */
/* Sentences for the person who runs the program, see hr_message_set(). */
#ifndef HRI_OS_MESSAGE_H
#define HRI_OS_MESSAGE_H

/* Hands a sentence, without its full stop and its line's end, to whoever takes them. With no lock held. */
void hri_message_say(const char *sentence);

#endif
