#!/usr/bin/env bash
# The Grafana dashboard: each query of each panel returns data from a Prometheus. It scrapes the page of the demo's
# server, and that of a process with pools, which the server has none of.
set -euo pipefail
here=$(dirname "${BASH_SOURCE[0]}")
# shellcheck source=SCRIPTDIR/_common.sh
source "$here/_common.sh"
for tool in curl prometheus; do
    command -v "$tool" >/dev/null || { echo "skipped: there is no $tool (Debian: $tool)"; exit 77; }
done
store=$HEADROOM_BUILD_DIR/examples/store/headroom-store
[ -x "$store" ] || { echo "skipped: headroom-store is not built here"; exit 77; }
pools=$HEADROOM_BUILD_DIR/tests/tools/page_guard
[ -x "$pools" ] || { echo "skipped: libheadroom-http is not built here"; exit 77; }
dashboard=$HEADROOM_SOURCE_DIR/integrations/grafana/headroom.json
jq -e '.panels | length > 8' "$dashboard" >/dev/null || bad "the dashboard is no JSON with panels"
# The store lives in a memory cgroup, as in a container: without one there are no figures of a cgroup.
group=""
started=()
# shellcheck disable=SC2317 # called by the trap
clean_up() {
    for pid in ${started[@]+"${started[@]}"}; do kill "$pid" 2>/dev/null || true; done
    for pid in ${started[@]+"${started[@]}"}; do wait "$pid" 2>/dev/null || true; done
    remove_group
    rm -rf "$work"
}
trap clean_up EXIT
wait_for() { # TENTHS COMMAND...
    local i
    for ((i = 0; i < $1; i++)); do
        "${@:2}" >/dev/null 2>&1 && return
        sleep 0.1
    done
    return 1
}

run 0 --version # so that the outputs are there
limited_group grafana 64M
(
    echo "$BASHPID" >"$group/cgroup.procs"
    exec "$store" --listen 127.0.0.1:0 --page 127.0.0.1:0 --limit 24MiB
) >"$work/store" 2>&1 &
started+=($!)
wait_for 100 grep -q 'listening on' "$work/store" || { bad "the store does not start"; exit 1; }
port=$(sed -n 's/.*listening on 127\.0\.0\.1:\([0-9]*\).*/\1/p' "$work/store")
page=$(sed -n 's/.*the page is on port \([0-9]*\).*/\1/p' "$work/store")
head -c 1000000 /dev/zero >"$work/body"
load() { # puts objects until some are refused
    local i
    for i in {1..12}; do
        curl -s -o /dev/null -m 5 -T "$work/body" "http://127.0.0.1:$port/pinned/$1.$i"
        curl -s -o /dev/null -m 5 -T "$work/body" "http://127.0.0.1:$port/cache/$1.$i"
    done
}
mkfifo "$work/hold"
"$pools" "$work/page.html" <"$work/hold" >"$work/pools" &
started+=($!)
exec 9>"$work/hold"
wait_for 100 test -s "$work/pools" || { bad "the process with pools does not start"; exit 1; }
load first

cat >"$work/prometheus.yml" <<YAML
global: {scrape_interval: 1s}
scrape_configs:
  - job_name: store
    static_configs: [{targets: ["127.0.0.1:$page", "127.0.0.1:$(cut -d' ' -f1 "$work/pools")"]}]
YAML
api=""
for attempt in {1..5}; do
    listen=$((20000 + (RANDOM + attempt) % 20000))
    prometheus --config.file="$work/prometheus.yml" --storage.tsdb.path="$work/data" \
        --web.listen-address="127.0.0.1:$listen" \
        --log.level=warn >"$work/log" 2>&1 &
    started+=($!)
    if wait_for 200 curl -sf -m 2 "http://127.0.0.1:$listen/-/ready"; then
        api=http://127.0.0.1:$listen/api/v1
        break
    fi
done
[ -n "$api" ] || { bad "prometheus does not start: $(tail -n 3 "$work/log")"; exit 1; }

query() { # EXPRESSION: how many series it gives
    curl -s -m 5 -G "$api/query" --data-urlencode "query=$1" | jq '.data.result | length'
}
# shellcheck disable=SC2317 # called by wait_for
has_samples() { # a rate needs two samples
    [ "$(query 'count_over_time(headroom_level[30s]) > 3')" = 2 ]
}
wait_for 300 has_samples || { bad "prometheus has no samples of the page"; exit 1; }
load second

# The variables of the dashboard, and their queries.
[ "$(curl -s -m 5 "$api/label/job/values" | jq -r '.data[0]')" = store ] || bad "the job is not known"
while IFS=$'\t' read -r title expression; do
    # The dashboard's variables.
    expression=${expression//\$job/store}
    expression=${expression//\$instance/.*}
    expression=${expression//\$__rate_interval/20s}
    got=$(query "$expression")
    [ "${got:-0}" -gt 0 ] || bad "panel '$title' has no data: $expression"
done < <(jq -r '.panels[] | .title as $title | .targets[] | [$title, .expr] | @tsv' "$dashboard" | sed 's/\\\\/\\/g')
# shellcheck disable=SC2016
[ "$(jq '[.panels[].targets[].expr
    | select(test("\\$job") and test("\\$instance") | not)] | length' "$dashboard")" = 0 ] ||
    bad "a panel does not heed the variables"
exit "$failed"
