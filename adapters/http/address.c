/* SPDX-License-Identifier: Apache-2.0 */
#include "http.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

/* Takes HOST:PORT apart; without brackets around the host. The port may be missing in a header. */
static bool split(const char *text, char host[HTTP_HOST_BYTES], const char **ret_port)
{
    const char *begin = text, *end, *rest;
    if (*text == '[') {
        begin = text + 1;
        end = strchr(begin, ']');
        rest = end ? end + 1 : NULL;
    } else {
        end = strrchr(text, ':');
        end = end ? end : text + strlen(text);
        rest = end;
    }
    if (!end || (*rest != ':' && *rest != '\0') || (size_t)(end - begin) >= HTTP_HOST_BYTES)
        return false;
    memcpy(host, begin, (size_t)(end - begin));
    host[end - begin] = '\0';
    *ret_port = *rest == ':' ? rest + 1 : "";
    return true;
}

static bool is_port(const char *text)
{
    unsigned port;
    char beyond;
    size_t length = strlen(text);
    return length > 0 && length <= 5 && strspn(text, "0123456789") == length &&
           sscanf(text, "%u%c", &port, &beyond) == 1 && port <= 65535;
}

static bool is_loopback(const struct sockaddr *address)
{
    if (address->sa_family == AF_INET) {
        const struct sockaddr_in *four = (const void *)address;
        return ntohl(four->sin_addr.s_addr) >> 24 == 127;
    }
    const struct sockaddr_in6 *six = (const void *)address;
    return address->sa_family == AF_INET6 && IN6_IS_ADDR_LOOPBACK(&six->sin6_addr);
}

int http_address_parse(const char *text, http_address *ret_address)
{
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM}, *found = NULL;
    const char *port;
    http_address address = {0};
    if (!split(text, address.host, &port) || !is_port(port))
        return -EINVAL;
    if (!*address.host)
        snprintf(address.host, sizeof address.host, "127.0.0.1");
    if (getaddrinfo(address.host, port, &hints, &found) != 0)
        return -EINVAL;
    memcpy(&address.socket, found->ai_addr, found->ai_addrlen);
    address.size = found->ai_addrlen;
    address.is_loopback = is_loopback(found->ai_addr);
    freeaddrinfo(found);
    *ret_address = address;
    return 0;
}

bool http_host_is_known(const char *value, const http_address *address)
{
    char host[HTTP_HOST_BYTES];
    const char *port;
    unsigned char bytes[sizeof(struct in6_addr)];
    if (!value || !split(value, host, &port) || (*port && !is_port(port)))
        return false;
    return inet_pton(AF_INET, host, bytes) == 1 || inet_pton(AF_INET6, host, bytes) == 1 ||
           strcasecmp(host, "localhost") == 0 || strcasecmp(host, address->host) == 0;
}

bool http_origin_is_own(const char *origin, const char *host)
{
    static const char scheme[] = "http://";
    if (!origin)
        return true;
    return host && strncmp(origin, scheme, sizeof scheme - 1) == 0 && strcasecmp(origin + sizeof scheme - 1, host) == 0;
}

bool http_token_is(const char *token, const char *given)
{
    size_t length = strlen(token), other = given ? strlen(given) : 0;
    unsigned char difference = length != other;
    for (size_t i = 0; i < other; i++)
        difference |= (unsigned char)(given[i] ^ token[i % length]);
    return difference == 0;
}
