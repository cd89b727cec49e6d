#!/usr/bin/env bash
# As install.sh, for libheadroom-http: a component that a build may leave out, with what it needs or without.
set -euo pipefail
: "${HEADROOM_BUILD_DIR:?is the build to install}"
here=$(cd "$(dirname "$0")" && pwd)
test=http
# shellcheck source=tests/install/_common.sh
source "$here/_common.sh"
if [ ! -e "$HEADROOM_BUILD_DIR/adapters/http/libheadroom-http.so" ]; then
    echo "skipped: this build has no libmicrohttpd"
    exit 77
fi
check_component http
