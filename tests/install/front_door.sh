#!/usr/bin/env bash
# The commands of the Makefile as a user and an administrator type them. Root in a user's folder leaves no files of
# root's there. An installation can be removed. A set-up without rights says which packages an administrator has to
# install.
set -euo pipefail
: "${HEADROOM_BUILD_DIR:?is the build to install}" "${HEADROOM_SOURCE_DIR:?is the tree}"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
failed=0
complain() { # text
    echo "front_door: $1"
    failed=1
}

# uninstall: every file goes, a stranger's file beside them stays, and so do folders that are not ours alone.
DESTDIR=$work/root cmake --install "$HEADROOM_BUILD_DIR" --prefix /opt/some >"$work/log"
echo theirs >"$work/root/opt/some/include/theirs.h"
echo theirs >"$work/root/opt/some/share/doc/theirs"
before=$(find "$work/root" -type f -o -type l | wc -l)
DESTDIR=$work/root PREFIX=/opt/some "$HEADROOM_SOURCE_DIR/scripts/uninstall" "$HEADROOM_BUILD_DIR" >"$work/said"
left=$(cd "$work/root" && find . -type f -o -type l | sort | tr '\n' ' ')
[ "$before" -gt 20 ] || complain "only $before files were installed"
[ "$left" = "./opt/some/include/theirs.h ./opt/some/share/doc/theirs " ] || complain "uninstall leaves: $left"
left=$(cd "$work/root" && find . -path '*headroom*' | sort | tr '\n' ' ')
[ -z "$left" ] || complain "uninstall leaves these folders: $left"
grep -q "uninstall: $((before - 2)) files" "$work/said" || complain "uninstall says: $(cat "$work/said")"

# set-up without rights: sudo refuses, and the answer lists the packages and the command for an administrator.
mkdir "$work/bin"
for tool in bash sh env awk tr mktemp rm tail grep cat; do
    ln -s "$(command -v "$tool")" "$work/bin/$tool"
done
printf '#!/bin/sh\n' >"$work/bin/dpkg-query"
printf '#!/bin/sh\ntouch "%s/apt-ran"\n' "$work" >"$work/bin/apt-get"
printf '#!/bin/sh\necho 1000\n' >"$work/bin/id"
printf '#!/bin/sh\nexit 1\n' >"$work/bin/sudo"
chmod 755 "$work/bin/dpkg-query" "$work/bin/apt-get" "$work/bin/id" "$work/bin/sudo"
status=0
PATH=$work/bin bash "$HEADROOM_SOURCE_DIR/scripts/setup" nightly </dev/null >"$work/said" 2>&1 || status=$?
[ "$status" -eq 1 ] || complain "set-up without rights ends with $status, not 1"
[ ! -e "$work/apt-ran" ] || complain "set-up without rights runs apt-get"
grep -q 'An administrator can run: apt-get install .* redis-server nginx' "$work/said" ||
    complain "set-up without rights says: $(cat "$work/said")"

# Root in a folder of somebody else builds as its owner. `make -n` prints the commands and runs none.
if [ "$(id -u)" -eq 0 ]; then
    mkdir "$work/theirs"
    cp "$HEADROOM_SOURCE_DIR/Makefile" "$work/theirs/"
    chown 1234:4321 "$work/theirs"
    make -n -C "$work/theirs" demo >"$work/said" 2>&1
    grep -q '^setpriv --reuid=1234 --regid=4321 --clear-groups -- cmake --build' "$work/said" ||
        complain "make demo as root in another's folder builds by: $(grep 'cmake --build' "$work/said")"
    make -n -C "$work/theirs" install >"$work/said" 2>&1
    grep -q 'chown --reference=Makefile build/release/install_manifest.txt' "$work/said" ||
        complain "make install as root in another's folder keeps its list of files"
    chown 0:0 "$work/theirs"
    make -n -C "$work/theirs" demo >"$work/said" 2>&1
    if grep -q setpriv "$work/said"; then complain "make demo as root in root's folder gives up its rights"; fi
fi
exit $failed
