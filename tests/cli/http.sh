#!/usr/bin/env bash
# The live page over HTTP: who is answered, with what, and a run's own page.
set -euo pipefail
here=$(dirname "${BASH_SOURCE[0]}")
# shellcheck source=SCRIPTDIR/_common.sh
source "$here/_common.sh"
command -v curl >/dev/null || { echo "skipped: there is no curl"; exit 77; }
guard=$HEADROOM_BUILD_DIR/tests/tools/page_guard
[ -x "$guard" ] || { echo "skipped: libheadroom-http is not built here"; exit 77; }
started=()
# shellcheck disable=SC2317 # called by the trap
clean_up() {
    for pid in ${started[@]+"${started[@]}"}; do kill "$pid" 2>/dev/null || true; done
    rm -rf "$work"
}
trap clean_up EXIT

start_guard() { # NAME [TOKEN]: sets url and held, which ends it when it is closed
    mkfifo "$work/hold.$1"
    rm -f "$work/port"
    HEADROOM_HTTP_TOKEN=${2:-} "$guard" "$work/page.html" <"$work/hold.$1" >"$work/port" &
    started+=($!)
    exec {held}>"$work/hold.$1"
    for _ in {1..100}; do [ -s "$work/port" ] && break; sleep 0.1; done
    url=http://127.0.0.1:$(cut -d' ' -f1 "$work/port")
}

ask() { # STATUS OPTION...: the body goes to $work/out
    local wanted=$1 status
    shift
    status=$(curl -s -m 10 -o "$work/out" -w '%{http_code}' "$@") || true
    [ "$status" = "$wanted" ] || bad "curl $* gives $status, not $wanted"
}

unset HEADROOM_HTTP_TOKEN
start_guard plain
port=${url##*:}

ask 200 "$url/healthz"
ask 200 "$url/readyz"
ask 404 "$url/other"
says out "no such path"
ask 405 -X POST -d x "$url/"
ask 405 -X PUT -T "$0" "$url/history.json"
ask 200 "$url/history.json"
holds '.format == 1 and .live and (.runs | length) == 1'
holds '.runs[0]
    | .is_guard and .limit_bytes == 67108864 and (.rows | length) > 0 and (.rows[0] | length) == (.columns | length)'
holds '[.runs[0].budgets[].name] | any(endswith("</script><script>document.title=1</script>"))'
holds '.runs[0].pools[0].name == "bodies" and .runs[0].caches[0].name == "pages"'
grep -q '</script>' "$work/out" && bad "a name of a budget is not escaped"
ask 200 "$url/metrics"
if command -v promtool >/dev/null; then
    status=0
    promtool check metrics <"$work/out" >"$work/said" 2>&1 || status=$?
    [ $status = 0 ] || [ $status = 3 ] || bad "promtool does not understand the metrics"
fi
tail -n 1 "$work/out" | grep -qx '# EOF' || bad "the metrics do not end"

# DNS rebinding and other origins.
ask 403 -H 'Host: evil.example' "$url/metrics"
says out "this Host is not answered"
ask 403 -H "Host: evil.example:$port" "$url/"
ask 403 -H 'Host: 127.0.0.1.evil.example' "$url/history.json"
ask 403 -H 'Host: ' "$url/history.json"
ask 200 -H "Host: localhost:$port" "$url/history.json"
ask 200 -H "Host: LOCALHOST" "$url/history.json"
ask 200 -H "Host: [::1]:$port" "$url/history.json"
ask 403 -H 'Origin: http://evil.example' "$url/history.json"
ask 403 -H 'Origin: null' "$url/history.json"
ask 200 -H "Origin: $url" "$url/history.json"
ask 200 -H 'Host: evil.example' "$url/healthz" # says nothing, and probes come by names

curl -s -D "$work/out" -o /dev/null "$url/history.json"
for header in 'Cache-Control: no-store' 'X-Content-Type-Options: nosniff' 'X-Frame-Options: DENY' \
    "Content-Security-Policy: default-src 'none'" 'Cross-Origin-Resource-Policy: same-origin'; do
    says out "$header"
done

# Three clients at a time read nothing: those that come meanwhile are told to come again, and served afterwards.
python3 - "$port" <<'PYTHON' || bad "slow readers keep everybody out"
import socket, sys, time, urllib.request, urllib.error
port = int(sys.argv[1])
slow = []
for _ in range(3):
    s = socket.socket()
    s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
    s.connect(("127.0.0.1", port))
    s.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
    slow.append(s)
time.sleep(0.5)
assert urllib.request.urlopen(f"http://127.0.0.1:{port}/healthz", timeout=5).status == 200
for s in slow:
    s.close()
for _ in range(100):
    try:
        assert urllib.request.urlopen(f"http://127.0.0.1:{port}/history.json", timeout=5).status == 200
        break
    except urllib.error.HTTPError as error:
        assert error.code == 503 and error.headers["Retry-After"]
        time.sleep(0.1)
else:
    sys.exit(1)
PYTHON

# Sixteen connections are open at a time. A probe waits for none of those that send nothing, or half of a request. At
# two seconds for each sixteen of them it would wait for 37.
python3 - "$port" <<'PYTHON' || bad "half-sent requests keep a probe out"
import socket, sys, urllib.request
port = int(sys.argv[1])
waiting = []
def crowd():
    for i in range(300):
        waiting.append(socket.create_connection(("127.0.0.1", port), timeout=15))
        waiting[-1].send(b"GET / HTTP/1.1\r\nHo" if i % 2 else b"")
for _ in range(2):
    crowd()
    assert urllib.request.urlopen(f"http://127.0.0.1:{port}/healthz", timeout=15).status == 200
    assert urllib.request.urlopen(f"http://127.0.0.1:{port}/history.json", timeout=15).status == 200
PYTHON
exec {held}>&-

# With a token nobody is answered without it.
token=0123456789abcdef
start_guard token "$token"
ask 401 "$url/"
ask 401 "$url/metrics?token=wrong"
ask 401 -H "Authorization: Bearer ${token}0" "$url/metrics"
ask 401 -H "Authorization: Bearer " "$url/metrics"
ask 200 "$url/metrics?token=$token"
ask 200 -H "Authorization: Bearer $token" -H 'Host: shop.internal' "$url/history.json"
ask 403 -H "Authorization: Bearer $token" -H 'Origin: http://evil.example' "$url/history.json"
ask 200 "$url/healthz"
unset HEADROOM_HTTP_TOKEN

# headroom run: its page, and addresses that are none.
run 125 run --http 127.0.0.1 --limit 100M -- true
says errors "write for example 127.0.0.1:9464"
run 125 run --http 0.0.0.0:0 --limit 100M -- true
says errors "HEADROOM_HTTP_TOKEN"
HEADROOM_HTTP_TOKEN=short run 125 run --http 127.0.0.1:0 --limit 100M -- true
says errors "the token in HEADROOM_HTTP_TOKEN has 5 characters, and at least 16 are asked"
grep -q "HOST:PORT" "$work/errors" && bad "an address that is right is blamed for a short token"
"$headroom" run --limit 200M --http 127.0.0.1:0 -- sleep 30 2>"$work/run" &
started+=($!)
for _ in {1..100}; do grep -q 'http://' "$work/run" && break; sleep 0.1; done
url=$(grep -o 'http://[^/]*' "$work/run")
for _ in {1..50}; do
    ask 200 "$url/history.json"
    jq -e '.runs[0].rows | length > 0' "$work/out" >/dev/null && break
    sleep 0.1
done
holds '.runs[0] | .title == "sleep" and .command == "sleep 30" and .limit_bytes == 209715200 and (.is_guard | not)'
ask 200 "$url/metrics"
says out "headroom_run_limit_bytes 209715200"
exit "$failed"
