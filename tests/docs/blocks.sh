#!/usr/bin/env bash
# Every block of code in the README and on the pages of docs/ is compiled or run (blocks.py says how).
set -euo pipefail
: "${HEADROOM_BUILD_DIR:?is the build to test}" "${HEADROOM_SOURCE_DIR:?is the tree}"
for needed in cli/headroom examples/clients src/libheadroom.so; do
    [ -e "$HEADROOM_BUILD_DIR/$needed" ] || { echo "skipped: $needed is not built here"; exit 77; }
done
exec python3 "$HEADROOM_SOURCE_DIR/tests/docs/blocks.py" "$HEADROOM_SOURCE_DIR" "$HEADROOM_BUILD_DIR"
