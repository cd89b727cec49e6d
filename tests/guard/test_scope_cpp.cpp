/* SPDX-License-Identifier: Apache-2.0 */
/* The scopes in C++: the same by RAII, also when an exception passes. */
#include <headroom/headroom.h>

extern "C" {
#include "support/cmocka.h"
}

#include <cstdlib>
#include <cstring>
#include <stdexcept>

static hr_guard *guard;
static char order[16];

static uint64_t used()
{
    hr_budget_figures figures;
    assert_int_equal(hr_budget_read(hr_guard_root(guard), &figures), 0);
    return figures.used_bytes;
}

static void note(const char *name)
{
    std::strcat(order, name);
}

static void throws_from_within(hr_budget *root)
{
    HR_SCOPED_ALLOC char *block = static_cast<char *>(hr_alloc(root, 1000));
    HR_SCOPED_CHARGE hr_charge held = hr_charge_make(root, 5000);
    HR_SCOPED_TICKET hr_ticket ticket = {};
    HR_DEFER(note, "a");
    void (*const of_now)(const char *) = note;
    HR_DEFER(of_now, "b");
    HR_DEFER(std::free, std::malloc(1)); /* whose attributes are no type's */
    hr_request request = {};
    request.bytes = 3000;
    if (!block || held.error || hr_admit(guard, &request, &ticket) != HR_ADMITTED || used() < 9000)
        return;
    throw std::runtime_error("out");
}

static void an_exception_gives_back(void **)
{
    hr_guard_options options = {};
    options.limit_bytes = 64 * MIB;
    options.interval_ns = -1;
    assert_int_equal(hr_guard_new(&options, &guard), 0);
    bool caught = false;
    try {
        throws_from_within(hr_guard_root(guard));
    } catch (const std::runtime_error &) {
        caught = true;
    }
    assert_true(caught);
    assert_int_equal(used(), 0);
    assert_string_equal(order, "ba");
    {
        HR_SCOPED_ALLOC char *block = hr_strdup(hr_guard_root(guard), "kept");
        char *kept = HR_KEEP(block);
        assert_null(block);
        hr_free(kept);
    }
    assert_int_equal(used(), 0);
    hr_guard_free(guard);
}

int main()
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(an_exception_gives_back)};
    return cmocka_run_group_tests(tests, nullptr, nullptr);
}
