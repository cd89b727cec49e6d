#!/usr/bin/env bash
# The store's history file. A store that is killed leaves behind what happened. The next one goes on in the same file,
# and a file that cannot be written is reported, at start and later.
set -euo pipefail
: "${HEADROOM_BUILD_DIR:?is the build to test}"
here=$(dirname "${BASH_SOURCE[0]}")
# shellcheck source=SCRIPTDIR/../support/nobody.sh
source "$here/../support/nobody.sh"
store=$HEADROOM_BUILD_DIR/examples/store/headroom-store
headroom=$HEADROOM_BUILD_DIR/cli/headroom
[ -x "$store" ] || { echo "skipped: headroom-store is not built (libmicrohttpd or uthash is missing)"; exit 77; }
[ -x "$headroom" ] || { echo "skipped: the headroom command is not built here"; exit 77; }
for tool in curl jq prlimit; do
    command -v $tool >/dev/null || { echo "skipped: $tool is missing"; exit 77; }
done
work=$(mktemp -d)
file=$work/history
server=""
failed=0
# shellcheck disable=SC2317 # called by the trap
clean_up() {
    if [ -n "$server" ] && kill -KILL "$server" 2>/dev/null; then
        wait "$server" 2>/dev/null || true
    fi
    rm -rf "$work"
}
trap clean_up EXIT
trap 'trap "" INT TERM; exit 143' INT TERM

bad() {
    echo "FAILED: $*"
    cut -c 1-200 "$work/said" "$work/report" 2>/dev/null | sed 's/^/    /' | head -n 20 || true
    failed=1
}

until_true() { # COMMAND...: for ten seconds at most
    for _ in {1..100}; do
        ! "$@" || return 0
        sleep 0.1
    done
    return 1
}

# shellcheck disable=SC2317 # called by until_true
is_listening() { port=$(sed -n 's/.*listening on 127\.0\.0\.1:\([0-9]*\).*/\1/p' "$work/out") && [ -n "$port" ]; }

start() { # WORD...: such as prlimit and its options, which the command begins with
    : >"$work/out"
    "$@" "$store" --listen 127.0.0.1:0 --limit 32MiB --history "$file" >"$work/out" 2> >(cat >"$work/said") &
    server=$!
    until_true is_listening || { bad "the store does not start"; exit 1; }
}

finish() { # SIGNAL; sets `status`
    status=0
    kill "-$1" "$server" && { wait "$server" 2>/dev/null || status=$?; }
    server=""
}

put() { # COUNT: this many objects of 400,000 bytes
    for ((i = 0; i < $1; i++)); do
        curl -s --max-time 10 --noproxy '*' -o "$work/answer" -T "$work/object" \
            "http://127.0.0.1:$port/cache/$i" || true
    done
}

report() { "$headroom" report --json "$file" >"$work/report" 2>"$work/complaints"; }
# shellcheck disable=SC2317 # called by until_true
report_holds() { report && jq -e "$1" "$work/report" >/dev/null; }
holds() { report_holds "$1" || bad "this does not hold: $1"; }

refused() { # STATUS TEXT COMMAND...
    local wanted=$1 text=$2 status=0
    shift 2
    timeout 10 "$@" --listen 127.0.0.1:0 >"$work/out" 2>"$work/said" || status=$?
    [ "$status" -eq "$wanted" ] || bad "'$*' ends with $status, not $wanted"
    grep -qF -- "$text" "$work/said" || bad "'$*' does not say '$text'"
}

head -c 400000 /dev/urandom >"$work/object"

# Killed in the midst of it: what happened is there.
start env
put 75 # of 30 MB, in which they do not all fit
until_true report_holds '.events | any(.kind == "level" and .to == "warning")' || bad "a change of level is not written"
before=$(stat -c %i "$file")
refused 1 "--history '$file': another process writes it" "$store" --history "$file"
[ "$(stat -c %i "$file")" = "$before" ] || bad "a second store has put another file there"
finish KILL
[ "$status" -eq 137 ] || bad "the killed store ends with $status"
holds '.sessions == 1 and .damaged == 0 and (.records[-1] | .limit_bytes == 33554432 and .live_bytes > 20e6)'
"$headroom" report "$file" >"$work/report" || bad "there is no report in words"
grep -q 'warning, was normal, with 2[0-9.]* MiB held' "$work/report" || bad "the report does not say when it got short"

# The next one goes on in it.
start env
finish TERM
[ "$status" -eq 0 ] || bad "a store with a history ends with $status"
holds '.sessions == 2 and .torn_bytes == 0'

# A file that may not become larger, as on a full disk: said once, and history goes on; said again when it may.
rm "$file"
trap '' XFSZ
start prlimit --fsize=512:unlimited
put 75
until_true grep -q 'the history file cannot be written: File too large' "$work/said" || bad "a full file is not said"
prlimit --pid "$server" --fsize=unlimited:unlimited
until_true grep -q 'the history file is written again' "$work/said" || bad "it is not said that it is written again"
[ "$(grep -c 'cannot be written' "$work/said")" -eq 1 ] || bad "the same line comes again and again"
finish TERM
holds '.damaged == 0 and (.records | length > 3)' # more than 512 bytes have room for

# Files that cannot be.
echo "an important letter, and no history file, of a good many more bytes than a head of one has" >"$work/letter"
cp "$work/letter" "$work/copy"
refused 1 "--history '$work/letter': it is there and no history file" "$store" --history "$work/letter"
cmp -s "$work/letter" "$work/copy" || bad "the letter is another one"
refused 1 "--history '$work/none/history': No such file or directory" "$store" --history "$work/none/history"
refused 1 "--history '$work': it is no regular file" "$store" --history "$work"
refused 2 "--history '' is no file" "$store" --history ''
refused 2 "--unguarded has none" "$store" --unguarded --history "$file"
refused 2 "thresholds contradict" "$store" --warn-at 0.9 --degrade-at 0.5 --history "$file"
chmod 711 "$work"
why=$(nobody_copy "$store" "$work/reachable")
if [ -z "$why" ]; then
    mkdir "$work/closed"
    chmod 555 "$work/closed"
    refused 1 "--history '$work/closed/history': Permission denied" \
        "$work/reachable/as_nobody" --history "$work/closed/history"
else
    echo "note: what needs permission was not tried: $why"
fi
exit "$failed"
