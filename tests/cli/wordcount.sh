#!/usr/bin/env bash
# tests/tools/wordcount from its command line: right words, wrong ones, what cannot be read or written.
set -euo pipefail
: "${HEADROOM_BUILD_DIR:?is the build to test}"
wordcount=$HEADROOM_BUILD_DIR/tests/tools/wordcount
[ -x "$wordcount" ] || { echo "skipped: wordcount is not built here"; exit 77; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
failed=0

# run STATUS OUT ERRORS WORD...: what it ends with, prints, and says in part.
run() {
    local wanted=$1 out=$2 errors=$3 status=0
    shift 3
    "$wordcount" "$@" >"$work/out" 2>"$work/errors" <"$work/text" || status=$?
    if [ "$status" -ne "$wanted" ] || [ "$(cat "$work/out")" != "$out" ] ||
        [[ $(cat "$work/errors") != *"$errors"* ]]; then
        echo "wordcount $*: status $status"
        cat "$work/out" "$work/errors"
        failed=1
    fi
}

printf 'one two\nthree\n' >"$work/text"
for words in - '--workers 2 -' '--workers 0 -' '--naive -'; do
    # shellcheck disable=SC2086 # words
    run 0 '2 3 14' '' $words
done
run 0 '2 3 14' '' "$work/text"
for words in --bogus --workers '--workers abc' '--workers 2x' '--workers -1' '--workers 129' -x 'a b'; do
    # shellcheck disable=SC2086 # words
    run 2 '' 'without FILE it counts itself, /proc/self/exe' $words
done
run 1 '' 'No such file' "$work/nowhere"
# A count up to an error is no result.
run 1 '' 'Is a directory' "$work"
run 1 '' 'Is a directory' --naive "$work"
if [ -e /dev/full ]; then
    "$wordcount" "$work/text" >/dev/full 2>"$work/errors" && { echo "a full disk is success"; failed=1; }
    grep -q 'standard output' "$work/errors" || { echo "a full disk is not said"; failed=1; }
fi
exit "$failed"
