#!/usr/bin/env bash
# Pages of real programs under `headroom run --report`: a Redis that fills up, a Python program that leaks, an nginx
# under load, a compiler. Those that are not here are left out and said.
set -euo pipefail
here=$(dirname "${BASH_SOURCE[0]}")
# shellcheck source=SCRIPTDIR/_common.sh
source "$here/_common.sh"
started=()
# shellcheck disable=SC2317 # called by the trap
clean_up() {
    for pid in ${started[@]+"${started[@]}"}; do kill "$pid" 2>/dev/null || true; done
    for pid in ${started[@]+"${started[@]}"}; do wait "$pid" 2>/dev/null || true; done
    rm -rf "$work"
}
trap clean_up EXIT
pages=()

page_of() { # NAME: of the recording of that name
    "$headroom" report --html "$work/$1" -o "$work/$1.html" 2>"$work/errors" || {
        grep -q 'without its page' "$work/errors" && { echo "skipped: this build has no page"; exit 77; }
        bad "there is no page of $1"
        return 0
    }
    "$headroom" report --json "$work/$1" >"$work/out" 2>/dev/null
    pages+=("$work/$1.html")
}

record() { # NAME LIMIT COMMAND...: in the background
    "$headroom" run --quiet --limit "$2" --report "$work/$1" -- "${@:3}" >"$work/$1.log" 2>&1 &
    started+=($!)
    last=$!
}

# A Python program that leaks, until headroom ends it.
record python 60M python3 -c '
import time
kept = []
while True:
    kept.append(bytearray(b"x") * 500_000)
    time.sleep(0.02)
'
wait "$last" || true
page_of python
holds '.records | length > 50 and (map(.live_bytes) | max) > 45000000'
holds '[.events[] | select(.kind == "action") | .action] | any(startswith("SIGTERM"))'
holds '[.events[] | select(.kind == "kernel kill") | .kills] | length > 0 and max == 0' # seen, and none
holds '.trend != null and (.command | startswith("python3 -c")) and .limit_source == "--limit"'

if command -v redis-server >/dev/null; then
    port=$((20000 + RANDOM % 20000))
    record redis 40M redis-server --port "$port" --save '' --appendonly no --dir "$work" --bind 127.0.0.1 \
        --enable-debug-command yes
    redis=$last
    for _ in {1..100}; do redis-cli -p "$port" ping >/dev/null 2>&1 && break; sleep 0.1; done
    timeout 60 redis-cli -p "$port" debug populate 1000 key 100 >/dev/null || true
    for batch in {1..60}; do
        timeout 10 redis-cli -p "$port" debug populate $((1000 + batch * 8000)) key 64 >/dev/null 2>&1 || break
    done
    for _ in {1..100}; do kill -0 "$redis" 2>/dev/null || break; sleep 0.1; done
    kill "$redis" 2>/dev/null || true
    wait "$redis" || true
    page_of redis
    holds '(.command | startswith("redis-server --port ")) and .limit_source == "--limit"'
    holds '(.records | map(.live_bytes) | max) > 20000000'
else
    echo "note: there is no redis-server"
fi

if command -v nginx >/dev/null && command -v curl >/dev/null; then
    port=$((20000 + RANDOM % 20000))
    mkdir "$work/web"
    head -c 3000000 /dev/zero >"$work/web/file"
    cat >"$work/nginx.conf" <<CONF
daemon off; pid $work/nginx.pid; error_log $work/nginx.error; worker_processes 2; user root;
events {} http { access_log off; client_body_temp_path $work; proxy_temp_path $work; fastcgi_temp_path $work;
uwsgi_temp_path $work; scgi_temp_path $work;
server { listen 127.0.0.1:$port; root $work/web; gzip on; gzip_types *; gzip_comp_level 1; } }
CONF
    record nginx 100M nginx -c "$work/nginx.conf"
    nginx=$last
    for _ in {1..100}; do curl -s -o /dev/null "http://127.0.0.1:$port/file" && break; sleep 0.1; done
    for _ in {1..4}; do
        loads=()
        for _ in {1..12}; do
            curl -s -o /dev/null -m 20 -H 'Accept-Encoding: gzip' "http://127.0.0.1:$port/file" &
            loads+=($!)
        done
        wait "${loads[@]}" || true
    done
    kill "$nginx"
    wait "$nginx" || true
    page_of nginx
    holds '(.records | length) > 20'
else
    echo "note: there is no nginx"
fi

if command -v gcc >/dev/null; then
    for i in {1..3000}; do
        echo "int f$i(int a) { int b[40]; for (int i = 0; i < 40; i++) b[i] = a * i + $i; return b[a % 40]; }"
    done >"$work/large.c"
    "$headroom" run --quiet --limit 400M --report "$work/compiler" -- \
        gcc -O2 -c "$work/large.c" -o "$work/large.o" >"$work/log" 2>&1 ||
        bad "the compiler ends with $?"
    page_of compiler
    holds '(.records | length) > 20 and (.records | map(.live_bytes) | max) > 30000000'
fi

browser=$(command -v chromium || command -v chromium-browser || true)
if [ -n "$browser" ] && command -v node >/dev/null &&
    [ -d "$HEADROOM_BUILD_DIR/web/node_modules/playwright-core" ]; then
    timeout 200 node "$here/page.mjs" "$HEADROOM_BUILD_DIR/web" "$browser" --any "${pages[@]}" || failed=1
    # Side by side.
    run 0 report --html "$work/python" "$work/compiler" -o "$work/both.html"
    timeout 100 node "$here/page.mjs" "$HEADROOM_BUILD_DIR/web" "$browser" --any "$work/both.html" || failed=1
else
    echo "note: there is no Chromium or no playwright-core: the pages were made, and not looked at"
fi
exit "$failed"
