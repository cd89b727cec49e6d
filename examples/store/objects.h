/* SPDX-License-Identifier: Apache-2.0 */
/* The objects of one class, by key, in the order of their use.
 *
 * An object is made and filled by its writer alone, then put on the shelf in one step: readers see the old one or the
 * new one, whole. Whoever holds a reference may read; the memory goes with the last reference, so that an object that
 * was evicted or replaced while it is being sent stays until it is sent.
 */
#ifndef STORE_OBJECTS_H
#define STORE_OBJECTS_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "body.h"

#define KEY_MAX 200

struct object {
    struct object *next_in_bucket;
    struct object *newer; /* the order of use, while it is on the shelf */
    struct object *older;
    struct body body;
    uint32_t references; /* readers, and the shelf; under the shelf's lock once it is there */
    uint32_t hash;
    uint8_t key_size;
    char key[];
};

struct shelf_figures {
    uint64_t objects;
    uint64_t bytes; /* of bodies, as clients count them */
    uint64_t evictions;
};

struct shelf {
    const char *name;
    hr_budget *budget;
    bool yields;          /* its objects may be evicted */
    pthread_mutex_t lock; /* never held across a call that can run relief: the reclaimer takes it */
    struct object **buckets;
    uint32_t bucket_mask;
    struct object *newest;
    struct object *oldest;
    struct shelf_figures figures;
};

/* Prepares an empty shelf whose objects are charged to `budget` (NULL when unguarded), and evicted if it `yields`.
 *
 * returns  0; -ENOMEM, -EDQUOT
 * undo     shelf_close()
 */
int shelf_open(struct shelf *shelf, const char *name, hr_budget *budget, bool yields);

/* Frees all objects; nobody may hold one. */
void shelf_close(struct shelf *shelf);

/* What an object costs in all. `body_bytes` may be BODY_LENGTH_UNKNOWN: then the body is not counted. */
uint64_t object_cost(size_t key_size, uint64_t body_bytes);

/* Makes an object without a body, paid by the ticket. NULL with errno EDQUOT or ENOMEM. */
struct object *object_new(hr_ticket *ticket, const char *key, size_t key_size);

/* Frees an object that never came on a shelf. */
void object_free(struct object *object);

/* Puts an object on the shelf, which owns it from now on, in the place of the one with the same key.
 *
 * returns  whether there was one
 */
bool shelf_put(struct shelf *shelf, struct object *object);

/* Finds an object and makes it the newest. The reference is given back by shelf_release(). NULL: there is none. */
struct object *shelf_get(struct shelf *shelf, const char *key, size_t key_size);

void shelf_release(struct shelf *shelf, struct object *object);

/* Takes an object off the shelf; false if there is none. */
bool shelf_remove(struct shelf *shelf, const char *key, size_t key_size);

/* How a cache yields, as a hr_reclaim_fn whose context is the shelf: evicts the least recently used until `want_bytes`
 * are free or CLOCK_MONOTONIC passes `deadline_ns`. Objects that are being sent stay: to take them off would free
 * nothing. Nothing expires here, so the janitor, who wants 0 bytes, is given none.
 *
 * returns  bytes freed, with all that the objects cost
 * threads  any
 */
uint64_t shelf_yield(void *shelf, uint64_t want_bytes, int64_t deadline_ns);

void shelf_read(struct shelf *shelf, struct shelf_figures *ret_figures);

#endif
