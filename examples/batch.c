/* SPDX-License-Identifier: Apache-2.0 */
/* A batch: rows are written to a database in groups, and a group that fails is not lost.
 *
 * Rows are added one at a time, from any thread. The batch hands them on when it is full, or when the oldest row is
 * too old. A flush that fails keeps its rows, in their order, and the error reaches the caller that filled the batch. A
 * full batch takes no row until a flush succeeds (-ENOBUFS): then the producer slows down, and memory does not grow.
 * The usual loop around a growing array loses the group that failed, or keeps all rows until the database is back. */
#include <headroom/headroom.h>
#include <errno.h>
#include <stdio.h>

enum {
    ROWS = 10000,
    ROWS_A_FLUSH = 500,
    OUTAGES = 3
};

struct row {
    unsigned number;
};

struct database {
    unsigned rows;    /* inserted */
    unsigned outages; /* calls that fail from now on */
    bool in_order;
};

static int insert(void *context, const void *items, size_t count)
{
    struct database *database = context;
    const struct row *rows = items;
    if (database->outages > 0) {
        database->outages--;
        return -EAGAIN; /* nothing was inserted: the batch keeps all of it */
    }
    for (size_t i = 0; i < count; i++)
        database->in_order = database->in_order && rows[i].number == database->rows + i;
    database->rows += (unsigned)count;
    return 0;
}

int main(void)
{
    hr_guard *guard;
    hr_batch *batch;
    struct database database = {.outages = OUTAGES, .in_order = true};
    if (hr_guard_new(NULL, &guard) != 0)
        return 1;
    /* With age_max_ns the guard's monitor would flush too, on its own thread: then insert() needs a lock. */
    hr_batch_options options = {.item_bytes = sizeof(struct row),
                                .items_max = ROWS_A_FLUSH,
                                .on_flush = insert,
                                .context = &database,
                                .guard = guard};
    if (hr_batch_new(&options, &batch) != 0)
        return 1;
    unsigned failed = 0;
    for (unsigned number = 0; number < ROWS; number++) {
        int error = hr_batch_add(batch, &(struct row){number});
        failed += error != 0; /* the flush failed: this row is kept with the others */
        while (error) {       /* a server sleeps here, or refuses new rows: the next one would be -ENOBUFS */
            error = hr_batch_flush(batch);
            failed += error != 0;
        }
    }
    int error = hr_batch_free(batch); /* flushes the rest */
    printf("%u of %d rows inserted, %s, after %u failures\n", database.rows, ROWS,
           database.in_order ? "in order" : "out of order", failed);
    hr_guard_free(guard);
    return error || database.rows != ROWS || !database.in_order;
}
