#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0 What <headroom/scope.h> must not compile: deferred calls with an argument of a
# wrong type, and, where the compiler can see it, a goto past a scoped declaration. And that debug builds see the caller
# itself: without optimization no function of the headers' stands between.
set -u
source=${HEADROOM_SOURCE_DIR:-$(cd "$(dirname "$0")/../.." && pwd)}
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
failed=0

fail() {
    echo "$1"
    failed=1
}

# compiles COMPILER LINE [OPTION...]: does a function with this line in it?
compiles() {
    local compiler=$1 line=$2
    shift 2
    cat >"$folder/case.c" <<C
#include <headroom/headroom.h>
void note(const char *text);
int take(int number);
void measure(double number);
int work(hr_budget *budget, hr_byte_pool *pool, const char *text, int number, double share);
int work(hr_budget *budget, hr_byte_pool *pool, const char *text, int number, double share)
{
    (void)budget, (void)pool, (void)text, (void)number, (void)share;
    $line
    return 0;
}
C
    "$compiler" -std=c11 -Wall -Wextra "$@" -I"$source/include" -c -o "$folder/case.o" "$folder/case.c" 2>"$folder/said"
}

for compiler in gcc clang; do
    command -v $compiler >/dev/null || continue
    for line in 'HR_DEFER(note, text);' 'HR_DEFER(take, number);' 'HR_DEFER(hr_free, NULL);' 'HR_DEFER(take, 7);' \
        'HR_SCOPED_BYTES hr_bytes b = hr_bytes_make(pool, 10);'; do
        compiles $compiler "$line" -Werror || fail "$compiler does not compile: $line"
    done
    for line in 'HR_DEFER(measure, share);' 'HR_DEFER(measure, number);' 'HR_DEFER(take, share);' \
        'HR_DEFER(note, number);' 'HR_DEFER(note, &number);' 'HR_DEFER(take, text);' 'HR_DEFER(hr_purge, );' \
        'HR_DEFER(hr_byte_pool_put, pool);'; do
        compiles $compiler "$line" && fail "$compiler compiles: $line"
    done
    jump='if (number) goto out; HR_SCOPED_ALLOC char *block = hr_alloc(budget, 1); out:'
    compiles $compiler "$jump" -Werror=jump-misses-init && fail "$compiler compiles: $jump"
    compiles $compiler 'hr_byte_pool_put(pool, hr_byte_pool_get(pool, 1));' -O0
    nm "$folder/case.o" | grep -q ' t hr_' && fail "$compiler makes functions of the program of the inline ones, at -O0"
done
exit $failed
