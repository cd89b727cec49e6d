/* SPDX-License-Identifier: Apache-2.0 */
/* Asks the kernel by sock_diag(7), which needs no privilege. The answers come in messages of one socket each. */
#define _GNU_SOURCE
#include "os/sockets.h"

#include "base/checked.h"
#include "os/file.h"

#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <linux/sock_diag.h>
#include <linux/unix_diag.h>
#include <stdbool.h>
#include <string.h>
#include <sys/socket.h>

#define ANSWER_BYTES 8192 /* the kernel's largest: a longer one would be cut, and the sum would end there */

uint64_t hri_sockets_queued_in(int fd)
{
    uint32_t figures[SK_MEMINFO_VARS] = {0};
    int domain = 0;
    socklen_t length = sizeof domain;
    if (getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &length) != 0 || domain != AF_UNIX)
        return 0;
    length = sizeof figures;
    return getsockopt(fd, SOL_SOCKET, SO_MEMINFO, figures, &length) == 0 ? figures[SK_MEMINFO_WMEM_ALLOC] : 0;
}

static bool ask(int fd)
{
    struct {
        struct nlmsghdr head;
        struct unix_diag_req what;
    } question = {
        .head = {sizeof question, SOCK_DIAG_BY_FAMILY, NLM_F_REQUEST | NLM_F_DUMP, 0, 0},
        .what = {.sdiag_family = AF_UNIX, .udiag_states = ~0u, .udiag_show = UDIAG_SHOW_MEMINFO},
    };
    return send(fd, &question, sizeof question, 0) == (ssize_t)sizeof question;
}

/* Gives the figure of a message of `size` bytes about one socket. The fixed part is followed by attributes. */
static uint64_t queued_by(const char *message, size_t size, const hri_numbers *numbers)
{
    uint32_t figures[SK_MEMINFO_VARS] = {0};
    struct unix_diag_msg is;
    struct rtattr fact;
    if (size < NLMSG_SPACE(sizeof is))
        return 0;
    memcpy(&is, message + NLMSG_HDRLEN, sizeof is);
    if (!hri_numbers_have(numbers, is.udiag_ino))
        return 0;
    for (size_t at = NLMSG_SPACE(sizeof(struct unix_diag_msg)); at + sizeof fact <= size;
         at += RTA_ALIGN(fact.rta_len)) {
        memcpy(&fact, message + at, sizeof fact);
        if (fact.rta_len < sizeof fact || fact.rta_len > size - at)
            break;
        if (fact.rta_type == UNIX_DIAG_MEMINFO)
            memcpy(figures, message + at + sizeof fact, hri_min(fact.rta_len - sizeof fact, sizeof figures));
    }
    return figures[SK_MEMINFO_WMEM_ALLOC];
}

/* Adds an answer of one or more messages. Gives whether more come. */
static bool add_answer(const char *answer, size_t size, const hri_numbers *numbers, uint64_t *bytes)
{
    struct nlmsghdr head;
    for (size_t at = 0; at + sizeof head <= size; at += NLMSG_ALIGN(head.nlmsg_len)) {
        memcpy(&head, answer + at, sizeof head);
        if (head.nlmsg_type != SOCK_DIAG_BY_FAMILY || head.nlmsg_len < sizeof head || head.nlmsg_len > size - at)
            return false;
        *bytes = hri_add(*bytes, queued_by(answer + at, head.nlmsg_len, numbers));
    }
    return true;
}

uint64_t hri_sockets_queued(const hri_numbers *numbers)
{
    char answer[ANSWER_BYTES];
    uint64_t bytes = 0;
    int fd = socket(AF_NETLINK, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_SOCK_DIAG);
    ssize_t got = fd >= 0 && ask(fd) ? recv(fd, answer, sizeof answer, 0) : 0;
    while (got > 0 && add_answer(answer, (size_t)got, numbers, &bytes))
        got = recv(fd, answer, sizeof answer, 0);
    hri_file_close(fd);
    return bytes;
}
