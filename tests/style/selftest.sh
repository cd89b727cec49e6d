#!/usr/bin/env bash
# The style checks themselves: each must find the offences that are planted here, and must be content without them.
# The back quotes in here are those of Markdown.
# shellcheck disable=SC2016
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
unset HEADROOM_SOURCE_DIR HEADROOM_BUILD_DIR
failed=0

# A tree that all checks are content with.
clean() {
    rm -rf "$work/tree"
    mkdir -p "$work/tree"
    cd "$work/tree"
    mkdir -p include/headroom src/base src/budget src/gauge src/guard examples
    cat >include/headroom/base.h <<'C'
#ifndef BASE_H
#define BASE_H
#define HR_API __attribute__((visibility("default")))
/* Doubles a number.
 *
 * returns  it
 */
HR_API int hr_double(int number);
#endif
C
    cat >src/base/twice.h <<'C'
#ifndef TWICE_H
#define TWICE_H
static inline int hri_twice(int number)
{
    return 2 * number;
}
#endif
C
    cat >src/budget/budget.c <<'C'
#include "base/twice.h"
#include <headroom/base.h>
#include <stdio.h>
int hr_double(int number)
{
    return hri_twice(number);
}
C
    printf '#include "budget/budget.h"\n#include <headroom/base.h>\n' >src/guard/guard.c
    printf '#include <headroom/base.h>\n#include "own.h"\n' >examples/small.c
    printf 'HEADROOM_0.1 {\nglobal:\n    hr_double;\nlocal:\n    *;\n};\n' >src/headroom.map
    printf 'Text\n```c\n#include "own.h"\n```\n' >README.md
    build src/budget/budget.c
}

build() { # the library that map.sh looks into
    gcc -shared -fPIC -fvisibility=hidden -Iinclude -Isrc -o "$work/libheadroom.so" "$@"
}

check() {
    bash "$here/$1.sh" "$work/tree" "$work/libheadroom.so" >"$work/log" 2>&1
}

# finds CHECK WHERE WORDS: fails at this file and line, and says so.
finds() {
    if check "$1"; then
        echo "selftest: $1.sh accepts what it should refuse: $3 at $2"
        failed=1
    elif ! grep -qE "^[^ ]*$2: .*$3" "$work/log"; then
        echo "selftest: $1.sh does not say '$2: … $3' but:"
        sed 's/^/    /' "$work/log"
        failed=1
    fi
}

for script in includes headers comments sizes map readme docs waits calls words; do
    clean
    if ! check $script; then
        echo "selftest: $script.sh refuses a clean tree:"
        sed 's/^/    /' "$work/log"
        failed=1
    fi
done

clean
echo '#include "budget/budget.h"' >>src/base/twice.h
finds includes src/base/twice.h:8 'points up'
clean
echo '#include "report/ring.h"' >src/gauge/level.c
finds includes src/gauge/level.c:1 'points up'
clean
echo '#include <headroom/relief.h>' >>src/budget/budget.c
finds includes src/budget/budget.c:8 'face of relief'
clean
echo 'hr_budget *root(hr_guard *guard) { return hr_guard_root(guard); } /* up */' >>src/budget/budget.c
finds includes src/budget/budget.c:8 'a call of the guard points up'
clean
echo '#  include "../base/twice.h"' >>src/budget/budget.c
finds includes src/budget/budget.c:8 'climbs out'
clean
echo '#include "base/twice.h"' >>examples/small.c
finds includes examples/small.c:3 'internal'
clean
mkdir src/util
echo '#include <stdio.h>' >src/util/util.c
finds includes src/util/util.c:1 'no room'
clean
echo '#include <stdio.h>' >src/stray.c
finds includes src/stray.c:1 'stands in no room'
clean
echo '#include "base/twice.h"' >>include/headroom/base.h
finds includes include/headroom/base.h:10 'not public'

clean
echo 'void wait(void) { pthread_cond_wait(&condition, &lock); }' >>src/budget/budget.c
finds waits src/budget/budget.c:8 'hri_wait_on'

clean
echo 'static inline size_t hr_size(void) { return 1; }' >>include/headroom/base.h
finds headers include/headroom/base.h:10 'does not compile alone'
clean
echo 'int hri_lost(uint64_t bytes);' >>src/base/twice.h
finds headers src/base/twice.h:8 'does not compile alone'
clean
sed -i '/ifndef/d; /define BASE_H/d; /endif/d' include/headroom/base.h
echo 'typedef struct hr_twice { int one; } hr_twice;' >>include/headroom/base.h
finds headers 'include/headroom/base.h:[0-9]+' 'does not compile alone'
clean
sed -i '/returns/d' include/headroom/base.h
echo 'int class;' >>include/headroom/base.h
if command -v g++ >/dev/null; then
    finds headers 'include/headroom/base.h:[0-9]+' 'c\+\+17'
fi

clean
printf 'HR_API int hr_bare(void);\n' >>include/headroom/base.h
finds comments include/headroom/base.h:10 'hr_bare\(\) has no comment'
clean
printf '/* A comment that is not directly above. */\n\nHR_API int hr_bare(void);\n' >>include/headroom/base.h
finds comments include/headroom/base.h:12 'hr_bare\(\) has no comment'
clean
printf '/* returns  0 or an error. */\nHR_API int hr_bare(void);\n' >>include/headroom/base.h
finds comments include/headroom/base.h:11 'no sentence'

clean
{
    printf 'static int long_one(void)\n{\n'
    for _ in $(seq 70); do echo '    f("}");'; done
    printf '}\n'
} >>src/budget/budget.c
finds sizes src/budget/budget.c:8 'long_one\(\) has 73 lines'
clean
printf 'int many(int a, int b, int c,\n         int (*d)(int, int), int e, int f);\n' >>src/base/twice.h
finds sizes src/base/twice.h:8 'many\(\) takes 6 parameters'
clean
for number in $(seq 700); do echo "int line_$number;"; done >>src/budget/budget.c
finds sizes src/budget/budget.c:707 '707 lines'

clean
printf '/* Halves a number. */\nHR_API int hr_halve(\n    int number);\n' >>include/headroom/base.h
finds map include/headroom/base.h:11 'hr_halve is HR_API'
clean
sed -i 's/^local/    hr_halve;\nlocal/' src/headroom.map
finds map src/headroom.map:4 'hr_halve is in no public header'
finds map src/headroom.map:4 'hr_halve is not exported'
clean
sed -i 's/^local/    hr_*;\nlocal/' src/headroom.map
finds map src/headroom.map:4 'a pattern'
clean
echo '__attribute__((visibility("default"))) int hr_extra(void) { return 0; }' >extra.c
build src/budget/budget.c extra.c
finds map libheadroom.so:1 'hr_extra is exported'

clean
echo 'void *fill(void); void *fill(void) { return popen("date", "r"); }' >>src/budget/budget.c
build src/budget/budget.c
finds calls src/budget/budget.c:8 'popen'

clean
printf '```c\n#include "other.h"\n```\n' >>README.md
finds readme README.md:5 'in no file of examples'

clean
mkdir -p docs/man
printf '.TH X 1 "" "x"\n' >docs/man/x.1
finds docs docs/man/x.1:1 'no date'
printf '.TH X 7 "2026-11-27" "x"\n' >docs/man/headroom.7
finds docs docs/man/headroom.7:1 'base.h is not listed'
printf '.PHONY: release test test-vm\n' >Makefile
printf '| `make test` | tests |\n' >CONTRIBUTING.md
finds docs CONTRIBUTING.md:1 'test-vm is not listed'
touch src/budget/tree.c
echo '| `budget.c` | budgets |' >src/budget/README.md
finds docs src/budget/README.md:1 'tree.c is not listed'

clean
printf '/* %0114d */\n' 0 >>src/budget/budget.c
check words || { echo "selftest: words.sh refuses 120 columns"; cat "$work/log"; failed=1; }
printf '/* %0115d */\n' 0 >>src/budget/budget.c
finds words src/budget/budget.c:9 '121 columns'
clean
printf '| %0120d |\n' 0 >>README.md
check words || { echo "selftest: words.sh refuses a wide table"; cat "$work/log"; failed=1; }
clean
printf '/* All threads but for one\n * wait. */\n' >>src/budget/budget.c
finds words src/budget/budget.c:8 '"but for" is not plain'
# Words that the glossary has another word for.
for phrase in 'spoken for' 'limit will be met' 'meets the limit' 'pages that are coming' "others' memory" \
    'blind room' sight; do
    clean
    echo "/* A sentence with $phrase in it. */" >>src/budget/budget.c
    finds words src/budget/budget.c:8 'is not plain'
done
clean
printf '/* It waits. What is held by a thread goes back. */\n/* What is held by it? That. */\n' >>src/budget/budget.c
finds words src/budget/budget.c:8 'names no subject'
[ "$(wc -l <"$work/log")" -eq 1 ] ||
    { echo "selftest: words.sh takes a question for a noun"; failed=1; }
clean
echo "# A sentence: $(yes word | head -n 30 | tr '\n' ' ')." >run.sh
finds words run.sh:1 'a sentence of 32 words'
clean
printf 'One. %s\n' "$(yes a | head -n 31 | tr '\n' ' ')" >>README.md
finds words README.md:5 'a sentence of 31 words'
clean
printf '#   x     %s\n#       %s\n' "$(yes a | head -n 40 | tr '\n' ' ')" b >run.sh
check words || { echo "selftest: words.sh takes a table for a sentence"; cat "$work/log"; failed=1; }
clean
mkdir -p docs/man
printf '.TH X 1 "2026-11-27" "x"\n.SH NAME\nx \\- so\n.B many\nwords\n' >docs/man/x.1
finds words docs/man/x.1:3 '"so many" is not plain'

exit $failed
