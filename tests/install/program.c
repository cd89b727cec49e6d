/* SPDX-License-Identifier: Apache-2.0 */
/* A stranger's program that uses the installed headers: one source for C11, C17 and C++17. */
#include <headroom/headroom.h>

#include <stdio.h>
#include <string.h>

static void give_back(hr_budget *budget)
{
    hr_budget_uncharge(budget, 4096);
}

/* Scopes: a block, a charge, a ticket and a deferred call, each given back at the end. */
static int use_scopes(hr_guard *guard, hr_budget *budget)
{
    HR_SCOPED_ALLOC char *text = hr_strdup(budget, "headroom");
    if (!text || strcmp(text, "headroom") != 0)
        return 10;
    HR_SCOPED_CHARGE hr_charge held = hr_charge_make(budget, 4096);
    if (held.error != 0)
        return 11;
    if (hr_budget_charge(budget, 4096) != 0)
        return 12;
    HR_DEFER(give_back, budget);
    hr_request request;
    memset(&request, 0, sizeof request);
    request.bytes = 512;
    request.budget = budget;
    HR_SCOPED_TICKET hr_ticket ticket;
    if (hr_admit(guard, &request, &ticket) != HR_ADMITTED)
        return 13;
    char *kept = HR_KEEP(text);
    hr_free(kept);
    return 0;
}

static int use_budget(hr_guard *guard)
{
    hr_budget *budget;
    if (hr_budget_new(hr_guard_root(guard), "program", 64 << 10, &budget) != 0)
        return 2;
    void *block = hr_alloc(budget, 1000);
    if (!block)
        return 3;
    void *large = hr_alloc(budget, 1 << 20);
    if (large)
        return 4;
    hr_refusal refusal;
    if (hr_budget_refusal(&refusal) != 0 || strcmp(refusal.limit_name, "program") != 0)
        return 5;
    hr_free(block);
    int result = use_scopes(guard, budget);
    if (result != 0)
        return result;
    hr_budget_figures figures;
    if (hr_budget_read(budget, &figures) != 0 || figures.used_bytes != 0)
        return 6;
    return hr_budget_free(budget) == 0 ? 0 : 7;
}

int main(void)
{
    hr_guard_options options;
    memset(&options, 0, sizeof options);
    options.limit_bytes = 64 << 20;
    hr_guard *guard;
    if (hr_guard_new(&options, &guard) != 0)
        return 1;
    int result = use_budget(guard);
    if (result == 0)
        printf("headroom %s: %s\n", hr_version(), hr_level_text(hr_guard_level(guard)));
    hr_guard_free(guard);
    return result;
}
