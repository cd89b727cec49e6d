#!/usr/bin/env bash
# `make install` tells the loader of the library, where it is root's to do: else programs linked to it do not start.
set -euo pipefail
: "${HEADROOM_SOURCE_DIR:?is the tree}"
command -v make >/dev/null || { echo "skipped: there is no make"; exit 77; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
failed=0
unset DESTDIR
mkdir "$work/bin"
printf '#!/bin/sh\n' >"$work/bin/cmake"
printf '#!/bin/sh\necho "%s"\n' "\$UID_WANTED" >"$work/bin/id"
printf '#!/bin/sh\ntouch "%s/ran"\n' "$work" >"$work/bin/ldconfig"
chmod 755 "$work/bin"/*

# install WANTED USER WORD...: whether ldconfig runs.
install() {
    local wanted=$1 user=$2 ran=no
    shift 2
    rm -f "$work/ran"
    PATH=$work/bin:$PATH UID_WANTED=$user MAKEFLAGS='' make -s -C "$HEADROOM_SOURCE_DIR" -o release install "$@"
    [ ! -e "$work/ran" ] || ran=yes
    [ "$ran" = "$wanted" ] || { echo "ldconfig: user $user, make install $*: ran: $ran, not $wanted"; failed=1; }
}

install yes 0
install yes 0 PREFIX=/usr
install no 1000
install no 0 DESTDIR="$work/package"
exit $failed
