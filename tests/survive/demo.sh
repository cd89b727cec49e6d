#!/usr/bin/env bash
# The demo's words before its trials: that they will prove nothing, where that is so; and in colour only where wanted.
# With a server that ends at once, and the demo with it.
#
# A function that is called by its name in a variable looks unreachable to shellcheck.
# shellcheck disable=SC2317
set -euo pipefail
: "${HEADROOM_SOURCE_DIR:?is the tree}"
demo=$HEADROOM_SOURCE_DIR/examples/store/demo.sh
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
failed=0
mkdir -p "$work/build/examples/store"
for program in headroom-store headroom-load; do
    printf '#!/bin/sh\nexit 1\n' >"$work/build/examples/store/$program"
    chmod 755 "$work/build/examples/store/$program"
done
export HEADROOM_BUILD_DIR=$work/build HEADROOM_CAGE=rlimit

expect() { # WHAT COMMAND...: of $work/out
    local what=$1
    shift
    "$@" || { echo "demo: $what" && sed 's/^/    /' "$work/out" && failed=1; }
}

colours() { # yes|no
    [ "$(grep -q $'\033' "$work/out" && echo yes || echo no)" = "$1" ]
}

bash "$demo" >"$work/out" 2>&1 && { echo "demo: it succeeds without a server" && failed=1; }
line() { # PATTERN: where it stands first
    grep -nm 1 "$1" "$work/out" | cut -d: -f1 || true
}
warned=$(line 'RLIMIT_AS kills nobody')
tried=$(line 'the server did not start')
expect "it is not said beforehand that RLIMIT_AS proves nothing" [ "${warned:-9999}" -lt "${tried:-0}" ]
expect "there are colours in a file" colours no

if command -v script >/dev/null; then
    env -u NO_COLOR script -qec "bash '$demo'" /dev/null >"$work/out" </dev/null || true
    expect "there are no colours on a terminal" colours yes
    NO_COLOR=1 script -qec "bash '$demo'" /dev/null >"$work/out" </dev/null || true
    expect "NO_COLOR is not heeded" colours no
fi
exit $failed
