/* SPDX-License-Identifier: Apache-2.0 */
/* The steps of a charge:
 *
 *     fits             done: page.h has the three steps
 *     does not fit     tells the other processes that somebody is short; gives back idle pages of this one; tries again
 *     still does not   fail: a small one is served from the reserve, if it is open; else it is refused, and the
 *                            reserve opens
 *                      wait: sleeps on the gate until bytes come back or the time is over; then as above
 *                      freeze: the process stops itself; each SIGCONT allows it an eighth of the limit more, or
 *                              twice the request
 *                      abort: says so and aborts
 *
 * The reserve is charged from the start, so what is taken from it is within the limit. Bytes that come back fill it
 * first.
 *
 * A forked child starts with nothing charged: its pages are its parent's until it writes to them, and the kernel copies
 * them then without asking anybody. Pages that it gives back count as inherited until as many have come back as it
 * inherited. A child that ran no handlers (a bare clone()) is recognised by a page that the kernel clears in a child.
 */
#include "malloc/account.h"

#include "base/checked.h"
#include "heap/heap.h"
#include "malloc/raw.h"
#include "malloc/say.h"
#include "malloc/slots.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#define SECOND_NS INT64_C(1000000000)
#define IDLE_BYTES ((uint64_t)1 << 20)
#define SETTLE_NS (SECOND_NS / 10)
#define SPARE_NS (SECOND_NS / 100)

static hri_malloc_page own_page; /* where there is no supervisor */
static hri_malloc_page *_Atomic page;
static unsigned slot;
static _Atomic(_Atomic uint32_t *) mark; /* 1; 0 in a child that the kernel made */
static _Atomic uint64_t inherited_bytes;
static _Atomic uint64_t reserve_bytes; /* what is left of it */
static atomic_bool reserve_open;
static _Atomic uint32_t seen_shortages;

/* Is this thread giving pages back, or asking others to? That needs no charge of its own. */
static __attribute__((tls_model("initial-exec"))) _Thread_local bool relieving;

hri_malloc_page *hri_account_page(void)
{
    return atomic_load_explicit(&page, memory_order_acquire);
}

unsigned hri_account_slot(void)
{
    return slot;
}

/* ── charging ───────────────────────────────────────────────────────────────────────────────────────────────────── */

static void note_peak(hri_malloc_page *p, uint64_t used)
{
    uint64_t peak = atomic_load_explicit(&p->peak_bytes, memory_order_relaxed);
    while (used > peak && !atomic_compare_exchange_weak_explicit(&p->peak_bytes, &peak, used, memory_order_relaxed,
                                                                 memory_order_relaxed))
        ;
}

/* Adds to `used` unless that would pass the limit. */
static bool add_used(hri_malloc_page *p, uint64_t bytes, uint64_t limit)
{
    uint64_t used = atomic_load_explicit(&p->used_bytes, memory_order_relaxed);
    do {
        if (bytes > limit || used > limit - bytes)
            return false;
    } while (!atomic_compare_exchange_weak_explicit(&p->used_bytes, &used, used + bytes, memory_order_relaxed,
                                                    memory_order_relaxed));
    note_peak(p, used + bytes);
    return true;
}

static bool charge_within(hri_malloc_page *p, uint64_t bytes, uint64_t limit)
{
    hri_malloc_slot *mine = &p->slots[slot];
    atomic_fetch_add_explicit(&mine->intent_bytes, bytes, memory_order_seq_cst);
    bool fits = add_used(p, bytes, limit);
    if (fits)
        atomic_fetch_add_explicit(&mine->charged_bytes, bytes, memory_order_seq_cst);
    atomic_fetch_sub_explicit(&mine->intent_bytes, bytes, memory_order_seq_cst);
    return fits;
}

static bool charge(hri_malloc_page *p, uint64_t bytes)
{
    return charge_within(p, bytes, atomic_load_explicit(&p->limit_bytes, memory_order_relaxed));
}

/* Opens the gate for those who wait. */
static void open_gate(hri_malloc_page *p)
{
    if (atomic_load_explicit(&p->waiters, memory_order_seq_cst) == 0)
        return;
    atomic_fetch_add_explicit(&p->gate, 1, memory_order_seq_cst);
    hri_raw_futex_wake(&p->gate);
}

static void uncharge(hri_malloc_page *p, uint64_t bytes)
{
    hri_malloc_slot *mine = &p->slots[slot];
    atomic_fetch_add_explicit(&mine->intent_bytes, bytes, memory_order_seq_cst);
    atomic_fetch_sub_explicit(&mine->charged_bytes, bytes, memory_order_seq_cst);
    atomic_fetch_sub_explicit(&p->used_bytes, bytes, memory_order_seq_cst);
    atomic_fetch_sub_explicit(&mine->intent_bytes, bytes, memory_order_seq_cst);
    open_gate(p);
}

/* Takes up to `bytes` out of a count that may not fall below 0; gives how many. */
static uint64_t take(_Atomic uint64_t *count, uint64_t bytes)
{
    uint64_t there = atomic_load_explicit(count, memory_order_relaxed), taken;
    do
        taken = hri_min(there, bytes);
    while (taken > 0 && !atomic_compare_exchange_weak_explicit(count, &there, there - taken, memory_order_relaxed,
                                                               memory_order_relaxed));
    return taken;
}

/* Fills the reserve with bytes that come back; gives how many. */
static uint64_t refill(uint64_t bytes)
{
    uint64_t left = atomic_load_explicit(&reserve_bytes, memory_order_relaxed), more;
    do
        more = hri_min(bytes, HRI_ACCOUNT_RESERVE_BYTES - left);
    while (more > 0 && !atomic_compare_exchange_weak_explicit(&reserve_bytes, &left, left + more, memory_order_relaxed,
                                                              memory_order_relaxed));
    return more;
}

void hri_account_return(uint64_t bytes)
{
    hri_malloc_page *p = hri_account_page();
    if (!p || bytes == 0)
        return;
    bytes -= refill(bytes);
    if (bytes > 0)
        uncharge(p, bytes);
}

void hri_account_uncharge(uint64_t bytes)
{
    if (hri_account_page())
        hri_account_return(bytes - take(&inherited_bytes, bytes));
}

/* ── at the limit ───────────────────────────────────────────────────────────────────────────────────────────────── */

/* Gives idle pages back and tries again. */
static bool relieve(hri_malloc_page *p, uint64_t bytes)
{
    if (relieving)
        return false;
    relieving = true;
    hri_heap_trim(bytes);
    relieving = false;
    return charge(p, bytes);
}

static int64_t now_ns(clockid_t clock)
{
    struct timespec now;
    clock_gettime(clock, &now);
    return now.tv_sec * SECOND_NS + now.tv_nsec;
}

/* Has `pause_ns` passed since the last time that it had? */
static bool is_time(_Atomic int64_t *last_ns, int64_t pause_ns)
{
    int64_t now = now_ns(CLOCK_MONOTONIC_COARSE), last = atomic_load_explicit(last_ns, memory_order_relaxed);
    return now - last >= pause_ns &&
           atomic_compare_exchange_strong_explicit(last_ns, &last, now, memory_order_relaxed, memory_order_relaxed);
}

/* The supervisor settles what a process leaves behind. Where it has ended itself, whoever is short has to. */
static bool settle_gone(hri_malloc_page *p)
{
    static _Atomic int64_t settled_ns;
    return p != &own_page && is_time(&settled_ns, SETTLE_NS) && hri_slots_settle_gone(p, 0, HRI_MALLOC_SLOTS);
}

/* The whole reserve or less, for what is small; not before the first refusal. */
static bool take_reserve(uint64_t bytes)
{
    uint64_t left = atomic_load_explicit(&reserve_bytes, memory_order_relaxed);
    if (!atomic_load_explicit(&reserve_open, memory_order_relaxed))
        return false;
    do {
        if (left < bytes)
            return false;
    } while (!atomic_compare_exchange_weak_explicit(&reserve_bytes, &left, left - bytes, memory_order_relaxed,
                                                    memory_order_relaxed));
    return true;
}

static bool refuse(hri_malloc_page *p, uint64_t bytes)
{
    if (take_reserve(bytes))
        return true;
    atomic_store_explicit(&reserve_open, true, memory_order_relaxed);
    atomic_fetch_add_explicit(&p->refusals, 1, memory_order_relaxed);
    atomic_fetch_add_explicit(&p->slots[slot].refusals, 1, memory_order_relaxed);
    return false;
}

/* A request that the limit cannot hold even alone is not waited for. */
static bool wait_for(hri_malloc_page *p, uint64_t bytes)
{
    if (take_reserve(bytes)) /* it has waited in vain before: its message need not wait again */
        return true;
    int64_t until_ns = now_ns(CLOCK_MONOTONIC) + atomic_load_explicit(&p->wait_ns, memory_order_relaxed), left_ns;
    if (bytes > atomic_load_explicit(&p->most_bytes, memory_order_relaxed))
        return refuse(p, bytes);
    atomic_fetch_add_explicit(&p->waits, 1, memory_order_relaxed);
    atomic_fetch_add_explicit(&p->waiters, 1, memory_order_seq_cst);
    bool fits = false;
    for (;;) {
        settle_gone(p);
        uint32_t gate = atomic_load_explicit(&p->gate, memory_order_seq_cst);
        fits = charge(p, bytes);
        left_ns = until_ns - now_ns(CLOCK_MONOTONIC);
        if (fits || left_ns <= 0)
            break;
        /* Woken at least ten times a second: a process that was killed wakes nobody. */
        hri_raw_futex_wait(&p->gate, gate, hri_min((uint64_t)left_ns, (uint64_t)SECOND_NS / 10));
    }
    atomic_fetch_sub_explicit(&p->waiters, 1, memory_order_seq_cst);
    return fits || refuse(p, bytes);
}

/* Each time that somebody lets it go on, an eighth of the limit is added. */
static bool freeze(hri_malloc_page *p, uint64_t bytes)
{
    while (!charge(p, bytes)) {
        uint64_t limit = atomic_load_explicit(&p->limit_bytes, memory_order_relaxed);
        hri_say("the limit of %s is reached: process %d is stopped; 'kill -CONT %d' lets it go on with an eighth more",
                hri_say_size(limit).text, (int)getpid(), (int)getpid());
        kill(getpid(), SIGSTOP);
        uint64_t more = hri_add(limit, hri_max(limit / 8, 2 * bytes));
        atomic_compare_exchange_strong(&p->limit_bytes, &limit, more);
    }
    return true;
}

static _Noreturn void abort_at(hri_malloc_page *p, uint64_t bytes)
{
    hri_say("the limit of %s is reached, and %s more are wanted: process %d aborts",
            hri_say_size(atomic_load_explicit(&p->limit_bytes, memory_order_relaxed)).text, hri_say_size(bytes).text,
            (int)getpid());
    abort();
}

static bool at_limit(hri_malloc_page *p, uint64_t bytes)
{
    switch ((hri_malloc_on_limit)atomic_load_explicit(&p->on_limit, memory_order_relaxed)) {
    case HRI_MALLOC_WAIT:
        return wait_for(p, bytes);
    case HRI_MALLOC_FREEZE:
        return freeze(p, bytes);
    case HRI_MALLOC_ABORT:
        abort_at(p, bytes);
    case HRI_MALLOC_FAIL:
        break;
    }
    return refuse(p, bytes);
}

static void heed_clone(void)
{
    _Atomic uint32_t *word = atomic_load_explicit(&mark, memory_order_relaxed);
    if (word && atomic_load_explicit(word, memory_order_relaxed) == 0)
        hri_account_fork_child();
}

void hri_account_bound_idle(uint64_t most_bytes)
{
    hri_heap_set_idle(&(hri_heap_idle_terms){.least_bytes = IDLE_BYTES, .part = 16, .most_bytes = most_bytes});
}

/* All processes that sleep may keep an eighth of the limit together. */
static void bound_idle(const hri_malloc_page *p)
{
    uint64_t processes = atomic_load_explicit(&p->processes, memory_order_relaxed);
    hri_account_bound_idle(atomic_load_explicit(&p->limit_bytes, memory_order_relaxed) / (8 * hri_max(processes, 1)));
}

/* Says how much of the charge is in no block. It counts the idle blocks of all threads under the heap's lock, so it is
 * not done at each slow call. */
static void publish_spare(hri_malloc_page *p)
{
    static _Atomic int64_t published_ns;
    if (p == &own_page || !is_time(&published_ns, SPARE_NS))
        return;
    hri_heap_figures figures;
    hri_heap_read(&figures);
    atomic_store_explicit(&p->slots[slot].spare_bytes,
                          figures.committed_bytes - hri_min(figures.in_use_bytes, figures.committed_bytes) +
                              atomic_load_explicit(&reserve_bytes, memory_order_relaxed),
                          memory_order_relaxed);
}

bool hri_account_charge(uint64_t bytes, bool final)
{
    hri_malloc_page *p = hri_account_page();
    if (!p || bytes == 0)
        return true;
    heed_clone();
    bound_idle(p);
    if (charge(p, bytes)) {
        if (atomic_load_explicit(&reserve_open, memory_order_relaxed) && reserve_bytes == HRI_ACCOUNT_RESERVE_BYTES)
            atomic_store_explicit(&reserve_open, false, memory_order_relaxed);
        return true;
    }
    atomic_fetch_add_explicit(&p->shortages, 1, memory_order_relaxed);
    if (relieve(p, bytes) || (settle_gone(p) && charge(p, bytes)))
        return true;
    return final && at_limit(p, bytes);
}

void hri_account_yield(void)
{
    hri_malloc_page *p = hri_account_page();
    if (!p || relieving)
        return;
    publish_spare(p);
    uint32_t shortages = atomic_load_explicit(&p->shortages, memory_order_relaxed);
    if (atomic_exchange_explicit(&seen_shortages, shortages, memory_order_relaxed) == shortages)
        return;
    relieving = true;
    hri_heap_trim(UINT64_MAX);
    relieving = false;
}

void hri_account_foreign(void)
{
    hri_malloc_page *p = hri_account_page();
    atomic_fetch_add_explicit(p ? &p->foreign : &own_page.foreign, 1, memory_order_relaxed);
}

/* ── opening ────────────────────────────────────────────────────────────────────────────────────────────────────── */

static void charge_anyway(hri_malloc_page *p, uint64_t bytes)
{
    if (bytes > 0)
        charge_within(p, bytes, UINT64_MAX);
}

static void set_mark(void)
{
    _Atomic uint32_t *word = atomic_load_explicit(&mark, memory_order_relaxed);
    if (!word) {
        void *pages = hri_raw_mmap(NULL, HRI_HEAP_PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (pages == MAP_FAILED)
            return;
        if (hri_raw_madvise(pages, HRI_HEAP_PAGE, MADV_WIPEONFORK) != 0) {
            hri_raw_munmap(pages, HRI_HEAP_PAGE);
            return;
        }
        word = pages;
    }
    atomic_store_explicit(word, 1, memory_order_relaxed);
    atomic_store_explicit(&mark, word, memory_order_release);
}

bool hri_account_open(hri_malloc_page *shared, const hri_account_terms *terms)
{
    hri_malloc_page *p = shared ? shared : &own_page;
    if (!shared) {
        own_page.magic = HRI_MALLOC_MAGIC;
        atomic_store(&own_page.on_limit, (uint32_t)terms->on_limit);
        atomic_store(&own_page.limit_bytes, terms->limit_bytes);
        atomic_store(&own_page.most_bytes, terms->limit_bytes);
        atomic_store(&own_page.wait_ns, terms->wait_ns);
    }
    unsigned free_slot = shared ? hri_slots_take(p, 0) : 0; /* nobody else looks at a page of its own */
    if (free_slot == HRI_MALLOC_SLOTS)
        return false;
    slot = free_slot;
    hri_heap_figures figures;
    hri_heap_read(&figures);
    charge_anyway(p, figures.committed_bytes + HRI_ACCOUNT_RESERVE_BYTES);
    atomic_store(&reserve_bytes, HRI_ACCOUNT_RESERVE_BYTES);
    atomic_store(&seen_shortages, atomic_load(&p->shortages));
    set_mark();
    atomic_store_explicit(&page, p, memory_order_release);
    return true;
}

void hri_account_fork_child(void)
{
    hri_malloc_page *p = hri_account_page();
    if (!p)
        return;
    uint64_t charged = atomic_load(&p->slots[slot].charged_bytes);
    atomic_fetch_add(&inherited_bytes, charged - hri_min(charged, atomic_load(&reserve_bytes)));
    set_mark();
    atomic_store(&reserve_bytes, 0);
    atomic_store(&reserve_open, false);
    if (p == &own_page) {
        hri_malloc_slot *mine = &p->slots[slot];
        atomic_store(&mine->charged_bytes, 0);
        atomic_store(&mine->intent_bytes, 0);
        atomic_store(&p->used_bytes, 0);
        atomic_store(&p->peak_bytes, 0);
        atomic_store(&p->waiters, 0);
    } else {
        unsigned free_slot = hri_slots_take(p, 0);
        if (free_slot == HRI_MALLOC_SLOTS) { /* all that it has is inherited, and what it takes is not bounded */
            atomic_store(&page, NULL);
            return;
        }
        slot = free_slot;
    }
    charge_anyway(p, HRI_ACCOUNT_RESERVE_BYTES);
    atomic_store(&reserve_bytes, HRI_ACCOUNT_RESERVE_BYTES);
}
