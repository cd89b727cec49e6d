/* SPDX-License-Identifier: Apache-2.0 */
/* A program that makes a guard in a loop would print the same sentence in a loop. So standard error gets a sentence
 * once, as long as no other one comes in between.
 *
 * Locking: the lock is a leaf; whoever takes sentences is called without it.
 */
#include "os/message.h"

#include "base/uncancelled.h"
#include "os/file.h"

#include <headroom/base.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static hr_message_fn *taker;
static void *taker_context;
static char said[256]; /* to standard error, the last */

void hr_message_set(hr_message_fn *take, void *context)
{
    pthread_mutex_lock(&lock);
    taker = take;
    taker_context = context;
    pthread_mutex_unlock(&lock);
}

void hri_message_say(const char *sentence)
{
    HRI_UNCANCELLED;
    char line[sizeof said];
    int length = snprintf(line, sizeof line, "headroom: %.*s\n", (int)sizeof line - 12, sentence);
    pthread_mutex_lock(&lock);
    hr_message_fn *take = taker;
    void *context = taker_context;
    bool again = strcmp(line, said) == 0;
    if (!take)
        memcpy(said, line, sizeof said);
    pthread_mutex_unlock(&lock);
    if (take)
        take(context, sentence);
    else if (!again)
        hri_file_write(STDERR_FILENO, line, (size_t)length);
}
