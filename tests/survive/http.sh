#!/usr/bin/env bash
# The object store over HTTP, and its command line: right answers to wrong questions.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
build_dir=${HEADROOM_BUILD_DIR:-$here/../../build/release}
store=$build_dir/examples/store/headroom-store

if [ ! -x "$store" ]; then
    echo "skipped: headroom-store is not built (libmicrohttpd or uthash is missing)" && exit 77
fi
for tool in curl jq; do
    if ! command -v $tool >/dev/null; then
        echo "skipped: $tool is missing" && exit 77
    fi
done

work=$(mktemp -d)
server=""
# shellcheck disable=SC2317 # called by the trap
clean_up() {
    if [ -n "$server" ] && kill -KILL "$server" 2>/dev/null; then
        wait "$server" 2>/dev/null || true
    fi
    rm -rf "$work"
}
trap clean_up EXIT
# A second signal does not disturb the cleaning up.
trap 'trap "" INT TERM; exit 130' INT
trap 'trap "" INT TERM; exit 143' TERM

failures=0
checks=0

check() { # what expected actual
    checks=$((checks + 1))
    if [ "$2" != "$3" ]; then
        failures=$((failures + 1))
        printf 'FAILED: %s\n    expected: %s\n    actual:   %s\n' "$1" "$2" "$3"
    fi
}

check_match() { # what pattern actual
    checks=$((checks + 1))
    if ! [[ $3 =~ $2 ]]; then
        failures=$((failures + 1))
        printf 'FAILED: %s\n    expected to match: %s\n    actual:            %s\n' "$1" "$2" "$3"
    fi
}

# ── the server ───────────────────────────────────────────────────────────────────────────────────────────────────────

start() { # option...
    : >"$work/out" # here, not by the new process: what it says on its port is not to be that of the one before
    "$store" --listen 127.0.0.1:0 "$@" >"$work/out" 2>"$work/err" &
    server=$!
    for _ in {1..100}; do
        port=$(sed -n 's/.*listening on 127\.0\.0\.1:\([0-9]*\).*/\1/p' "$work/out" 2>/dev/null || true)
        [ -z "$port" ] || break
        sleep 0.05
    done
    if [ -z "$port" ]; then
        echo "the server did not start:" && cat "$work/err" && exit 1
    fi
    url=http://127.0.0.1:$port
}

stop() { # sets `status`
    status=0
    kill "$server" 2>/dev/null || true
    wait "$server" || status=$?
    server=""
}

request() { # curl option...: sets `code`; the body is in $work/body, the headers in $work/headers
    code=$(curl -s --max-time 10 --noproxy '*' -o "$work/body" -D "$work/headers" -w '%{http_code}' "$@" || true)
}

body() {
    cat "$work/body"
}

header() { # name, in lower case
    tr -d '\r' <"$work/headers" | awk -F': ' -v name="$1" 'tolower($1) == name { value = $2 } END { print value }'
}

metric() { # name
    curl -s --max-time 10 --noproxy '*' "$url/metrics" | awk -v name="$1" '$1 == name { print $2 }'
}

# Sends bytes as they are, waits for the answer's end, and prints it.
raw() { # bytes
    exec 9<>"/dev/tcp/127.0.0.1/$port"
    printf '%b' "$1" >&9
    timeout 5 cat <&9 || true
    exec 9<&-
}

# Waits until a command prints what is expected, for a few seconds.
eventually() { # what expected command...
    local actual=""
    for _ in {1..60}; do
        actual=$("${@:3}")
        [ "$actual" != "$2" ] || break
        sleep 0.05
    done
    check "$1" "$2" "$actual"
}

file() { # size: a file of that many random bytes
    head -c "$1" /dev/urandom >"$work/file.$1"
    echo "$work/file.$1"
}

# ── the command line ─────────────────────────────────────────────────────────────────────────────────────────────────

wrong_option() { # pattern option...
    local status=0 said
    said=$(timeout 5 "$store" "${@:2}" 2>&1 >/dev/null) || status=$?
    check "exit status of headroom-store ${*:2}" 2 "$status"
    check_match "what headroom-store ${*:2} says" "$1" "$said"
}

wrong_option "^headroom-store: unrecognized option '--frob'" --frob
wrong_option "^headroom-store: --limit is for the guard" --unguarded --limit 5MiB
wrong_option "--history is for the guard" --history "$work/history" --unguarded
wrong_option "thresholds are for the guard" --unguarded --recover-below 0.5
wrong_option "'/tmp' is not expected" /tmp
wrong_option "--limit '' is no size: write a number and B" --limit
wrong_option "'--unguarded' doesn't allow an argument" --unguarded=1
wrong_option "'12XB' is no size.*100MiB" --limit 12XB
wrong_option "'-1' is no size" --limit -1
wrong_option "'' is no size" --limit ''
wrong_option "'99999999999999999999' is more than can be counted" --limit 99999999999999999999
wrong_option "'17179869184GiB' is more than can be counted" --limit 17179869184GiB
wrong_option "'0' is too small" --limit 0
wrong_option "'1MiB' is too small" --limit 1MiB
wrong_option "'1.5' is no share.*0.85" --warn-at 1.5
wrong_option "'nan' is no share" --degrade-at nan
wrong_option "'80%' is no share" --recover-below 80%
wrong_option "'0' is no share" --pinned-share 0
wrong_option "contradict each other" --warn-at 0.9 --degrade-at 0.8
wrong_option "contradict each other" --degrade-at 0.8 --recover-below 0.85
wrong_option "'8080' is no HOST:PORT" --listen 8080
wrong_option "'127.0.0.1:99999' is no HOST:PORT" --listen 127.0.0.1:99999
wrong_option "':80' is no HOST:PORT" --listen :80
wrong_option "from 1 to" --max-connections 0
wrong_option "from 1 to" --max-connections many
check_match "--version" '^headroom-store [0-9]+\.[0-9]+\.[0-9]+$' "$("$store" --version)"
check_match "--help" 'Usage: headroom-store' "$("$store" --help)"

if [ -e /dev/full ]; then
    for word in --help --version --limit=32MiB; do
        said=$(timeout 5 "$store" --listen 127.0.0.1:0 $word 2>&1 >/dev/full) && status=0 || status=$?
        check "exit status of headroom-store $word on a full disk" 1 "$status"
        check_match "what it says" 'standard output: No space left' "$said"
    done
fi

# ── large objects ────────────────────────────────────────────────────────────────────────────────────────────────────

# Their list of blocks is longer than what libmicrohttpd has for a connection, which ended the server.
start --limit 128MiB
bulky=$(file 20000000)
for class in cache pinned; do
    request -T "$bulky" "$url/$class/bulky"
    check "PUT of a large object ($class)" 201 "$code"
    for _ in 1 2; do
        request "$url/$class/bulky"
        check "GET of a large object ($class)" "200 $(sha256sum <"$bulky")" "$code $(sha256sum <"$work/body")"
    done
    request -I "$url/$class/bulky"
    check "HEAD of a large object ($class)" "200 20000000" "$code $(header content-length)"
done
stop
check "SIGTERM after large objects" 0 "$status"

# ── paths, methods, keys ─────────────────────────────────────────────────────────────────────────────────────────────

start --limit 32MiB
small=$(file 1000)
large=$(file 3000000)
head='Host: x\r\nConnection: close\r\n'

for class in cache pinned; do
    request -T "$large" "$url/$class/a"
    check "PUT of a new object ($class)" 201 "$code"
    request -T "$small" "$url/$class/a"
    check "PUT of a known object ($class)" 204 "$code"
    request "$url/$class/a"
    check "GET ($class)" 200 "$code"
    check "the latest bytes ($class)" "$(sha256sum <"$small")" "$(sha256sum <"$work/body")"
    request -T - -H 'Transfer-Encoding: chunked' "$url/$class/chunked" <"$large"
    check "PUT without a length ($class)" 201 "$code"
    request "$url/$class/chunked"
    check "the bytes sent without a length ($class)" "$(sha256sum <"$large")" "$(sha256sum <"$work/body")"
    request -X PUT -H 'Content-Length: 0' "$url/$class/empty"
    check "PUT of an empty object ($class)" 201 "$code"
    request "$url/$class/empty"
    check "GET of an empty object ($class)" "200 0" "$code $(stat -c %s "$work/body")"
    request -I "$url/$class/chunked"
    check "HEAD ($class)" "200 3000000" "$code $(header content-length)"
    request -X DELETE "$url/$class/chunked"
    check "DELETE ($class)" 204 "$code"
    request -X DELETE "$url/$class/chunked"
    check "DELETE again ($class)" 404 "$code"
    request "$url/$class/chunked"
    check "GET of what was deleted ($class)" 404 "$code"
    request -X POST -d x "$url/$class/a"
    check "POST ($class)" "405 GET, HEAD, PUT, DELETE" "$code $(header allow)"
    for key in 'a%20b' 'a%2fb' 'a/b' '%00' 'a%00b' 'a%00' 'ä' "$(printf 'k%.0s' {1..201})"; do
        request -T "$small" "$url/$class/$key"
        check "PUT with the key $key ($class)" 400 "$code"
        request "$url/$class/$key"
        check "GET with the key $key ($class)" 400 "$code"
        request -X DELETE "$url/$class/$key"
        check "DELETE with the key $key ($class)" 400 "$code"
    done
    request "$url/$class/a"
    check "what has a similar key is still there ($class)" 200 "$code"
    request "$url/$class/"
    check "GET without a key ($class)" 400 "$code"
    request -T "$small" "$url/$class/$(printf 'k%.0s' {1..200})"
    check "a key of 200 characters ($class)" 201 "$code"
done
request "$url/frob"
check "a path that is not there" 404 "$code"
request -T "$small" "$url/healthz"
check "PUT /healthz" "405 GET, HEAD" "$code $(header allow)"
request "$url/healthz"
check "GET /healthz" 200 "$code"
request "$url/readyz"
check "GET /readyz" 200 "$code"

# ── bodies that are not what they say ────────────────────────────────────────────────────────────────────────────────

check_match "a body longer than announced" 'HTTP/1.1 201.*' \
    "$(raw 'PUT /pinned/surplus HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\nabcdEFGH IJKL\r\n\r\n' | tr -d '\r\n')"
request "$url/pinned/surplus"
check "what is kept of it" "abcd" "$(body)"
for length in -1 4x '' 99999999999999999999999; do
    check_match "Content-Length: $length" 'HTTP/1.1 4[01][0-9]' \
        "$(raw "PUT /cache/bad HTTP/1.1\\r\\n${head}Content-Length: $length\\r\\n\\r\\nabcd" | head -n 1)"
done
for length in 18446744073709551614 9223372036854775807 100000000000; do
    check_match "Content-Length: $length" 'HTTP/1.1 413' \
        "$(raw "PUT /cache/bad HTTP/1.1\\r\\n${head}Content-Length: $length\\r\\n\\r\\nabcd" | head -n 1)"
done
check_match "a chunk that is none" 'HTTP/1.1 400' \
    "$(raw "PUT /cache/bad HTTP/1.1\\r\\n${head}Transfer-Encoding: chunked\\r\\n\\r\\nxyz\\r\\nabcd" | head -n 1)"
request "$url/cache/bad"
check "nothing of them is kept" 404 "$code"

held=$(metric headroom_live_bytes)
for _ in {1..20}; do
    exec 9<>"/dev/tcp/127.0.0.1/$port"
    printf 'PUT /pinned/surplus HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\nwxyz' >&9
    exec 9<&-
done
in_flight() {
    metric headroom_store_requests_in_flight
}
eventually "clients that vanished are forgotten" 1 in_flight
check "their promises are given back" 0 "$(metric headroom_promised_bytes)"
eventually "their bytes are given back" "$held" metric headroom_live_bytes
request "$url/pinned/surplus"
check "the old object stays until the new one is whole" "abcd" "$(body)"

# ── metrics ──────────────────────────────────────────────────────────────────────────────────────────────────────────

request "$url/metrics"
check "one # EOF" 1 "$(grep -c '^# EOF$' "$work/body")"
check "which is the last line" '# EOF' "$(tail -n 1 "$work/body")"
check "lines that are no OpenMetrics" "" "$(grep -vE \
    '^(# (TYPE|UNIT|HELP) [a-z_]+ .+|[a-z_]+(\{[a-z]+="[^"]*"\})? [0-9.e+-]+|# EOF)$' "$work/body" || true)"
check "families that begin twice" "" "$(awk '$2 == "TYPE" { print $3 }' "$work/body" | sort | uniq -d)"
check "samples that occur twice" "" "$(awk '!/^#/ { print $1 }' "$work/body" | sort | uniq -d)"
check "the level" 0 "$(metric headroom_level)"
if command -v promtool >/dev/null; then
    promtool check metrics <"$work/body" >/dev/null 2>&1 && lint=0 || lint=$?
    check_match "promtool reads it" '^[03]$' "$lint" # 3 is a matter of taste
fi

# ── refusals ─────────────────────────────────────────────────────────────────────────────────────────────────────────

refused() { # what code error: of the last request
    check "$1: status" "$2" "$code"
    check "$1: JSON" "$3 true true true true" "$(jq -r '[.error, (.limit | length > 0), (.asked_bytes > 0),
        (.left_bytes >= 0), (.retry_after_ms > 0)] | join(" ")' "$work/body" 2>&1)"
    check_match "$1: Retry-After" '^[1-9][0-9]*$' "$(header retry-after)"
    check "$1: type" application/json "$(header content-type)"
}

hopeless() { # what limit: of the last request
    check "$1: status" 413 "$code"
    check "$1: JSON" "too large|$2|true|null" "$(jq -r '[.error, .limit, .asked_bytes > .left_bytes,
        (.retry_after_ms | tostring)] | join("|")' "$work/body" 2>&1)"
    check "$1: Retry-After" "" "$(header retry-after)"
    check "$1: type" application/json "$(header content-type)"
}

huge=$(file 40000000)
limit=$(sed -n 's/.*limit [^(]*(\(.*\))$/\1/p' "$work/out")
request -H 'Expect: 100-continue' -T "$huge" "$url/cache/huge"
hopeless "an object larger than the limit" "$limit"
check "of which nothing was read" 0 "$(grep -c '100 Continue' "$work/headers" || true)"
request -H 'Expect: 100-continue' -H 'Content-Length: 31000000' -X PUT "$url/cache/huge"
# By the level that it would lead to, or by the limit where other objects already leave less than that.
by=$(jq -r .limit "$work/body")
check_match "an object that would degrade by itself: by what" "^(level degraded|$limit)\$" "$by"
hopeless "an object that would degrade by itself" "$by"
request -H 'Expect:' -T "$huge" "$url/cache/huge"
hopeless "an object larger than the limit, sent at once" "$limit"
request -T - -H 'Transfer-Encoding: chunked' "$url/cache/huge" <"$huge"
check "an object larger than the limit, without a length: status" 413 "$code"
request -T - -H 'Transfer-Encoding: chunked' "$url/pinned/huge" <"$huge"
hopeless "a pinned object larger than their share, without a length" pinned
request "$url/pinned/huge"
check "nothing of it is kept" 404 "$code"
request -H 'Content-Length: 12000000' -X PUT -H 'Expect: 100-continue' "$url/pinned/huge"
hopeless "a pinned object larger than their share" pinned

middle=$(file 8000000)
request -T "$middle" "$url/pinned/surplus"
check "a pinned object within its share" 204 "$code"
request -T "$middle" "$url/pinned/surplus"
refused "its replacement, for which there is no room beside it" 507 "no budget"
request "$url/pinned/surplus"
check "the old one is still there" "200 8000000" "$code $(stat -c %s "$work/body")"

for i in {1..20}; do
    request -T "$large" "$url/cache/fill$i"
    check "the cache takes more than fits ($i)" 201 "$code"
done
request "$url/cache/fill20"
check "the newest is there" 200 "$code"
request -H 'Expect: 100-continue' -T "$huge" "$url/cache/huge"
check "an object larger than the limit, when there is no room" 413 "$code"
request "$url/cache/fill20"
check "nothing is evicted for it" 200 "$code"
request "$url/cache/fill1"
check "the oldest made room" 404 "$code"
check "the limit was kept" 1 "$(($(metric headroom_peak_bytes) <= 32 * 1024 * 1024))"
check "pinned objects were not touched" 0 "$(metric 'headroom_store_evictions_total{class="pinned"}')"
check "nothing was misused" 0 "$(metric headroom_faults_total)"
stop
check "SIGTERM ends it with status 0" 0 "$status"

# ── critical ─────────────────────────────────────────────────────────────────────────────────────────────────────────

# Idle connections are charged too: enough of them reach the limit, and there is no cache to yield.
start --limit 4MiB --pinned-share 0.5
request -T "$small" "$url/pinned/a"
check "a small object" 201 "$code"
descriptors=()
for _ in {1..250}; do
    exec {descriptor}<>"/dev/tcp/127.0.0.1/$port"
    descriptors+=("$descriptor")
done
eventually "the level" 3 metric headroom_level
check_match "each change of level is said" 'headroom-store: critical, was ' "$(cat "$work/err")"
request "$url/healthz"
check "GET /healthz when critical" 200 "$code"
request "$url/readyz"
check "GET /readyz when critical" 503 "$code"
request "$url/pinned/a"
check "GET when critical" "200 1000" "$code $(stat -c %s "$work/body")"
request -T "$small" "$url/pinned/b"
refused "PUT when critical" 503 overloaded
request -X DELETE "$url/pinned/a"
check "DELETE when critical" 204 "$code"
for descriptor in "${descriptors[@]}"; do
    exec {descriptor}<&-
done
ready() {
    request "$url/readyz"
    echo "$code"
}
eventually "it is ready again when they are gone" 200 ready
stop
check "SIGTERM after that" 0 "$status"

# ── slow clients ─────────────────────────────────────────────────────────────────────────────────────────────────────

# They hold all connections, and each brings a byte now and then: of its headers, or of a body.
start --limit 64MiB --max-connections 4
request -T "$small" "$url/pinned/a"
descriptors=()
for _ in 1 2 3 4; do
    exec {descriptor}<>"/dev/tcp/127.0.0.1/$port"
    descriptors+=("$descriptor")
done
for descriptor in "${descriptors[@]:0:2}"; do
    printf 'PUT /pinned/a HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\n' >&"$descriptor"
done
(
    trap '' PIPE
    for _ in {1..24}; do
        for descriptor in "${descriptors[@]}"; do
            printf x >&"$descriptor" || true
        done
        sleep 0.5
    done
) 2>/dev/null &
drip=$!
sleep 1
request "$url/healthz"
check "GET /healthz while slow clients hold all connections" 200 "$code"
request "$url/pinned/a"
check "of whose bodies nothing is kept" "200 1000" "$code $(stat -c %s "$work/body")"
kill "$drip" 2>/dev/null || true
wait "$drip" || true
for descriptor in "${descriptors[@]}"; do
    exec {descriptor}<&-
done
stop
check "SIGTERM after slow clients" 0 "$status"

# ── degraded ─────────────────────────────────────────────────────────────────────────────────────────────────────────

start --limit 16MiB --pinned-share 1.0 --warn-at 0.3 --degrade-at 0.4 --critical-at 0.9 --recover-below 0.3
for i in {1..30}; do
    request -T "$small" "$url/pinned/small$i"
done
for i in 1 2 3; do
    request -T "$large" "$url/pinned/large$i"
done
refused "a large object that would degrade" 413 "too large"
request -T "$middle" "$url/pinned/middle"
check "one that would degrade by itself" "413 " "$code $(header retry-after)"
stop

# ── draining ─────────────────────────────────────────────────────────────────────────────────────────────────────────

start --limit 64MiB
curl -s --max-time 20 --noproxy '*' --limit-rate 2M -T "$large" -o /dev/null -w '%{http_code}' "$url/pinned/slow" \
    >"$work/slow" &
upload=$!
exec 9<>"/dev/tcp/127.0.0.1/$port" # idle, and not waited for
two() {
    metric headroom_store_requests_in_flight
}
eventually "an upload is under way" 2 two
kill "$server"
sleep 0.3
request "$url/healthz"
check "nothing new is accepted while draining" 000 "$code"
wait "$upload" || true
check "what was in flight is finished" 201 "$(cat "$work/slow")"
stop
exec 9<&-
check "draining ends with status 0" 0 "$status"

start --unguarded
request -T "$large" "$url/pinned/a"
check "unguarded: PUT" 201 "$code"
request "$url/metrics"
check "unguarded: metrics" "200 1" "$code $(grep -c '^# EOF$' "$work/body")"
stop
check "unguarded: SIGTERM" 0 "$status"

echo "$((checks - failures)) of $checks checks passed"
[ "$failures" -eq 0 ]
