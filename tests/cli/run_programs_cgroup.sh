#!/usr/bin/env bash
# Unmodified programs under headroom run at a real limit: those of tests/programs that are here and soon done.
set -euo pipefail
: "${HEADROOM_BUILD_DIR:?is the build to test}" "${HEADROOM_SOURCE_DIR:?is the tree}"
for tool in "$HEADROOM_BUILD_DIR/cli/headroom" python3; do
    command -v "$tool" >/dev/null || { echo "skipped: there is no ${tool##*/}"; exit 77; }
done
export PYTHONDONTWRITEBYTECODE=1
python3 "$HEADROOM_SOURCE_DIR/tests/programs/run.py" --only python3
python3 "$HEADROOM_SOURCE_DIR/tests/programs/servers.py"
