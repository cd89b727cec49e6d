/* SPDX-License-Identifier: Apache-2.0 */
/* Functions that the files of headroom-store offer each other, from the bottom up. */
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
    bool unguarded;
};

/* Reads the command line, whose texts the options then point into. Help, version and mistakes are printed here, and end
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

/* Makes a block larger or smaller, which is charged to the budget. NULL with errno: it stays as it is. */
void *memory_resize(hr_budget *budget, void *block, size_t size);

void memory_give(void *block);

/* ── objects.c: what is kept ────────────────────────────────────────────────────────────────────────────────────── */

#define KEY_MAX 200

/* A pinned object, in one piece. Readers see the old one or the new one, whole. The memory goes with the last of them:
 * one that is replaced while it is being sent stays until it is sent. */
struct object {
    UT_hash_handle hh;   /* in the pinned shelf's table */
    unsigned references; /* the table's, and of those that read it */
    uint64_t size_bytes; /* of the body */
    char key[KEY_MAX + 1];
    unsigned char bytes[];
};

/* The objects of one class, by key: in a cache of headroom's, from which they may be evicted, or in a table of
 * uthash's, in which they stay. */
struct shelf {
    const char *name;
    hr_budget *budget;
    hr_cache *cache;        /* NULL: the objects are kept, in what follows */
    struct object *objects; /* the table */
    uint64_t bytes;         /* of bodies, as clients count them */
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
int shelves_open(void);

void shelves_close(void);

/* A body's length, when the client does not say. */
#define LENGTH_UNKNOWN UINT64_MAX

/* The bytes that an object with a body of this size costs in all, nearly. */
uint64_t object_cost(const struct shelf *shelf, uint64_t size_bytes);

/* A body that is being written, by its writer alone: in a value that the cache has reserved, or in an object that no
 * table has. With a shelf and a key alone it has no room yet. */
struct draft {
    struct shelf *shelf;
    char key[KEY_MAX + 1];
    unsigned char *bytes; /* NULL: there is no room, or the object is on its shelf */
    uint64_t room_bytes;
    uint64_t size_bytes; /* of which are written */
    hr_cache_ref ref;
    struct object *object;
};

/* Gives it room for a body of this size, with what it has. A cache makes room for itself; else the ticket pays. Returns
 * 0, or a negative errno: then all is as it was. */
int draft_grow(struct draft *draft, hr_ticket *ticket, uint64_t room_bytes);

/* Puts the object on its shelf, in the place of one with the same key, and gives back the room that it did not need.
 * Returns 0; 1 if there was one; or a negative errno: it is still a draft then. */
int draft_put(struct draft *draft);

/* Gives back what it has. One that has nothing is fine. */
void draft_drop(struct draft *draft);

/* An object that is read: nobody writes to its bytes any more. */
struct loan {
    struct shelf *shelf;
    const unsigned char *bytes;
    uint64_t size_bytes;
    hr_cache_ref ref;
    struct object *object;
};

/* Finds an object; false: there is none. */
bool shelf_lend(struct shelf *shelf, const char *key, struct loan *ret_loan);

void loan_release(struct loan *loan);

/* Takes an object off the shelf; false if there is none. */
bool shelf_remove(struct shelf *shelf, const char *key);

void shelf_read(struct shelf *shelf, struct shelf_figures *ret_figures);

/* ── upload.c: a PUT, from its headers to the object on its shelf ───────────────────────────────────────────────── */

struct upload {
    struct draft draft;
    uint64_t length_bytes; /* LENGTH_UNKNOWN: counted as it comes, and admitted step by step */
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

/* ── answer.c: answers ──────────────────────────────────────────────────────────────────────────────────────────── */

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

/* Bytes of an object that are copied at a time, to be sent. */
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
