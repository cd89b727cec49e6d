/* SPDX-License-Identifier: Apache-2.0 */
/* A guarded thread pool: a task is admitted before it is queued, and carries its memory with it.
 *
 * The producer asks hr_admit() for all that a task will need, and the ticket travels with the task. A worker never
 * finds that its memory is gone, and a queue of any length cannot promise more than there is. Refused tasks are answered
 * before any work was done. The usual bound is a number of threads, which says nothing of memory. */
#include <headroom/headroom.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

enum {
    WORKERS = 4,
    TASKS = 200,
    SMALL_BYTES = 64 << 10,
    LARGE_BYTES = 4 << 20
};

struct task {
    hr_ticket ticket; /* its memory: promised by one thread, used by another, one after the other */
    size_t bytes;
};

static struct task tasks[TASKS]; /* the queue: a task is written before its sem_post() */
static sem_t ready;
static atomic_uint taken, done;
static atomic_uint queued;

static void *work(void *context)
{
    for (;;) {
        while (sem_wait(&ready) != 0) { /* interrupted by a signal */
        }
        unsigned at = atomic_fetch_add(&taken, 1);
        if (at >= queued)
            return context; /* the queue is closed and empty */
        struct task *task = &tasks[at];
        HR_SCOPED_ALLOC void *memory = hr_ticket_alloc(&task->ticket, task->bytes); /* was admitted: it is there */
        if (memory) {
            memset(memory, 'x', task->bytes); /* the work */
            atomic_fetch_add(&done, 1);
        }
        hr_ticket_release(&task->ticket);
    }
}

int main(void)
{
    hr_guard *guard;
    pthread_t workers[WORKERS];
    unsigned refused = 0;
    if (hr_guard_new(NULL, &guard) != 0 || sem_init(&ready, 0, 0) != 0)
        return 1;
    for (unsigned i = 0; i < WORKERS; i++) {
        if (pthread_create(&workers[i], NULL, work, NULL) != 0)
            return 1;
    }
    for (unsigned i = 0; i < TASKS; i++) {
        struct task *task = &tasks[queued];
        task->bytes = i % 4 ? SMALL_BYTES : LARGE_BYTES;
        hr_request request = {.bytes = hr_alloc_cost(task->bytes)};
        if (hr_admit(guard, &request, &task->ticket) == HR_ADMITTED) {
            queued++;
            sem_post(&ready);
        } else {
            refused++; /* hr_ticket_text() says why, and when to ask again */
        }
    }
    for (unsigned i = 0; i < WORKERS; i++)
        sem_post(&ready); /* one for each worker, without a task: the end */
    for (unsigned i = 0; i < WORKERS; i++)
        pthread_join(workers[i], NULL);
    printf("%u admitted, of which %u done; %u refused before any work\n", queued, done, refused);
    hr_guard_free(guard);
    return done != queued;
}
