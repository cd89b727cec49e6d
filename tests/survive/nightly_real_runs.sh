#!/usr/bin/env bash
# Real programs, recorded from outside: what leaks is suspected, and what does not is not. A second is recorded as a
# minute, so that eighty seconds stand for eighty minutes.
set -euo pipefail
: "${HEADROOM_BUILD_DIR:?is the build to test}"
recorder=$HEADROOM_BUILD_DIR/tests/tools/recorder
headroom=$HEADROOM_BUILD_DIR/cli/headroom
[ -x "$headroom" ] || { echo "skipped: the headroom command is not built here"; exit 77; }
for tool in jq curl python3 gcc; do
    command -v $tool >/dev/null || { echo "skipped: $tool is missing"; exit 77; }
done
PATH=$PATH:/usr/sbin # where nginx is, which not everybody's has
seconds=80
work=$(mktemp -d)
children=()
# shellcheck disable=SC2317 # called by the trap
clean_up() {
    for child in "${children[@]}"; do
        kill -KILL "$child" 2>/dev/null || true
        wait "$child" 2>/dev/null || true
    done
    rm -rf "$work"
}
trap clean_up EXIT
trap 'trap "" INT TERM; exit 143' INT TERM
failed=0
recorders=()

record() { # NAME PID [SECONDS [LAPSE]]
    "$recorder" "$2" "$work/$1.history" "${3:-$seconds}" 1GiB "${4:-60}" &
    recorders+=($!)
    children+=($!)
}

# A program of Python's that forgets what it keeps: 400 KB a second, under garbage that comes and goes.
cat >"$work/leak.py" <<'PYTHON'
import time
kept, garbage = [], []
while True:
    kept.append(bytes(bytearray(20000)))
    garbage.append(bytes(bytearray(300000)))
    if len(garbage) == 60:
        garbage.clear()
    time.sleep(0.05)
PYTHON
python3 "$work/leak.py" &
leaker=$!
children+=("$leaker")
# The same without the mistake.
sed 's/kept.append(\(.*\))$/kept = [\1]/' "$work/leak.py" >"$work/clean.py"
python3 "$work/clean.py" &
cleaner=$!
children+=("$cleaner")

redis=""
if command -v redis-server >/dev/null && command -v redis-cli >/dev/null; then
    redis-server --unixsocket "$work/redis" --port 0 --save '' --appendonly no --dir "$work" >/dev/null &
    redis=$!
    children+=("$redis")
    for _ in {1..100}; do
        redis-cli -s "$work/redis" ping 2>/dev/null | grep -q PONG && break
        sleep 0.1
    done
    (
        i=0
        while redis-cli -s "$work/redis" --raw eval \
            'for i = 1, 20 do redis.call("SET", ARGV[1] .. ":" .. i, string.rep("x", 10000)) end' \
            0 "$i" >/dev/null 2>&1; do
            i=$((i + 1))
            sleep 0.2
        done
    ) &
    children+=($!)
else
    echo "note: there is no redis-server (scripts/setup nightly installs it), so it is left out"
fi

nginx=""
if command -v nginx >/dev/null; then
    mkdir -p "$work/www"
    head -c 200000 /dev/urandom >"$work/www/file"
    port=$((20000 + RANDOM % 20000))
    cat >"$work/nginx.conf" <<CONF
daemon off; master_process off; pid $work/nginx.pid; error_log $work/nginx.log;
events { worker_connections 256; }
http { access_log off; client_body_temp_path $work; proxy_temp_path $work; fastcgi_temp_path $work;
       uwsgi_temp_path $work; scgi_temp_path $work; gzip on; gzip_types *;
       server { listen 127.0.0.1:$port; root $work/www; } }
CONF
    nginx -c "$work/nginx.conf" -p "$work" 2>/dev/null &
    nginx=$!
    children+=("$nginx")
    for _ in 1 2; do
        (while kill -0 "$nginx" 2>/dev/null; do
            if curl -sf --noproxy '*' --compressed -o /dev/null "http://127.0.0.1:$port/file"; then
                printf . >>"$work/served"
            else
                sleep 0.1
            fi
        done) &
        children+=($!)
    done
else
    echo "note: there is no nginx (scripts/setup nightly installs it), so it is left out"
fi

# A compiler, for as long as it takes.
python3 - >"$work/large.c" <<'PYTHON'
for i in range(6000):
    print(f"int f{i}(int a, int *b) {{ int s = {i}; for (int i = 0; i < a; i++) {{ s += b[i] * {i % 7 + 1}; "
          f"if (s % {i % 13 + 2} == 0) b[i] = s; }} return s; }}")
PYTHON
cc1=$(gcc -print-prog-name=cc1)
"$cc1" -quiet -O2 "$work/large.c" -o "$work/large.s" &
compiler=$!
children+=("$compiler")

sleep 2
record leaker "$leaker"
record cleaner "$cleaner"
[ -z "$redis" ] || record redis "$redis"
[ -z "$nginx" ] || record nginx "$nginx"
record compiler "$compiler" 60 1
for process in "${recorders[@]}"; do
    status=0
    wait "$process" || status=$?
    [ "$status" -eq 0 ] || [ "$status" -eq 3 ] || { echo "a recorder ends with $status"; failed=1; }
done

[ -z "$nginx" ] || [ "$(stat -c %s "$work/served" 2>/dev/null || echo 0)" -ge 1000 ] ||
    { echo "FAILED: nginx was hardly under load"; failed=1; }

judge() { # NAME PATTERN: the kinds that are right
    [ -e "$work/$1.history" ] || return 0
    "$headroom" report --json "$work/$1.history" >"$work/json"
    local kind
    kind=$(jq -r '.trend.kind' "$work/json")
    echo "== $1: $kind"
    "$headroom" report "$work/$1.history"
    [[ $kind =~ ^($2)$ ]] || { echo "FAILED: $1 is called $kind, not $2"; failed=1; }
}
judge leaker "leak suspected"
judge cleaner "steady|sawtooth|shrinking"
judge redis "leak suspected"
judge nginx "steady|sawtooth|shrinking"
judge compiler "steady|sawtooth|shrinking|growth"
exit $failed
