#!/usr/bin/env bash
# A thread that is cancelled while it waits would leave a lock held: conditions are waited for by base/wait.h, which
# lets nobody be cancelled, and by budget/wait.c, which cleans up.
#
#   waits.sh [TREE]
set -euo pipefail
tree=${1:-${HEADROOM_SOURCE_DIR:-$(cd "$(dirname "$0")/../.." && pwd)}}
cd "$tree"

found=$(grep -rnE --include='*.c' '\bpthread_cond_(timed)?wait\(' src | grep -vE '^src/(base|budget)/wait\.c:' || true)
if [ -n "$found" ]; then
    sed -E 's|^([^:]+:[0-9]+):.*|\1: a cancellation point: call hri_wait_on() or hri_wait_until() of base/wait.h|' \
        <<<"$found"
    exit 1
fi
