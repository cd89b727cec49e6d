/* SPDX-License-Identifier: Apache-2.0 */
/* The HTTP side: GNU libmicrohttpd on one thread of its own. */
#ifndef STORE_HTTP_H
#define STORE_HTTP_H

#include <stdbool.h>

#include "objects.h"

enum {
    SHELF_CACHE,
    SHELF_PINNED,
    SHELF_COUNT
};

/* Starts to serve the shelves on a listening socket, which belongs to the server from now on.
 *
 * returns  0; -1 if the server cannot start
 * undo     http_close()
 */
int http_open(int listener, struct shelf shelves[SHELF_COUNT], unsigned max_connections);

/* Stops accepting; connections end after the request that they are in. */
void http_drain(void);

/* How many requests are begun and not yet answered to the last byte. */
unsigned http_in_flight(void);

/* Ends all connections. */
void http_close(void);

#endif
