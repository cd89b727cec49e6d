#!/usr/bin/env bash
# As install.sh, for libheadroom-compressed: a component that a build may leave out, with what it needs or without.
set -euo pipefail
: "${HEADROOM_BUILD_DIR:?is the build to install}"
here=$(cd "$(dirname "$0")" && pwd)
test=compressed
# shellcheck source=tests/install/_common.sh
source "$here/_common.sh"
if [ ! -e "$HEADROOM_BUILD_DIR/adapters/compressed/libheadroom-compressed.so" ]; then
    echo "skipped: this build has neither zlib nor libzstd"
    exit 77
fi
check_component compressed
