/* SPDX-License-Identifier: Apache-2.0 */
/* headroom.hpp: handles that own, allocators that charge, refusals as C++ has them. */
#include <headroom/headroom.hpp>

extern "C" {
#include "support/cmocka.h"
}

#include <cstring>
#include <list>
#include <map>
#include <string>
#include <string_view>
#include <vector>

static hr_guard_options small()
{
    hr_guard_options options = {};
    options.limit_bytes = 16 * MIB;
    options.interval_ns = -1;
    return options;
}

static uint64_t used(const headroom::budget &budget)
{
    return budget.read().used_bytes;
}

static void a_constructor_throws_the_errno_of_its_call(void **)
{
    hr_guard_options wrong = small();
    wrong.warn_at = 2;
    int code = 0;
    try {
        headroom::guard guard(wrong);
    } catch (const std::system_error &error) {
        code = error.code().value();
        assert_true(error.code() == std::errc::invalid_argument);
        assert_non_null(std::strstr(error.what(), "hr_guard_new"));
    }
    assert_int_equal(code, EINVAL);

    headroom::guard guard(small());
    code = 0;
    try {
        headroom::budget budget(static_cast<hr_budget *>(nullptr), "orphan");
    } catch (const std::system_error &error) {
        code = error.code().value();
    }
    assert_int_equal(code, EINVAL);
}

static void handles_move_and_free_once(void **)
{
    static_assert(!std::is_copy_constructible_v<headroom::guard> && !std::is_copy_assignable_v<headroom::budget>);
    static_assert(std::is_nothrow_move_constructible_v<headroom::guard>);
    static_assert(std::is_nothrow_move_assignable_v<headroom::ticket>);
    headroom::guard first(small());
    hr_guard *handle = first.get();
    headroom::guard guard(std::move(first));
    assert_ptr_equal(guard.get(), handle);
    assert_null(first.get());
    assert_null(first.root());

    std::vector<headroom::budget> budgets;
    for (int i = 0; i < 20; i++)
        budgets.emplace_back(guard, "one of many", 1 * MIB);
    budgets.erase(budgets.begin() + 3);
    assert_int_equal(budgets.front().charge(1000), 0);
    assert_int_equal(budgets.front().charge(2 * MIB), -EDQUOT);
    assert_int_equal(budgets.front().close(), -EBUSY);
    assert_non_null(budgets.front().get());
    budgets.front().uncharge(1000);
    assert_int_equal(budgets.front().close(), 0);
    assert_null(budgets.front().get());
    headroom::budget child(budgets.back(), "child");
    assert_int_equal(budgets.back().close(), -EBUSY);
}

static void containers_charge_their_budget_and_throw_when_it_is_short(void **)
{
    headroom::guard guard(small());
    headroom::budget one(guard, "one", 2 * MIB);
    headroom::budget two(guard, "two", 2 * MIB);
    headroom::memory_resource in_one(one);
    headroom::memory_resource in_two(two);
    {
        std::pmr::vector<char> body(&in_one);
        body.resize(MIB);
        assert_in_range(used(one), MIB, 2 * MIB);
        bool refused = false;
        try {
            body.resize(4 * MIB);
        } catch (const std::bad_alloc &) {
            refused = true;
        }
        assert_true(refused);
        assert_int_equal(body.size(), MIB);

        std::pmr::vector<char> moved(std::move(body), &in_two); /* another budget, so it is copied */
        assert_in_range(used(two), MIB, 2 * MIB);
        std::pmr::list<std::pmr::string> nested(&in_two);
        uint64_t before = used(two);
        nested.emplace_back(std::string(100000, 'x'));
        assert_true(used(two) >= before + 100000);
    }
    assert_int_equal(used(one), 0);
    assert_int_equal(used(two), 0);
    assert_true(headroom::memory_resource(one).is_equal(in_one));
    assert_false(in_one.is_equal(in_two));
    assert_false(in_one.is_equal(*std::pmr::new_delete_resource()));

    struct alignas(64) line {
        char bytes[64];
    };
    {
        std::vector<line, headroom::allocator<line>> lines(one);
        lines.resize(100);
        assert_int_equal(reinterpret_cast<uintptr_t>(lines.data()) % 64, 0);
        assert_true(used(one) >= 6400);
        std::vector<line, headroom::allocator<line>> others(two);
        others = std::move(lines);
        assert_int_equal(used(two), 0);
        assert_true(others.get_allocator() == headroom::allocator<int>(one));
        std::vector<line, headroom::allocator<line>> third(two);
        swap(third, others);
        assert_ptr_equal(third.get_allocator().budget(), one.get());

        headroom::allocator<std::pair<const int, std::string>> nodes(two);
        std::map<int, std::string, std::less<>, decltype(nodes)> map(nodes);
        map[1] = "one";
        assert_true(used(two) > 0);
        bool overflow = false;
        try {
            (void)headroom::allocator<line>(one).allocate(SIZE_MAX / 8);
        } catch (const std::bad_array_new_length &) {
            overflow = true;
        }
        assert_true(overflow);
    }
    assert_int_equal(used(one), 0);
    assert_int_equal(used(two), 0);
}

static void tickets_are_asked_and_released(void **)
{
    headroom::guard guard(small());
    headroom::budget budget(guard, "requests", 2 * MIB);
    hr_request request = {};
    request.bytes = MIB;
    request.budget = budget.get();
    {
        headroom::ticket ticket(guard, request);
        assert_true(static_cast<bool>(ticket));
        headroom::ticket other(std::move(ticket));
        assert_false(static_cast<bool>(ticket)); // it has nothing to spend any more
        assert_true(static_cast<bool>(other));
        void *block = other.allocate(1000);
        assert_non_null(block);
        assert_int_equal(other.spend(4 * MIB), -EDQUOT);
        assert_int_equal(other.spend(1000), 0);
        budget.uncharge(1000);
        hr_free(block);
        assert_in_range(budget.read().promised_bytes, 1, MIB);
    }
    assert_int_equal(budget.read().promised_bytes, 0);
    request.bytes = 4 * MIB;
    headroom::ticket refused(guard, request);
    assert_false(static_cast<bool>(refused));
    assert_int_equal(refused.verdict(), HR_REFUSED_NO_BUDGET);
    assert_string_equal(refused.get().limit_name, "requests");
    bool threw = false;
    try {
        (void)refused.allocate(10);
    } catch (const std::bad_alloc &) {
        threw = true;
    }
    assert_true(threw);
}

static void buffers_go_back_to_their_pool(void **)
{
    headroom::guard guard(small());
    hr_byte_pool_options options = {};
    options.size_bytes = 4096;
    headroom::byte_pool pool(guard, options);
    {
        headroom::byte_pool::buffer buffer = pool.get_buffer(4096);
        std::memset(buffer.data(), 1, buffer.size());
        headroom::byte_pool::buffer other(std::move(buffer));
        assert_null(buffer.data());
        assert_int_equal(pool.close(), -EBUSY);
        other = pool.get_buffer(100); /* the first goes back */
    }
    bool threw = false;
    try {
        (void)pool.get_buffer(64 * MIB); /* beyond the guard's limit */
    } catch (const std::bad_alloc &) {
        threw = true;
    }
    assert_true(threw);
    assert_int_equal(pool.close(), 0);
}

static int load(void *, const void *, size_t key_size, hr_cache_loading *loading)
{
    return key_size == 5 ? -EIO : key_size == 3 ? hr_cache_supply(loading, "loaded", 6, 0) : -ENOENT;
}

static void cached_values_are_borrowed(void **)
{
    using namespace std::string_view_literals;
    headroom::guard guard(small());
    hr_cache_options options = {};
    options.load = load;
    headroom::cache cache(guard, options);
    std::vector<int> numbers{1, 2, 3};
    assert_int_equal(cache.put("numbers"sv, numbers), 0);
    {
        headroom::cache_ref found = cache.find(std::string("numbers"));
        assert_true(static_cast<bool>(found));
        assert_int_equal(found.size(), 3 * sizeof(int));
        assert_memory_equal(found.data(), numbers.data(), found.size());
        assert_true(cache.remove("numbers"sv));
        assert_int_equal(cache.close(), -EBUSY);
        headroom::cache_ref moved(std::move(found));
        assert_false(static_cast<bool>(found));
        assert_memory_equal(moved.data(), numbers.data(), moved.size());
    }
    assert_false(static_cast<bool>(cache.find("numbers"sv)));
    assert_false(cache.remove("numbers"sv));
    assert_int_equal(cache.find("key"sv).size(), 6);
    int code = 0;
    try {
        (void)cache.find("error"sv);
    } catch (const std::system_error &error) {
        code = error.code().value();
    }
    assert_int_equal(code, EIO);
    cache.clear();
    assert_int_equal(cache.close(), 0);
}

static void values_are_written_in_place(void **)
{
    using namespace std::string_view_literals;
    headroom::guard guard(small());
    headroom::cache cache(guard);
    {
        headroom::cache_ref body, dropped;
        assert_int_equal(cache.reserve("body"sv, 100, body), 0);
        assert_int_equal(cache.reserve("dropped"sv, 100, dropped), 0);
        std::memcpy(body.reserved(), "written", 7);
        assert_false(static_cast<bool>(cache.find("body"sv)));
        assert_int_equal(body.commit(101), -EINVAL);
        assert_int_equal(body.commit(7), 0);
        assert_int_equal(body.commit(7), -EALREADY);
        assert_memory_equal(body.data(), "written", 7);
        assert_int_equal(cache.find("body"sv).size(), 7);
        assert_int_equal(cache.close(), -EBUSY);
    }
    assert_false(static_cast<bool>(cache.find("dropped"sv)));
    assert_int_equal(cache.close(), 0);
}

int main()
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_constructor_throws_the_errno_of_its_call),
        cmocka_unit_test(handles_move_and_free_once),
        cmocka_unit_test(containers_charge_their_budget_and_throw_when_it_is_short),
        cmocka_unit_test(tickets_are_asked_and_released),
        cmocka_unit_test(buffers_go_back_to_their_pool),
        cmocka_unit_test(cached_values_are_borrowed),
        cmocka_unit_test(values_are_written_in_place),
    };
    return cmocka_run_group_tests(tests, nullptr, nullptr);
}
