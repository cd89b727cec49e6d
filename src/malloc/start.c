/* SPDX-License-Identifier: Apache-2.0 */
/* Before main(): the words of the environment, and the account. A value that cannot be meant is reported on standard
 * error, and the program goes on as if the variable were not set. A library that is loaded into every program of a tree
 * must not end one for a typing error. */
#include "heap/heap.h"
#include "malloc/account.h"
#include "malloc/link.h"
#include "malloc/say.h"
#include "malloc/within.h"

#include <headroom/base.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define SECOND_NS INT64_C(1000000000)
#define WAIT_SECONDS 10
#define WAIT_SECONDS_MAX 86400

static bool commit(void *context, uint64_t bytes)
{
    (void)context;
    return hri_account_charge(bytes, true);
}

static bool try_commit(void *context, uint64_t bytes)
{
    (void)context;
    return hri_account_charge(bytes, false);
}

static void decommitted(void *context, uint64_t bytes)
{
    (void)context;
    hri_account_uncharge(bytes);
}

static void unneeded(void *context, uint64_t bytes)
{
    (void)context;
    hri_account_return(bytes);
}

static bool read_limit(const char *text, uint64_t *ret_bytes)
{
    uint64_t bytes;
    if (hr_size_parse(text, &bytes) != 0) {
        hri_say("HEADROOM_LIMIT='%.64s' is no size: write for example HEADROOM_LIMIT=400M%s; this program has no limit",
                text, strchr(text, '%') ? ", or 'headroom run --limit 80%'" : "");
        return false;
    }
    if (bytes < HRI_ACCOUNT_LIMIT_MIN) {
        hri_say("HEADROOM_LIMIT='%.64s' is too small: write at least %s; this program has no limit", text,
                hri_say_size(HRI_ACCOUNT_LIMIT_MIN).text);
        return false;
    }
    *ret_bytes = bytes;
    return true;
}

static hri_malloc_on_limit read_on_limit(const char *text)
{
    static const char *const words[] = {"fail", "wait", "freeze", "abort"};
    for (size_t i = 0; text && i < sizeof words / sizeof *words; i++)
        if (strcmp(text, words[i]) == 0)
            return (hri_malloc_on_limit)i;
    if (text && *text)
        hri_say("HEADROOM_ON_LIMIT='%.64s' is not known: there are fail, wait, freeze and abort; fail is taken", text);
    return HRI_MALLOC_FAIL;
}

static int64_t read_wait(const char *text)
{
    if (!text || !*text)
        return WAIT_SECONDS * SECOND_NS;
    char *end;
    errno = 0;
    unsigned long seconds = strtoul(text, &end, 10);
    if (*text >= '0' && *text <= '9' && !*end && !errno && seconds <= WAIT_SECONDS_MAX)
        return (int64_t)seconds * SECOND_NS;
    hri_say("HEADROOM_WAIT_SECONDS='%.64s' is no number of seconds from 0 to %d: %d is taken", text, WAIT_SECONDS_MAX,
            WAIT_SECONDS);
    return WAIT_SECONDS * SECOND_NS;
}

/* Under `headroom run` the limit is the tree's. */
static hri_malloc_page *find_page(void)
{
    const char *where = getenv(HRI_MALLOC_RUN_VARIABLE), *why;
    if (!where || !*where)
        return NULL;
    hri_malloc_page *page = hri_link_open(where, &why);
    if (!page && why)
        hri_say("process %d is not held by the limit of the tree: %s", (int)getpid(), why);
    return page;
}

static void open_account(void)
{
    hri_account_terms terms = {.limit_bytes = UINT64_MAX};
    hri_malloc_page *page = find_page();
    const char *limit = getenv("HEADROOM_LIMIT");
    if (!page && (!limit || !*limit || strcmp(limit, "none") == 0 || !read_limit(limit, &terms.limit_bytes)))
        return;
    if (!page) {
        terms.on_limit = read_on_limit(getenv("HEADROOM_ON_LIMIT"));
        terms.wait_ns = read_wait(getenv("HEADROOM_WAIT_SECONDS"));
    }
    if (!hri_account_open(page, &terms)) {
        hri_say("process %d is not held by the limit of the tree: there are %d processes already", (int)getpid(),
                HRI_MALLOC_SLOTS);
        return;
    }
    const hri_heap_hooks hooks = {
        .commit = commit, .try_commit = try_commit, .decommitted = decommitted, .unneeded = unneeded};
    hri_heap_hook(&hooks);
    if (page)
        hri_link_enter();
}

static __attribute__((constructor(101))) void start(void)
{
    int saved = errno;
    hri_fork_handle();
    hri_within_begin();
    hri_account_bound_idle(UINT64_MAX);
    open_account();
    hri_within_end();
    errno = saved;
}
