/* SPDX-License-Identifier: Apache-2.0 */
/* A budget per client: the simplest way to use headroom. NULL means "refuse this request".
 *
 * Each client gets a budget below the guard's root, and each block is allocated with the budget of the client that it
 * is for. A client that asks for too much reaches the limit of its own budget and is refused; all others are served.
 * Without budgets one greedy client fills the process, and the kernel kills it with the data of all clients. */
#include <headroom/headroom.h>
#include <stdio.h>
#include <string.h>

enum {
    CLIENTS = 8,
    REQUESTS = 256,
    REQUEST_BYTES = 64 << 10
};

struct client {
    hr_budget *budget;
    void *blocks[REQUESTS];
    unsigned served, refused;
};

/* A request that keeps its memory. False: answer "507 Insufficient Storage", and go on. */
static bool serve(struct client *client)
{
    char *block = hr_alloc(client->budget, REQUEST_BYTES);
    if (!block) {
        client->refused++;
        return false;
    }
    memset(block, 'x', REQUEST_BYTES);
    client->blocks[client->served++] = block;
    return true;
}

static void explain_refusal(void)
{
    hr_refusal refusal;
    char asked[16], left[16], limit[16];
    if (hr_budget_refusal(&refusal) == 0)
        printf("refused by %s: %s asked, %s of %s left\n", refusal.limit_name,
               hr_size_format(refusal.asked_bytes, asked, sizeof asked),
               hr_size_format(refusal.left_bytes, left, sizeof left),
               hr_size_format(refusal.limit_bytes, limit, sizeof limit));
}

int main(void)
{
    static struct client clients[CLIENTS];
    hr_guard *guard;
    hr_thresholds thresholds;
    if (hr_guard_new(NULL, &guard) != 0 || hr_guard_thresholds(guard, &thresholds) != 0)
        return 1;
    /* A share each, of what is used before the level leaves normal: so a full house is no alarm. */
    for (unsigned i = 0; i < CLIENTS; i++) {
        char name[16];
        snprintf(name, sizeof name, "client %u", i);
        uint64_t share = thresholds.warn_below_bytes / CLIENTS;
        if (hr_budget_new(hr_guard_root(guard), name, share, &clients[i].budget) != 0)
            return 1;
    }
    while (clients[0].served + clients[0].refused < REQUESTS) {
        if (!serve(&clients[0]) && clients[0].refused == 1)
            explain_refusal();
    }
    for (unsigned i = 1; i < CLIENTS; i++)
        serve(&clients[i]);
    unsigned others_refused = 0;
    for (unsigned i = 0; i < CLIENTS; i++) {
        others_refused += i ? clients[i].refused : 0;
        while (clients[i].served > 0)
            hr_free(clients[i].blocks[--clients[i].served]);
        hr_budget_free(clients[i].budget); /* 0: nothing is held any more */
    }
    printf("client 0: %u of %d refused; all others: %u refused\n", clients[0].refused, REQUESTS, others_refused);
    hr_guard_free(guard);
    return others_refused > 0;
}
