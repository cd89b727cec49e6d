/* SPDX-License-Identifier: Apache-2.0 */
/* page_guard FILE: a guard with budgets, a pool and a cache, one budget with HTML in its name. Its page is served, and
 * written to FILE; the port is printed, and it goes on until its input ends. PAGE_GUARD_HISTORY: its history file.
 * PAGE_GUARD_FILL: its limit is that of the kernel, and it holds all that it is granted. */
#include <headroom/headroom.h>
#include <headroom/http.h>

#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define MIB (UINT64_C(1) << 20)

static bool write_page(hr_guard *guard, const char *path)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    int error = fd < 0 ? -1 : hr_report_write(guard, HR_HTML, fd);
    if (fd >= 0)
        close(fd);
    return error == 0;
}

/* A quarter of a second at a time, use goes up and down; now and then more is asked for than there is. */
static void live(hr_budget *budget)
{
    struct pollfd input = {.fd = STDIN_FILENO, .events = POLLIN};
    uint64_t held = 0;
    for (unsigned i = 0; poll(&input, 1, 250) == 0; i++) {
        uint64_t wanted = (10 + i * 7 % 40) * MIB;
        if (wanted > held && hr_budget_charge(budget, wanted - held) != 0)
            continue;
        if (wanted < held)
            hr_budget_uncharge(budget, held - wanted);
        held = wanted;
        if (i % 8 == 7 && hr_budget_charge(budget, 200 * MIB) == 0)
            abort();
    }
    hr_budget_uncharge(budget, held);
}

/* Holds all that is granted, so that the level is critical, until its input ends. */
static void fill(hr_guard *guard)
{
    struct pollfd input = {.fd = STDIN_FILENO, .events = POLLIN};
    void *list = NULL, *block;
    do {
        while ((block = hr_alloc(hr_guard_root(guard), 64 << 10))) {
            memset(block, 1, 64 << 10);
            memcpy(block, &list, sizeof list);
            list = block;
        }
    } while (poll(&input, 1, 20) == 0);
    while (list) {
        block = list;
        memcpy(&list, block, sizeof list);
        hr_free(block);
    }
}

int main(int count, char **words)
{
    bool fills = getenv("PAGE_GUARD_FILL") != NULL;
    hr_guard_options options = {
        .limit_bytes = fills ? HR_NONE : 64 * MIB, .share_lease = -1, .history_file = getenv("PAGE_GUARD_HISTORY")};
    hr_budget *strange, *plain;
    hr_guard *guard;
    hr_byte_pool *pool;
    hr_cache *cache;
    hr_http *http;
    if (count != 2 || hr_guard_new(&options, &guard) != 0)
        return 1;
    if (hr_budget_new(hr_guard_root(guard), "</script><script>document.title=1</script>", 8 * MIB, &strange) != 0 ||
        hr_budget_new(hr_guard_root(guard), "plain", HR_NONE, &plain) != 0 ||
        hr_byte_pool_new(guard, &(hr_byte_pool_options){.name = "bodies", .size_bytes = 4096, .budget = plain},
                         &pool) ||
        hr_cache_new(guard, &(hr_cache_options){.name = "pages"}, &cache) != 0 ||
        hr_budget_charge(strange, 7 * MIB) != 0)
        return 1;
    void *block = hr_byte_pool_get(pool, 4096);
    int error = hr_cache_put(cache, "key", 3, "value", 5, 0);
    hr_guard_check(guard);
    hr_history_record(guard);
    hr_http_options page = {.address = "127.0.0.1:0", .token = getenv("HEADROOM_HTTP_TOKEN")};
    if (error || !block || hr_http_start(guard, &page, &http) != 0)
        return 1;
    printf("%u %s\n", hr_http_port(http), write_page(guard, words[1]) ? "written" : "no page");
    fflush(stdout);
    if (fills)
        fill(guard);
    else
        live(plain);
    hr_http_stop(http);
    hr_byte_pool_put(pool, block);
    hr_budget_uncharge(strange, 7 * MIB);
    error = hr_byte_pool_free(pool) | hr_cache_free(cache) | hr_budget_free(plain) | hr_budget_free(strange);
    hr_guard_free(guard);
    return error != 0;
}
