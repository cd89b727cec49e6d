/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of headroom-store offer each other, from the bottom up. */
#ifndef STORE_H
#define STORE_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include <microhttpd.h>

/* Where uthash's own tables find no memory, adding to them fails, and the program goes on. */
#define HASH_NONFATAL_OOM 1
#include <uthash.h>

#include <headroom/headroom.h>

/* ── options.c ──────────────────────────────────────────────────────────────────────────────────────────────────── */

#define EXIT_USAGE 2

struct options {
    const char *host;
    const char *port;
    uint64_t limit_bytes; /* 0: the kernel's own limit */
    double warn_at;       /* shares of the limit; 0: the library's default */
    double degrade_at;
    double critical_at;
    double recover_below;
    double pinned_share;
    unsigned max_connections;
    const char *history; /* a file to append to; NULL: none */
    int64_t interval_ns; /* between two samples at rest; 0: the library's default */
    const char *page;    /* where the guard's page is served; NULL: nowhere */
    bool bodies_by_malloc;
    bool unguarded;
};

/* Reads the command line, whose texts the options then point into. Help, version and mistakes are said here, and end
 * the program: with 0, or with EXIT_USAGE. */
void options_parse(int argc, char **argv, struct options *ret_options);

/* ── memory.c: headroom, or with --unguarded plain malloc behind the same calls ─────────────────────────────────── */

/* The guard, and where each class of bytes is charged. All NULL when unguarded. */
extern struct memory {
    hr_guard *guard;
    hr_budget *cache;       /* no limit of its own: it yields to everything else */
    hr_budget *pinned;      /* --pinned-share of the limit */
    hr_budget *connections; /* what a connection costs, all but the objects */
} memory;

/* Makes the guard and its budgets. Returns 0 or a negative errno, as hr_guard_new() does. */
int memory_open(const struct options *options);

/* Says on stderr when the history file can no longer be written, and when it can again. */
void memory_watch_history(void);

/* Frees them, once all that was taken is given back. */
void memory_close(void);

/* The most that a body in this budget could ever get: its limit, or the guard's up to where degraded begins. HR_NONE:
 * there is neither. */
uint64_t memory_most(hr_budget *budget);

/* Asks for `bytes` before work starts. The ticket is always written, and released with hr_ticket_release(). */
hr_verdict memory_admit(hr_budget *budget, uint64_t bytes, hr_ticket *ret_ticket);

/* Takes a block, paid by an admitted ticket. NULL with errno EDQUOT or ENOMEM. */
void *memory_take(hr_ticket *ticket, size_t size);

void memory_give(void *block);

/* ── objects.c: what is kept ────────────────────────────────────────────────────────────────────────────────────── */

/* A body is a chain of blocks of one size, from a pool; only the last is smaller, and malloc's, once its size is known.
 * A store that keeps each body in one piece tears its heap to shreds: the hole that a 900 KiB body leaves does not fit
 * one of 901 KiB. In blocks of one size any hole fits any body, and the process stays as large as what it keeps. */
struct block {
    struct block *next;
    uint32_t room; /* bytes that fit */
    uint32_t size; /* bytes that are there */
    unsigned char bytes[];
};

/* A full block: four pages, so that the pool can give each back to the kernel alone. */
#define BLOCK_BYTES 16384
#define BLOCK_ROOM ((uint64_t)(BLOCK_BYTES - sizeof(struct block)))

/* An object is made and filled by its writer alone, then put on its shelf in one step: readers see the old one or the
 * new one, whole. The memory goes with the last of its readers: an object that is evicted or replaced while it is being
 * sent stays until it is sent. */
struct object {
    struct shelf *shelf;
    atomic_uint references; /* its writer's or the table's, and of those that read a pinned one */
    UT_hash_handle hh;      /* in the pinned shelf's table */
    uint64_t size_bytes;    /* of the body */
    uint64_t room_bytes;    /* of its blocks */
    struct block *first;
    struct block *last;
    struct block *filling; /* what the last byte went to */
    char key[];
};

/* The objects of one class, by key: in a cache of headroom's, from which they may be evicted, or in a table of
 * uthash's, in which they stay. */
struct shelf {
    const char *name;
    hr_budget *budget;
    hr_byte_pool *bodies;      /* full blocks; NULL: all are malloc's */
    uint64_t block_cost_bytes; /* of a pool's */
    hr_cache *cache;           /* NULL: the objects are kept, in what follows, which only the thread that serves uses */
    struct object *objects;    /* the table */
    atomic_uint_fast64_t bytes; /* of bodies, as clients count them */
};

struct shelf_figures {
    uint64_t objects;
    uint64_t bytes;
    uint64_t evictions; /* since start */
};

enum {
    SHELF_CACHE,
    SHELF_PINNED,
    SHELF_COUNT
};

extern struct shelf shelves[SHELF_COUNT];

/* Prepares the shelves, which are empty; the guard asks the cache to yield from now on. Returns 0 or a negative
 * errno. */
int shelves_open(const struct options *options);

void shelves_close(void);

/* A body's length, when the client does not say. */
#define LENGTH_UNKNOWN UINT64_MAX

/* What an object with a body of this size costs in all. */
uint64_t object_cost(const struct shelf *shelf, const char *key, uint64_t size_bytes);

/* What waited in the pool, charged already: no room need be made for it. */
struct idle {
    uint64_t taken_bytes;
    uint64_t left_bytes;
};

/* Takes idle full blocks of the pool for a body of this size. Blocks that the body cannot use go back to the kernel:
 * those of other shelves, and all of them if the body has no full blocks. So memory that was evicted for one body
 * serves the next one, or is gone. Otherwise each body would have the cache evict anew. This is for level warning, at
 * which caches may not grow. Below it there is room, and above it no block is idle. */
struct block *shelf_take_idle(const struct shelf *shelf, uint64_t size_bytes, struct idle *ret_idle);

/* Gives what waits back to the kernel, unless there is room for it. */
void shelf_trim(const struct shelf *shelf);

/* Gives back a chain of blocks. */
void shelf_give(const struct shelf *shelf, struct block *block);

/* Makes an object without a body, paid by the ticket. NULL with errno. */
struct object *object_new(struct shelf *shelf, hr_ticket *ticket, const char *key);

/* Hangs a chain of blocks behind the last one. */
void object_add(struct object *object, struct block *block);

/* Adds to the body, with blocks that the ticket pays for. `length_bytes` is what the whole body will have, or
 * LENGTH_UNKNOWN. False with errno if there is no memory: the object is of no use then. */
bool object_append(struct object *object, hr_ticket *ticket, uint64_t length_bytes, const char *bytes, size_t size);

/* Gives back what was taken and not needed, of the last block too. */
void object_fit(struct object *object, hr_ticket *ticket);

/* Gives back what was made. NULL is fine. */
void object_release(struct object *object);

/* Puts an object on the shelf, which takes it over, in the place of one with the same key. Returns 0; 1 if there was
 * one; -ENOMEM or -EDQUOT if it is still the writer's. */
int shelf_put(struct shelf *shelf, struct object *object);

/* An object that is read: of a cached one, each reader has a reference of its own. */
struct loan {
    struct object *object;
    hr_cache_ref ref;
};

/* Finds an object; false: there is none. */
bool shelf_lend(struct shelf *shelf, const char *key, struct loan *ret_loan);

void loan_release(struct loan *loan);

/* Takes an object off the shelf; false if there is none. */
bool shelf_remove(struct shelf *shelf, const char *key);

void shelf_read(struct shelf *shelf, struct shelf_figures *ret_figures);

/* ── upload.c: a PUT, from its headers to the object on its shelf ───────────────────────────────────────────────── */

struct upload {
    struct shelf *shelf;
    uint64_t length_bytes; /* LENGTH_UNKNOWN: counted as it comes, and admitted step by step */
    struct object *object; /* NULL once it is refused, or on its shelf */
    hr_verdict verdict;
    hr_ticket ticket; /* what is admitted, or why it is refused; retry_after_ns is 0 where that would never help */
};

/* Uploads by verdict, since start. */
extern uint64_t upload_verdicts[HR_REFUSED_NO_BUDGET + 1];

/* Judges a write before its body is read: `verdict` says how. NULL if there is not even memory for that. The upload
 * is given back by upload_end(), whatever became of it. */
struct upload *upload_begin(struct shelf *shelf, const char *key, uint64_t length_bytes);

/* Takes a part of the body. A body that can no longer be kept is dropped at once, and the rest of it is skipped. */
void upload_add(struct upload *upload, const char *bytes, size_t size);

/* Puts the whole object on its shelf. False if it is refused. */
bool upload_finish(struct upload *upload, bool *ret_replaced);

void upload_end(struct upload *upload);

/* ── answer.c: what is said ─────────────────────────────────────────────────────────────────────────────────────── */

/* The routine answers, made at start: to say them never needs memory. */
enum answer {
    ANSWER_OK,
    ANSWER_NOT_READY,
    ANSWER_CREATED,
    ANSWER_DONE, /* replaced or deleted */
    ANSWER_NO_PATH,
    ANSWER_NO_OBJECT,
    ANSWER_BAD_KEY,
    ANSWER_ONLY_GET,
    ANSWER_ONLY_OBJECT_METHODS,
    ANSWER_NO_MEMORY, /* for the answer itself */
    ANSWER_COUNT,
};

/* Makes the routine answers. Returns whether there was memory for them. */
bool answers_open(void);

enum MHD_Result answer(struct MHD_Connection *connection, enum answer which);

/* Says why: 413, 503 or 507, with the figures of a refused ticket as JSON, and with Retry-After where that may help. */
enum MHD_Result answer_refusal(struct MHD_Connection *connection, hr_verdict verdict, const hr_ticket *ticket);

/* What is copied of an object at a time, to be sent. */
#define SENDING_BYTES 16384

/* Sends an object, and gives the loan back in any case. */
enum MHD_Result answer_object(struct MHD_Connection *connection, struct loan *loan);

/* Sends the guard's figures and the store's own, as OpenMetrics text. */
enum MHD_Result answer_metrics(struct MHD_Connection *connection, uint64_t reads, uint64_t requests_in_flight);

/* ── connections.c: what connections cost, and how long they are waited for ─────────────────────────────────────── */

/* For headers, and to receive into: bodies pass through. */
#define CONNECTION_MEMORY_BYTES 16384
#define CONNECTION_TIMEOUT_S 30

/* No more than `max` connections are served at a time. */
void connections_open(unsigned max);

/* Charges a connection that begins, until it ends; the client is waited for from then on. For libmicrohttpd. */
void connection_changed(void *cls, struct MHD_Connection *connection, void **context,
                        enum MHD_ConnectionNotificationCode what);

/* From now on the client is waited for, or no longer. */
void connection_await(struct MHD_Connection *connection, bool awaited);

/* The client, which is waited for, has brought a part of a body. */
void connection_brought(struct MHD_Connection *connection, size_t size);

/* Ends the connections of clients that let too long be waited for them. Called a few times a second, by one thread. */
void connections_sweep(void);

/* ── linger.c: refused clients that still send ──────────────────────────────────────────────────────────────────── */

/* Keeps a connection that is about to be closed: by a descriptor of our own. Any thread. */
void linger_keep(int connection);

/* Throws away what has come, and closes what is done. Called a few times a second. */
void linger_sweep(void);

/* ── http.c: GNU libmicrohttpd on one thread of its own ─────────────────────────────────────────────────────────── */

/* The server accepts no more, and connections end after the request that they are in. */
extern atomic_bool http_draining;

/* Requests that are begun and not yet answered to the last byte. */
extern atomic_uint http_in_flight;

/* Starts to serve, and says on stdout where; or on stderr why not. Returns whether it serves. */
bool http_open(const struct options *options);

void http_drain(void);

/* Ends all connections. */
void http_close(void);

#endif
