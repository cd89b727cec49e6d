#!/usr/bin/env bash
# The page in a real Chromium: from a history file of 100,000 samples, of a guard, and live.
set -euo pipefail
here=$(dirname "${BASH_SOURCE[0]}")
# shellcheck source=SCRIPTDIR/_common.sh
source "$here/_common.sh"
guard=""
# shellcheck disable=SC2317 # called by the trap
clean_up() {
    [ -z "$guard" ] || kill "$guard" 2>/dev/null || true
    rm -rf "$work"
}
trap clean_up EXIT
tools=$HEADROOM_BUILD_DIR/tests/tools

"$tools/page_history" "$work/history" 100000
if ! "$headroom" report "$work/history" --html -o "$work/file.html" 2>"$work/errors"; then
    grep -q 'without its page' "$work/errors" || bad "there is no page, and it does not say that npm is missing"
    [ "$failed" = 0 ] || exit 1
    echo "skipped: this build has no page (npm was missing)"
    exit 77
fi
run 0 report "$work/history" --html
cmp -s "$work/out" "$work/file.html" || bad "standard output and -o are not the same"
run 2 report "$work/history" --html --json
says errors "give one of them"
run 1 report "$work/history" --html -o "$work/none/file.html"
says errors "could not be written: No such file"
head -c 100 "$work/file.html" | grep -q '<!doctype html>' || bad "it is no HTML"
for licence in uplot d3-hierarchy; do
    grep -q "^$licence [0-9]" "$work/file.html" || bad "the licence of $licence is missing"
done
# Nothing in it points elsewhere, except for links in comments of licences.
! grep -oE '(src|href|action)="[^"]*"' "$work/file.html" | grep -v '"data:,"' || bad "the above points outside"

browser=$(command -v chromium || command -v chromium-browser || command -v google-chrome || true)
[ -n "$browser" ] || { echo "skipped: there is no Chromium"; exit 77; }
command -v node >/dev/null || { echo "skipped: there is no node"; exit 77; }
[ -d "$HEADROOM_BUILD_DIR/web/node_modules/playwright-core" ] ||
    { echo "skipped: there is no playwright-core"; exit 77; }
url=""
if [ -x "$tools/page_guard" ]; then
    mkfifo "$work/hold"
    PAGE_GUARD_HISTORY=$work/guard.history "$tools/page_guard" "$work/guard.html" <"$work/hold" >"$work/port" &
    guard=$!
    exec 9>"$work/hold"
    for _ in {1..100}; do [ -s "$work/port" ] && break; sleep 0.1; done
    url=http://127.0.0.1:$(cut -d' ' -f1 "$work/port")/
    # Its budgets, pools and caches come with the second census.
    for _ in {1..100}; do
        run 0 report --json "$work/guard.history"
        jq -e '.census.rows | map(.used_bytes) | length > 4 and any(. == 7340032)' "$work/out" >/dev/null && break
        sleep 0.1
    done
    holds '[.census.rows[] | select(.kind == "budget") | .name]
        | any(endswith("</script><script>document.title=1</script>"))'
    run 0 report "$work/guard.history"
    says out "budget      7.0 MiB of 8.0 MiB, root/</script>"
    run 0 report --html "$work/guard.history" -o "$work/budgets.html"
fi
timeout 200 node "$here/page.mjs" "$HEADROOM_BUILD_DIR/web" "$browser" "$work/file.html" "$work/guard.html" "$url" \
    "$work/budgets.html" || failed=1
exit "$failed"
