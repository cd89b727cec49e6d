/* SPDX-License-Identifier: Apache-2.0 */
/* Addresses and requests: address.c judges who may ask. Pure, except for the resolver. */
#ifndef HTTP_HTTP_H
#define HTTP_HTTP_H

#include <headroom/http.h>
#include <stdbool.h>
#include <sys/socket.h>

#define HTTP_HOST_BYTES 256

/* Where a server listens. */
typedef struct http_address {
    struct sockaddr_storage socket;
    socklen_t size;
    char host[HTTP_HOST_BYTES]; /* as it was written, without brackets */
    bool is_loopback;
} http_address;

/* Reads HOST:PORT, [HOST]:PORT or :PORT. Gives 0 or -EINVAL. */
int http_address_parse(const char *text, http_address *ret_address);

/* May a request name that host, the value of its header? An address, localhost, or the host that is listened on. */
bool http_host_is_known(const char *value, const http_address *address);

/* Does a request come from a page of ours: without an Origin, or with one that is its Host? */
bool http_origin_is_own(const char *origin, const char *host);

/* In a time that does not tell where they differ. */
bool http_token_is(const char *token, const char *given);

#endif
