/* SPDX-License-Identifier: Apache-2.0 */
#include "budget/pending.h"

#include "base/lock.h"

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static hri_budget_tree *first;
static uint64_t departed_uncharged_bytes; /* by hand and ever, in trees that are gone */
static unsigned publishes;
static hri_own own;
static uint64_t shared_before_bytes = HR_NONE; /* shared memory that is the program's own */

void hri_pending_enlist(hri_budget_tree *tree)
{
    hri_inner_lock(&lock);
    tree->next = first;
    first = tree;
    hri_inner_unlock(&lock);
}

void hri_pending_delist(hri_budget_tree *tree)
{
    hri_accounts accounts;
    hri_inner_lock(&lock);
    hri_budget_tree **at = &first;
    while (*at != tree)
        at = &(*at)->next;
    *at = tree->next;
    hri_budget_tree_snapshot(tree, &accounts);
    departed_uncharged_bytes += accounts.hand_uncharged_bytes;
    hri_inner_unlock(&lock);
}

void hri_pending_read(const hri_lease_word *word, hri_pending_accounts *ret_accounts, hri_budget_tree *of,
                      hri_accounts *ret_of)
{
    hri_pending_accounts sum = {0};
    hri_inner_lock(&lock);
    sum.published_bytes = atomic_load_explicit(word->pending, memory_order_relaxed);
    sum.publishes = publishes;
    sum.hand_uncharged_bytes = departed_uncharged_bytes;
    for (hri_budget_tree *tree = first; tree; tree = tree->next) {
        hri_accounts accounts;
        hri_budget_tree_snapshot(tree, &accounts);
        if (tree == of)
            *ret_of = accounts;
        sum.promised_bytes += accounts.promised_bytes;
        sum.stocks_bytes += accounts.stocks_bytes;
        sum.hand_bytes += accounts.held_bytes - accounts.block_bytes;
        sum.hand_uncharged_bytes += accounts.hand_uncharged_bytes;
    }
    hri_inner_unlock(&lock);
    sum.heap_pending_bytes = hri_budget_committing_bytes();
    *ret_accounts = sum;
}

hri_pending hri_pending_compute(const hri_pending_accounts *accounts, uint64_t anonymous_bytes, bool purged,
                                int64_t now_ns)
{
    hri_own_input input = {
        .resident_bytes =
            anonymous_bytes == HR_NONE ? HR_NONE : hri_sub(anonymous_bytes, accounts->heap_resident_bytes),
        .hand_bytes = accounts->hand_bytes,
        .uncharged_bytes = accounts->hand_uncharged_bytes,
        .purged = purged,
        .now_ns = now_ns,
    };
    hri_inner_lock(&lock);
    uint64_t hand_bytes = hri_own_sample(&own, &input), retained_bytes = own.retained_bytes;
    hri_inner_unlock(&lock);
    uint64_t known = hri_add(accounts->heap_pending_bytes, hri_add(accounts->promised_bytes, accounts->stocks_bytes));
    return (hri_pending){
        .bytes = hri_add(known, hand_bytes), .hand_bytes = hand_bytes, .retained_bytes = retained_bytes};
}

void hri_pending_publish(const hri_lease_word *word, const hri_pending_accounts *accounts, uint64_t pending_bytes)
{
    hri_inner_lock(&lock);
    if (publishes == accounts->publishes) {
        publishes++;
        atomic_fetch_add_explicit(word->pending, pending_bytes - accounts->published_bytes, memory_order_release);
    }
    hri_inner_unlock(&lock);
}

void hri_pending_note_shared(uint64_t shared_bytes, hri_pending *pending)
{
    hri_inner_lock(&lock);
    shared_before_bytes = hri_min(shared_before_bytes, shared_bytes);
    uint64_t shown = hri_min(pending->hand_bytes, shared_bytes - shared_before_bytes);
    hri_inner_unlock(&lock);
    pending->hand_bytes -= shown;
    pending->bytes -= shown;
}

void hri_pending_fork(hri_fork moment)
{
    hri_fork_lock(&lock, moment);
}
