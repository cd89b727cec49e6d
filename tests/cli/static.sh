#!/usr/bin/env bash
# headroom-static needs no library of the system: it watches a command from an empty root.
set -euo pipefail
here=$(dirname "${BASH_SOURCE[0]}")
# shellcheck source=SCRIPTDIR/_common.sh
source "$here/_common.sh"
trap 'rm -rf "$work"' EXIT
static=$HEADROOM_BUILD_DIR/cli/headroom-static
[ -x "$static" ] || { echo "skipped: headroom-static is not built here: there is no libjansson.a"; exit 77; }
[ "$(id -u)" -eq 0 ] || { echo "skipped: chroot takes root"; exit 77; }

mkdir -p "$work/root/proc"
cp "$static" "$work/root/headroom"

inside() { # STATUS COMMAND...: in a root that has this one file and /proc
    local wanted=$1 status=0
    shift
    # shellcheck disable=SC2016 # expanded by the shell in there
    unshare --mount bash -c 'mount -t proc proc "$0/proc" && exec chroot "$0" /headroom run --limit 1G -- "$@"' \
        "$work/root" "$@" >"$work/out" 2>"$work/errors" || status=$?
    [ "$status" -eq "$wanted" ] || bad "from an empty root '$*' ends with $status, not $wanted"
}

unshare --mount true 2>/dev/null || { echo "skipped: no mount namespace can be made here"; exit 77; }
inside 0 /headroom --version
says out "headroom"
inside 127 /missing
exit "$failed"
