# shellcheck shell=bash
# Sourced by tests of what is forbidden: root may do anything, so root tries it as nobody.

# Makes `folder` with a copy of `program` that anybody may run, which the build tree need not allow, and beside it
# as_nobody, which runs that copy with its words. Prints why it does not run, if so.
#   why=$(nobody_copy PROGRAM FOLDER)
nobody_copy() {
    local copy=$2/${1##*/} drop=""
    mkdir -m 755 "$2"
    install -m 755 "$1" "$copy"
    [ "$(id -u)" -ne 0 ] || drop="setpriv --reuid=65534 --regid=65534 --clear-groups"
    printf '#!/bin/sh\nexec %s "%s" "$@"\n' "$drop" "$copy" >"$2/as_nobody"
    chmod 755 "$2/as_nobody"
    "$2/as_nobody" --version >/dev/null || echo "a copy of ${1##*/} does not run as nobody"
}
