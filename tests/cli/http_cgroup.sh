#!/usr/bin/env bash
# The page when memory has run out: a process that holds all that its cgroup grants still answers, from its own reserve,
# and is not killed.
set -euo pipefail
here=$(dirname "${BASH_SOURCE[0]}")
# shellcheck source=SCRIPTDIR/_common.sh
source "$here/_common.sh"
command -v curl >/dev/null || { echo "skipped: there is no curl"; exit 77; }
guard=$HEADROOM_BUILD_DIR/tests/tools/page_guard
[ -x "$guard" ] || { echo "skipped: libheadroom-http is not built here"; exit 77; }
group=""
started=""
# shellcheck disable=SC2317 # called by the trap
clean_up() {
    [ -z "$started" ] || kill "$started" 2>/dev/null || true
    [ -z "$started" ] || wait "$started" 2>/dev/null || true
    remove_group
    rm -rf "$work"
}
trap clean_up EXIT
run 0 --version # so that the outputs are there
limited_group http 64M
mkfifo "$work/hold"
(
    echo "$BASHPID" >"$group/cgroup.procs"
    export PAGE_GUARD_FILL=1
    exec "$guard" "$work/page.html" <"$work/hold" >"$work/port"
) &
started=$!
exec 9>"$work/hold"
for _ in {1..200}; do [ -s "$work/port" ] && break; sleep 0.1; done
url=http://127.0.0.1:$(cut -d' ' -f1 "$work/port")
ask() { curl -s -m 20 -o "$work/out" -w '%{http_code}' "$url$1"; } # PATH: its status

for _ in {1..200}; do
    ask /history.json >/dev/null || true
    jq -e '.runs[0].verdict_level == "critical"' "$work/out" >/dev/null 2>&1 && break
    sleep 0.1
done
holds '.runs[0].verdict_level == "critical"'
use=$(cat "$group/memory.usage_in_bytes" 2>/dev/null || cat "$group/memory.current")
[ "$use" -gt $((52 << 20)) ] || bad "it holds $use bytes: that is not full"
for _ in {1..5}; do
    for path in / /metrics /healthz /history.json; do
        status=$(ask "$path") || true
        [ "$status" = 200 ] || bad "at critical $path gives $status"
    done
    [ "$(ask /readyz)" = 503 ] || bad "at critical it is ready"
done
ask / >/dev/null
grep -q '</html>' "$work/out" || tail -c 200 "$work/out" | grep -q '</script>' || bad "the page is not whole"
events=$group/memory.oom_control
[ -e "$events" ] || events=$group/memory.events
kills=$(awk '$1 == "oom_kill" {print $2}' "$events")
[ "$kills" = 0 ] || bad "the kernel has killed $kills"
kill -0 "$started" 2>/dev/null || bad "it is gone"
exec 9>&-
wait "$started" || bad "it ends with $?"
started=""
exit "$failed"
