#!/usr/bin/env bash
# Memory checkers see a block that waits in a pool as freed: a program that reads one after it was put is told so, by
# AddressSanitizer and by Valgrind.
set -euo pipefail
: "${HEADROOM_BUILD_DIR:?is the build to test}" "${HEADROOM_SOURCE_DIR:?is the tree}"
library=$HEADROOM_BUILD_DIR/src/libheadroom.a
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

cat >"$work/late.c" <<'END'
#include <headroom/headroom.h>
int main(int argc, char **argv)
{
    hr_guard *guard;
    hr_byte_pool *pool;
    hr_guard_options options = {.limit_bytes = 64 << 20, .interval_ns = -1};
    if (hr_guard_new(&options, &guard) != 0)
        return 2;
    if (hr_byte_pool_new(guard, &(hr_byte_pool_options){.size_bytes = 4096}, &pool) != 0)
        return 2;
    volatile char *buffer = hr_byte_pool_get(pool, 4096);
    buffer[100] = 1;
    hr_byte_pool_put(pool, (char *)buffer);
    (void)argv;
    int late = argc > 1 ? buffer[100] : 0; /* only where asked to */
    hr_byte_pool_free(pool);
    hr_guard_free(guard);
    return late == 77;
}
END

# watched TOOL COMMAND...: must be content with the program, and not with its late read.
watched() {
    local tool=$1
    shift
    "$@" >"$work/log" 2>&1 || { echo "checkers: $tool complains about nothing:"; cat "$work/log"; exit 1; }
    if "$@" late >"$work/log" 2>&1; then
        echo "checkers: $tool does not see a read of a buffer that is in its pool"
        exit 1
    fi
}

cat >"$work/freed.c" <<'END'
#include <headroom/headroom.h>
int main(void)
{
    hr_guard *guard;
    hr_byte_pool *pool;
    hr_guard_options options = {.limit_bytes = 64 << 20, .interval_ns = -1};
    if (hr_guard_new(&options, &guard) != 0)
        return 2;
    if (hr_byte_pool_new(guard, &(hr_byte_pool_options){.size_bytes = 64}, &pool) != 0)
        return 2;
    hr_byte_pool_free(pool);
    hr_figures figures;
    void *block = hr_byte_pool_get(pool, 64); /* debug builds end here */
    return block || hr_guard_read(guard, &figures) != 0 || figures.faults != 1;
}
END

# The library carves its own records from what blocks were in.
cat >"$work/blocks.c" <<'END'
#include <headroom/headroom.h>
int main(void)
{
    hr_guard *guard;
    hr_guard_options options = {.limit_bytes = 64 << 20, .interval_ns = -1};
    if (hr_guard_new(&options, &guard) != 0)
        return 2;
    for (int round = 0; round < 3; round++) {
        void *blocks[64];
        for (int i = 0; i < 64; i++)
            blocks[i] = hr_alloc(hr_guard_root(guard), 100 + 100 * (size_t)i);
        for (int i = 0; i < 64; i++)
            hr_free(blocks[i]);
        hr_relieve(guard, 1);
    }
    hr_guard_free(guard);
    return 0;
}
END

done_any=false
if setarch -R true 2>/dev/null && nm "$library" 2>/dev/null | grep -q __asan_poison_memory_region &&
    ! nm "$library" | grep -q __asan_report_load; then
    gcc -g -fsanitize=address -I"$HEADROOM_SOURCE_DIR/include" "$work/late.c" "$library" -o "$work/asan"
    watched AddressSanitizer setarch -R "$work/asan"
    gcc -g -fsanitize=address -I"$HEADROOM_SOURCE_DIR/include" "$work/freed.c" "$library" -o "$work/freed"
    if ! ASAN_OPTIONS=detect_leaks=0 setarch -R "$work/freed" >"$work/log" 2>&1 &&
        ! grep -q "a pool is used after it was freed" "$work/log"; then
        echo "checkers: a pool that was freed is not known under AddressSanitizer:"
        cat "$work/log"
        exit 1
    fi
    done_any=true
fi
if command -v valgrind >/dev/null && [ -e /usr/include/valgrind/memcheck.h ]; then
    gcc -g -I"$HEADROOM_SOURCE_DIR/include" "$work/late.c" "$library" -o "$work/plain"
    gcc -g -I"$HEADROOM_SOURCE_DIR/include" "$work/blocks.c" "$library" -o "$work/blocks"
    if ! valgrind -q --error-exitcode=9 "$work/blocks" >"$work/log" 2>&1; then
        echo "checkers: Valgrind complains about the library's own accesses:"
        cat "$work/log"
        exit 1
    fi
    watched Valgrind valgrind -q --error-exitcode=9 "$work/plain"
    if ! grep -q "free'd" "$work/log" || ! grep -q "hr_byte_pool_put" "$work/log"; then
        echo "checkers: Valgrind does not say who put the buffer:"
        cat "$work/log"
        exit 1
    fi
    done_any=true
fi
$done_any ||
    { echo "skipped: there is neither AddressSanitizer for this build nor Valgrind with its headers"; exit 77; }
