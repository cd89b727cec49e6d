/* SPDX-License-Identifier: Apache-2.0 */
/* Size classes, words of blocks, and runs of bits. */
#include "support/cmocka.h"

#include "heap/bits.h"
#include "heap/class.h"

#include <stdlib.h>
#include <string.h>

static unsigned smallest_for(size_t bytes, unsigned from, unsigned to)
{
    while (from < to && hri_heap_class_bytes[from] < bytes)
        from++;
    return from;
}

static void every_size_has_the_smallest_class_that_fits(void **state)
{
    (void)state;
    for (size_t bytes = 1; bytes <= HRI_HEAP_GENERAL_MAX; bytes++)
        assert_int_equal(hri_heap_general_class(bytes), smallest_for(bytes, 0, HRI_HEAP_GENERAL_CLASSES));
    for (size_t bytes = 1; bytes <= HRI_HEAP_LARGE_MIN; bytes++)
        assert_int_equal(hri_heap_page_class(bytes), smallest_for(bytes, HRI_HEAP_GENERAL_CLASSES, HRI_HEAP_CLASSES));
}

/* Programs ask for powers of two: with the word on top, little is lost. */
static void a_power_of_two_costs_its_word_and_a_granule_at_most(void **state)
{
    (void)state;
    for (size_t size = 64; size < HRI_HEAP_GENERAL_MAX; size *= 2)
        assert_int_equal(hri_heap_class_bytes[hri_heap_general_class(size + HRI_HEAP_WORD)], size + HRI_HEAP_GRANULE);
}

static void words_say_what_was_put_in(void **state)
{
    (void)state;
    char memory[64];
    for (unsigned class = 0; class < HRI_HEAP_CLASSES; class ++) {
        uint64_t word = hri_heap_word(memory, HRI_HEAP_OWNER_MAX - class, class);
        assert_true(hri_heap_word_is_used(word, memory));
        assert_false(hri_heap_word_is_idle(word, memory));
        assert_false(hri_heap_word_is_used(word, memory + 16));
        assert_int_equal(hri_heap_word_class(word), class);
        assert_int_equal(hri_heap_word_owner(word, memory), HRI_HEAP_OWNER_MAX - class);
        word = hri_heap_word_idle(word);
        assert_true(hri_heap_word_is_idle(word, memory));
        assert_false(hri_heap_word_is_used(word, memory));
        assert_int_equal(hri_heap_word_class(word), class);
    }
}

#define BITS 512u

static unsigned find_naively(const uint64_t *words, unsigned from, unsigned to, unsigned run, unsigned align)
{
    for (unsigned at = (from + align - 1) / align * align; at + run <= to; at += align)
        if (hri_bits_count(words, at, at + run) == 0)
            return at;
    return to;
}

static void runs_are_found_where_they_are(void **state)
{
    (void)state;
    uint64_t words[BITS / 64] = {0};
    const hri_bits_view view = {words, NULL};
    srand(1);
    for (unsigned step = 0; step < 20000; step++) {
        unsigned from = (unsigned)rand() % BITS, to = from + (unsigned)rand() % (BITS - from) + 1;
        unsigned run = (unsigned)rand() % 40 + 1, align = 1u << rand() % 5;
        assert_int_equal(hri_bits_find(&view, from, to, run, align), find_naively(words, from, to, run, align));
        unsigned at = (unsigned)rand() % (BITS - 64), length = (unsigned)rand() % 64 + 1;
        unsigned before = hri_bits_count(words, 0, BITS) - hri_bits_count(words, at, at + length);
        if (rand() % 2)
            hri_bits_set(words, at, at + length);
        else
            hri_bits_clear(words, at, at + length);
        assert_true(hri_bits_count(words, at, at + length) == 0 || hri_bits_has(words, at));
        assert_int_equal(hri_bits_count(words, 0, BITS) - hri_bits_count(words, at, at + length), before);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_size_has_the_smallest_class_that_fits),
        cmocka_unit_test(a_power_of_two_costs_its_word_and_a_granule_at_most),
        cmocka_unit_test(words_say_what_was_put_in),
        cmocka_unit_test(runs_are_found_where_they_are),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
