/* SPDX-License-Identifier: Apache-2.0 */
/* headroom-load: loads an object store and checks every byte that it gives back.
 *
 *     load.c         options, results
 *     load_keys.c    what was written where: keys, versions, contents, digests
 *     load_client.c  the connections: requests, answers, the read-back at the end
 */
#ifndef STORE_LOAD_H
#define STORE_LOAD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum load_class {
    LOAD_CACHE,
    LOAD_PINNED,
    LOAD_CLASSES
};

struct load_options {
    const char *url;
    unsigned connections;
    uint64_t min_bytes; /* sizes are log-uniform between these */
    uint64_t max_bytes;
    double cache_share; /* of the requests */
    double pinned_share;
    double read_share;
    uint64_t total_bytes; /* offered by writes, then the load ends */
    double max_seconds;
    uint64_t seed;
    uint64_t rate_bytes; /* each connection sends at most this a second; 0: as it can */
    double vanish;       /* probability that a client disappears in the middle of a body */
    bool burst;          /* no pause after a refusal */
    bool no_length;      /* bodies do not announce their length */
};

struct load_outcomes {
    uint64_t served;
    uint64_t refused_413;
    uint64_t refused_503;
    uint64_t refused_507;
    uint64_t missed; /* reads: the object is gone */
    uint64_t failed; /* no answer, or none of these */
};

/* Filled by load_run() and load_read_back(). */
struct load_results {
    bool alive; /* answers at the end */
    double seconds;
    struct load_outcomes writes[LOAD_CLASSES];
    struct load_outcomes reads;
    uint64_t vanished;
    uint64_t offered_bytes;
    uint64_t reads_wrong;
    uint64_t held_bytes[LOAD_CLASSES];
    uint64_t acknowledged[LOAD_CLASSES]; /* objects */
    uint64_t gone[LOAD_CLASSES];         /* acknowledged, and not there at the end */
    uint64_t wrong[LOAD_CLASSES];        /* there, with other bytes */
    uint64_t unread;                     /* not read back in time */
    uint32_t *latencies_us;              /* of served requests */
    size_t latency_count;
};

/* ── load_keys.c ────────────────────────────────────────────────────────────────────────────────────────────────── */

/* A version that a key may hold. Number 0: nothing. */
struct load_version {
    uint64_t size_bytes;
    uint32_t number;
};

struct load_key {
    struct load_version acknowledged;
    struct load_version pending; /* sent whole, but never answered: may be there or not */
    enum load_class class;
    bool busy; /* a request on it is under way: no other one is begun */
    bool gone; /* pinned, acknowledged, and once not there */
};

uint64_t load_random(void);     /* any value, from the seed */
double load_random_ratio(void); /* 0 to below 1 */
void load_random_seed(uint64_t seed);

/* Adds a key. SIZE_MAX if there is no memory. */
size_t load_key_add(enum load_class class);
struct load_key *load_key_at(size_t index);
size_t load_key_count(void);

/* A key of this class, or of any with LOAD_CLASSES, that is acknowledged and not busy; SIZE_MAX if none was found. */
size_t load_key_pick(enum load_class class);

/* Writes what the given version of a key has at `offset`. */
void load_content(size_t index, uint32_t version, uint64_t offset, char *buffer, size_t size);

/* Does a body of this size and digest belong to what the key may hold? */
bool load_matches(size_t index, uint64_t size_bytes, uint64_t digest);

/* ── load_client.c ──────────────────────────────────────────────────────────────────────────────────────────────── */

/* Runs the load: until all bytes are offered, time is up, or the server is gone. 0; -1 without memory. */
int load_run(const struct load_options *options, struct load_results *results);

/* Reads every acknowledged object back. */
int load_read_back(const struct load_options *options, struct load_results *results);

int64_t load_now_ns(void);

#endif
