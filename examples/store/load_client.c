/* SPDX-License-Identifier: Apache-2.0 */
/* The load itself: some connections, each with one request at a time, on one thread by libcurl's multi interface.
 *
 * Each connection is idle, paused until `wake_ns`, or has its handle in the multi. A write becomes `acknowledged` by a
 * 2xx answer only; sent whole and not answered it is `pending`, and either version is right from then on.
 */
#include "load.h"

#include <curl/curl.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <xxhash.h>

#define OVERWRITE_PROBABILITY 0.05
#define PAUSE_NS INT64_C(10000000) /* after a refusal */
#define REQUEST_TIMEOUT_MS 30000
#define READ_BACK_NS INT64_C(60000000000)

struct connection {
    CURL *easy;
    XXH3_state_t *digest; /* of what is read */
    size_t key;
    struct load_version version; /* written; number 0: this is a read */
    uint64_t moved_bytes;        /* sent or received so far */
    uint64_t vanish_bytes;       /* the client disappears here; UINT64_MAX: it does not */
    int64_t began_ns;
    int64_t wake_ns;
    bool active;
};

struct client {
    const struct load_options *options;
    struct load_results *results;
    CURLM *multi;
    struct curl_slist *headers;
    struct connection *connections;
    size_t latency_capacity;
    size_t next_read_back; /* key; SIZE_MAX while the load runs */
    bool dead;
};

int64_t load_now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * INT64_C(1000000000) + now.tv_nsec;
}

/* ── bodies ─────────────────────────────────────────────────────────────────────────────────────────────────────── */

static size_t on_send(char *buffer, size_t size, size_t count, void *context)
{
    struct connection *connection = context;
    uint64_t left = connection->version.size_bytes - connection->moved_bytes;
    size_t part = size * count < left ? size * count : (size_t)left;
    if (connection->moved_bytes + part > connection->vanish_bytes)
        return CURL_READFUNC_ABORT;
    load_content(connection->key, connection->version.number, connection->moved_bytes, buffer, part);
    connection->moved_bytes += part;
    return part;
}

/* libcurl starts a body again when the kept connection that it chose turned out to be closed. */
static int on_seek(void *context, curl_off_t offset, int origin)
{
    struct connection *connection = context;
    if (origin != SEEK_SET)
        return CURL_SEEKFUNC_CANTSEEK;
    connection->moved_bytes = (uint64_t)offset;
    return CURL_SEEKFUNC_OK;
}

static size_t on_receive(char *buffer, size_t size, size_t count, void *context)
{
    struct connection *connection = context;
    if (connection->version.number == 0) {
        XXH3_64bits_update(connection->digest, buffer, size * count);
        connection->moved_bytes += size * count;
    }
    return size * count;
}

/* ── beginning a request ────────────────────────────────────────────────────────────────────────────────────────── */

static bool start(struct client *client, struct connection *connection)
{
    const struct load_options *options = client->options;
    char url[512];
    snprintf(url, sizeof url, "%s/%s/k%zu", options->url,
             load_key_at(connection->key)->class == LOAD_PINNED ? "pinned" : "cache", connection->key);
    CURL *easy = connection->easy;
    curl_easy_reset(easy);
    curl_easy_setopt(easy, CURLOPT_URL, url);
    curl_easy_setopt(easy, CURLOPT_PRIVATE, connection);
    curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(easy, CURLOPT_PROXY, "");
    curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, (long)REQUEST_TIMEOUT_MS);
    curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_receive);
    curl_easy_setopt(easy, CURLOPT_WRITEDATA, connection);
    connection->moved_bytes = 0;
    if (connection->version.number) {
        curl_easy_setopt(easy, CURLOPT_UPLOAD, 1L);
        curl_easy_setopt(easy, CURLOPT_READFUNCTION, on_send);
        curl_easy_setopt(easy, CURLOPT_READDATA, connection);
        curl_easy_setopt(easy, CURLOPT_SEEKFUNCTION, on_seek);
        curl_easy_setopt(easy, CURLOPT_SEEKDATA, connection);
        curl_easy_setopt(easy, CURLOPT_HTTPHEADER, client->headers);
        curl_easy_setopt(easy, CURLOPT_EXPECT_100_TIMEOUT_MS, 5000L);
        if (!options->no_length)
            curl_easy_setopt(easy, CURLOPT_INFILESIZE_LARGE, (curl_off_t)connection->version.size_bytes);
        if (options->rate_bytes)
            curl_easy_setopt(easy, CURLOPT_MAX_SEND_SPEED_LARGE, (curl_off_t)options->rate_bytes);
    } else {
        XXH3_64bits_reset(connection->digest);
    }
    connection->began_ns = load_now_ns();
    connection->active = curl_multi_add_handle(client->multi, easy) == CURLM_OK;
    load_key_at(connection->key)->busy = connection->active;
    return connection->active;
}

static bool start_write(struct client *client, struct connection *connection, enum load_class class)
{
    const struct load_options *options = client->options;
    size_t index = load_random_ratio() < OVERWRITE_PROBABILITY ? load_key_pick(class) : SIZE_MAX;
    if (index == SIZE_MAX)
        index = load_key_add(class);
    if (index == SIZE_MAX)
        return false;
    double spread = log((double)options->max_bytes / (double)options->min_bytes);
    uint64_t size = (uint64_t)((double)options->min_bytes * exp(load_random_ratio() * spread));
    bool vanishes = load_random_ratio() < options->vanish;
    static uint32_t versions;
    connection->key = index;
    connection->version = (struct load_version){.size_bytes = size, .number = ++versions};
    connection->vanish_bytes = vanishes ? (uint64_t)(load_random_ratio() * (double)size) : UINT64_MAX;
    client->results->offered_bytes += size;
    return start(client, connection);
}

static bool start_read(struct client *client, struct connection *connection, size_t index)
{
    connection->key = index;
    connection->version = (struct load_version){0};
    return start(client, connection);
}

/* Begins what comes next on an idle connection; false if nothing does. */
static bool start_next(struct client *client, struct connection *connection)
{
    const struct load_options *options = client->options;
    if (client->next_read_back != SIZE_MAX) {
        while (client->next_read_back < load_key_count()) {
            size_t index = client->next_read_back++;
            const struct load_key *key = load_key_at(index);
            if (key->acknowledged.number || key->pending.number)
                return start_read(client, connection, index);
        }
        return false;
    }
    if (client->results->offered_bytes >= options->total_bytes)
        return false;
    double writes = options->cache_share + options->pinned_share;
    bool reads = load_random_ratio() * (writes + options->read_share) >= writes;
    size_t index = reads ? load_key_pick(LOAD_CLASSES) : SIZE_MAX;
    if (index != SIZE_MAX)
        return start_read(client, connection, index);
    bool pinned = load_random_ratio() * writes >= options->cache_share;
    return start_write(client, connection, pinned ? LOAD_PINNED : LOAD_CACHE);
}

/* ── ending a request ───────────────────────────────────────────────────────────────────────────────────────────── */

static void note_latency(struct client *client, const struct connection *connection)
{
    struct load_results *results = client->results;
    if (results->latency_count == client->latency_capacity) {
        size_t capacity = client->latency_capacity ? client->latency_capacity * 2 : 4096;
        uint32_t *grown = realloc(results->latencies_us, capacity * sizeof *grown);
        if (!grown)
            return;
        results->latencies_us = grown;
        client->latency_capacity = capacity;
    }
    results->latencies_us[results->latency_count++] = (uint32_t)((load_now_ns() - connection->began_ns) / 1000);
}

static void count_refusal(struct load_outcomes *outcomes, long status)
{
    uint64_t *counter = status == 413   ? &outcomes->refused_413
                        : status == 503 ? &outcomes->refused_503
                        : status == 507 ? &outcomes->refused_507
                                        : &outcomes->failed;
    (*counter)++;
}

static void end_write(struct client *client, struct connection *connection, long status)
{
    struct load_key *key = load_key_at(connection->key);
    struct load_outcomes *outcomes = &client->results->writes[key->class];
    if (status >= 200 && status < 300) {
        key->acknowledged = connection->version;
        key->pending = (struct load_version){0};
        outcomes->served++;
        note_latency(client, connection);
    } else if (connection->vanish_bytes != UINT64_MAX && status == 0) {
        client->results->vanished++;
    } else {
        if (status == 0 && connection->moved_bytes == connection->version.size_bytes)
            key->pending = connection->version;
        count_refusal(outcomes, status);
        if (!client->options->burst)
            connection->wake_ns = load_now_ns() + PAUSE_NS;
    }
}

static void end_read_back(struct client *client, struct connection *connection, long status, bool right)
{
    struct load_results *results = client->results;
    const struct load_key *key = load_key_at(connection->key);
    bool acknowledged = key->acknowledged.number;
    if (right)
        results->held_bytes[key->class] += connection->moved_bytes;
    if (status == 200 && !right)
        results->wrong[key->class]++;
    else if (acknowledged && (status == 404 || key->gone))
        results->gone[key->class]++;
    else if (status != 200 && status != 404)
        results->unread++;
}

static void end_read(struct client *client, struct connection *connection, long status, CURLcode code)
{
    struct load_results *results = client->results;
    struct load_key *key = load_key_at(connection->key);
    if (code != CURLE_OK)
        status = 0; /* a body that broke off is no answer */
    bool right =
        status == 200 && load_matches(connection->key, connection->moved_bytes, XXH3_64bits_digest(connection->digest));
    if (client->next_read_back != SIZE_MAX) {
        end_read_back(client, connection, status, right);
    } else if (status == 200) {
        results->reads.served++;
        results->reads_wrong += !right;
        note_latency(client, connection);
    } else if (status == 404) {
        results->reads.missed++;
        key->gone = key->class == LOAD_PINNED;
    } else {
        count_refusal(&results->reads, status);
    }
}

static void end_request(struct client *client, struct connection *connection, CURLcode code)
{
    long status = 0;
    curl_easy_getinfo(connection->easy, CURLINFO_RESPONSE_CODE, &status);
    if (status < 200)
        status = 0; /* only "100 Continue" came */
    curl_multi_remove_handle(client->multi, connection->easy);
    connection->active = false;
    load_key_at(connection->key)->busy = false;
    client->dead |= code == CURLE_COULDNT_CONNECT;
    if (connection->version.number)
        end_write(client, connection, status);
    else
        end_read(client, connection, status, code);
}

/* ── the loop ───────────────────────────────────────────────────────────────────────────────────────────────────── */

/* Begins on every connection that can; returns how many are active or paused. */
static unsigned start_idle(struct client *client)
{
    unsigned alive = 0;
    int64_t now = load_now_ns();
    for (unsigned i = 0; i < client->options->connections; i++) {
        struct connection *connection = &client->connections[i];
        if (!connection->active && connection->wake_ns <= now)
            start_next(client, connection);
        alive += connection->active || connection->wake_ns > now;
    }
    return alive;
}

static void loop(struct client *client, int64_t deadline_ns)
{
    while (!client->dead && load_now_ns() < deadline_ns && start_idle(client) > 0) {
        int running, left;
        curl_multi_perform(client->multi, &running);
        const CURLMsg *message;
        bool ended = false;
        while ((message = curl_multi_info_read(client->multi, &left))) {
            struct connection *connection;
            CURLcode code = message->data.result;
            curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, &connection);
            end_request(client, connection, code);
            ended = true;
        }
        if (!ended)
            curl_multi_poll(client->multi, NULL, 0, 5, NULL);
    }
    for (unsigned i = 0; i < client->options->connections; i++)
        if (client->connections[i].active)
            end_request(client, &client->connections[i], CURLE_ABORTED_BY_CALLBACK);
}

static void client_close(struct client *client)
{
    for (unsigned i = 0; client->connections && i < client->options->connections; i++) {
        curl_easy_cleanup(client->connections[i].easy);
        XXH3_freeState(client->connections[i].digest);
    }
    free(client->connections);
    curl_slist_free_all(client->headers);
    curl_multi_cleanup(client->multi);
}

static bool client_open(struct client *client)
{
    client->multi = curl_multi_init();
    client->headers = curl_slist_append(NULL, "Expect: 100-continue");
    client->connections = calloc(client->options->connections, sizeof *client->connections);
    if (!client->multi || !client->headers || !client->connections)
        return false;
    curl_multi_setopt(client->multi, CURLMOPT_MAXCONNECTS, (long)client->options->connections);
    for (unsigned i = 0; i < client->options->connections; i++) {
        client->connections[i].easy = curl_easy_init();
        client->connections[i].digest = XXH3_createState();
        if (!client->connections[i].easy || !client->connections[i].digest)
            return false;
    }
    return true;
}

static int run(struct client *client, int64_t for_ns)
{
    bool open = client_open(client);
    if (open)
        loop(client, load_now_ns() + for_ns);
    client_close(client);
    return open ? 0 : -1;
}

int load_run(const struct load_options *options, struct load_results *results)
{
    struct client client = {.options = options, .results = results, .next_read_back = SIZE_MAX};
    int64_t began = load_now_ns();
    int error = run(&client, (int64_t)(options->max_seconds * 1e9));
    results->seconds = (double)(load_now_ns() - began) / 1e9;
    results->alive = !client.dead;
    return error;
}

int load_read_back(const struct load_options *options, struct load_results *results)
{
    struct client client = {.options = options, .results = results};
    for (size_t i = 0; i < load_key_count(); i++)
        results->acknowledged[load_key_at(i)->class] += load_key_at(i)->acknowledged.number > 0;
    int error = results->alive ? run(&client, READ_BACK_NS) : 0;
    results->alive &= !client.dead;
    /* Whatever is only in a server that is gone, is gone. */
    for (size_t i = client.next_read_back; i < load_key_count(); i++) {
        const struct load_key *key = load_key_at(i);
        results->gone[key->class] += key->acknowledged.number && !results->alive;
        results->unread += key->acknowledged.number && results->alive;
    }
    return error;
}
