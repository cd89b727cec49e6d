#!/usr/bin/env bash
# A real Prometheus scrapes the store's /metrics: what it has stored is what the store said, and nothing was dropped.
set -euo pipefail
: "${HEADROOM_BUILD_DIR:?is the build to test}"
store=$HEADROOM_BUILD_DIR/examples/store/headroom-store
[ -x "$store" ] || { echo "skipped: headroom-store is not built (libmicrohttpd or uthash is missing)"; exit 77; }
for tool in curl jq prometheus; do
    command -v $tool >/dev/null || { echo "skipped: $tool is missing (Debian: apt-get install $tool)"; exit 77; }
done
work=$(mktemp -d)
pids=()
# shellcheck disable=SC2317 # called by the trap
clean_up() {
    for pid in "${pids[@]}"; do
        kill "$pid" 2>/dev/null || true
        wait "$pid" 2>/dev/null || true
    done
    rm -rf "$work"
}
trap clean_up EXIT
trap 'trap "" INT TERM; exit 143' INT TERM
failed=0

check() { # what expected actual
    if [ "$2" != "$3" ]; then
        failed=1
        printf 'FAILED: %s\n    expected: %s\n    actual:   %s\n' "$1" "$2" "$3"
    fi
}

get() {
    curl -s --max-time 10 --noproxy '*' "$@"
}

"$store" --listen 127.0.0.1:0 --limit 64MiB >"$work/out" 2>"$work/err" &
pids+=($!)
port=""
for _ in {1..100}; do
    port=$(sed -n 's/.*listening on 127\.0\.0\.1:\([0-9]*\).*/\1/p' "$work/out")
    [ -z "$port" ] || break
    sleep 0.05
done
[ -n "$port" ] || { echo "the store did not start:"; cat "$work/err"; exit 1; }
head -c 1000000 /dev/zero | get -T - "http://127.0.0.1:$port/pinned/a"

cat >"$work/prometheus.yml" <<YAML
global: {scrape_interval: 1s}
scrape_configs:
  - job_name: store
    static_configs: [{targets: ["127.0.0.1:$port"]}]
YAML
# A port of our own choosing may be taken: then another one is tried.
api=""
for _ in 1 2 3; do
    listen=$((20000 + RANDOM % 20000))
    prometheus --config.file="$work/prometheus.yml" --storage.tsdb.path="$work/data" \
        --web.listen-address="127.0.0.1:$listen" --log.level=warn >"$work/prometheus.log" 2>&1 &
    pids+=($!)
    for _ in {1..100}; do
        if get -f "http://127.0.0.1:$listen/-/ready" >/dev/null; then
            api=http://127.0.0.1:$listen/api/v1
            break 2
        fi
        kill -0 "${pids[-1]}" 2>/dev/null || break
        sleep 0.1
    done
done
[ -n "$api" ] || { echo "prometheus did not start:"; cat "$work/prometheus.log"; exit 1; }

query() { # EXPRESSION: its value
    get -G "$api/query" --data-urlencode "query=$1" | jq -r '.data.result[0].value[1] // "none"'
}

for _ in {1..100}; do
    [ "$(query 'up{job="store"}')" = none ] || break
    sleep 0.1
done
check "the scrape is good" 1 "$(query 'up{job="store"}')"
check "its error" "" "$(get "$api/targets" | jq -r '.data.activeTargets[0].lastError')"
get -H 'Accept: application/openmetrics-text' "http://127.0.0.1:$port/metrics" >"$work/metrics"
check "all samples are kept" "$(grep -vc '^#' "$work/metrics")" \
    "$(query 'scrape_samples_post_metric_relabeling{job="store"}')"
check "the limit" "$((64 << 20))" "$(query headroom_limit_bytes)"
check "a budget's limit" "$((64 * 1024 * 1024 * 3 / 10))" \
    "$(query 'floor(headroom_budget_limit_bytes{budget="root/pinned"})')"
check "an object is held" 1 "$(query 'headroom_budget_used_bytes{budget="root/pinned"} > bool 1000000')"
check "counters are counters" counter \
    "$(get "$api/metadata?metric=headroom_refusals" | jq -r '.data.headroom_refusals[0].type')"
check "with their unit" bytes \
    "$(get "$api/metadata?metric=headroom_held_bytes" | jq -r '.data.headroom_held_bytes[0].unit')"
check "and their help" "charged and not given back" \
    "$(get "$api/metadata?metric=headroom_live_bytes" | jq -r '.data.headroom_live_bytes[0].help')"
exit $failed
