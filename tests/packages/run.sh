#!/usr/bin/env bash
# The Debian packages: built from the tarball of a release, without a complaint of lintian's. They are installed into a
# copy of this system that is thrown away, used there as a stranger would, and purged without a trace.
#
#   run.sh [FOLDER]      where the packages are left (default build/packages)
#
# The copy is an overlay on / in a mount namespace, so nothing of this machine changes. Exit status: 0; 77 with a reason
# where root, overlay mounts or the tools are missing; 1.
set -euo pipefail
tree=$(cd "$(dirname "$0")/../.." && pwd)

if [ "${HEADROOM_INSIDE:-}" != 1 ]; then
    for tool in dpkg-buildpackage dh lintian; do
        command -v "$tool" >/dev/null || { echo "skipped: $tool is missing (scripts/setup package)"; exit 77; }
    done
    [ "$(id -u)" -eq 0 ] || { echo "skipped: packages are installed by root"; exit 77; }
fi

complain() { # text
    echo "packages: $1"
    exit 1
}

build() {
    local version
    version=$(sed -n 's/^#define HR_VERSION_\(MAJOR\|MINOR\|PATCH\) \([0-9]*\).*/\2/p' "$tree/include/headroom/base.h" |
        paste -sd.)
    case $(head -n 1 "$tree/debian/changelog") in
    "headroom ($version-"*) ;;
    *) complain "debian/changelog does not begin with version $version of include/headroom/base.h" ;;
    esac
    work=$(mktemp -d)
    # shellcheck disable=SC2154 # it is set above, and for the whole script
    trap 'rm -rf "$work"' EXIT
    # From the tarball of a release, so that it is one that builds.
    if command -v npm >/dev/null; then
        "$tree/scripts/dist" >/dev/null
        tar -xzf "$tree/build/headroom-$version.tar.gz" -C "$work"
        mv "$work/headroom-$version" "$work/headroom"
    else
        echo "packages: without npm there is no tarball of a release; they are built without the page"
        git -C "$tree" archive --prefix=headroom/ HEAD | tar -x -C "$work"
    fi
    (cd "$work/headroom" && dpkg-buildpackage --build=binary --no-sign "-j$(nproc)") >"$work/log" 2>&1 ||
        { tail -n 40 "$work/log"; complain "they are not built"; }
    lintian --allow-root --fail-on error,warning --tag-display-limit 0 "$work"/*.changes
    rm -rf "$out"
    mkdir -p "$out"
    mv "$work"/*.deb "$out/"
}

# In the copy, whose root is this process's.
use() {
    local before after debs package library
    debs=$(find /packages -name '*.deb' -not -name '*-dbgsym_*' | sort)
    files() { find /usr /etc /var/lib -xdev \( -path /var/lib/dpkg -o -path /var/lib/apt \) -prune -o -print | sort; }
    before=$(files)
    # shellcheck disable=SC2086 # names of packages have no spaces
    dpkg --install $debs >/tmp/log 2>&1 || { cat /tmp/log; complain "they are not installed"; }
    [ "$(dpkg-query -W -f '${db:Status-Status} ' headroom headroom-store libheadroom0 libheadroom-dev)" = \
        "installed installed installed installed " ] || complain "dpkg does not say that they are installed"
    # Outputs are kept before they are searched: grep -q ends at the first hit, and a pipe that breaks is a failure.
    headroom doctor --json >/tmp/said
    grep -q '"limit_bytes"' /tmp/said || complain "headroom doctor gives no report"
    headroom-store --help >/dev/null || complain "headroom-store does not start"
    for page in headroom headroom-doctor headroom-store; do
        [ -e "/usr/share/man/man1/$page.1.gz" ] || complain "there is no manual page $page(1)"
    done
    cp /usr/share/doc/libheadroom-dev/examples/guarded.c /tmp/guarded.c
    # shellcheck disable=SC2046 # these are options
    cc /tmp/guarded.c -o /tmp/guarded $(pkg-config --cflags --libs headroom)
    /tmp/guarded >/tmp/said
    grep -q '^kept ' /tmp/said || complain "the example says: $(cat /tmp/said)"
    ldd /tmp/guarded >/tmp/said
    library=$(sed -n 's,.*libheadroom\.so\.0 => \(/[^ ]*\).*,\1,p' /tmp/said)
    [ -n "$library" ] || complain "the example is not linked to the shared library"
    package=$(dpkg-query -S "$(realpath "$library")" | cut -d: -f1)
    [ "$package" = libheadroom0 ] || complain "the library that programs load is of package '$package'"
    dpkg --purge headroom headroom-store libheadroom-dev libheadroom-malloc0 libheadroom-compressed0 libheadroom-http0 \
        libheadroom0 >/tmp/log 2>&1 ||
        { cat /tmp/log; complain "they are not purged"; }
    after=$(files)
    [ "$before" = "$after" ] || { diff <(echo "$before") <(echo "$after") || true; complain "purging leaves a trace"; }
    echo "packages: installed, used and purged: $(echo "$debs" | wc -l)"
}

case ${1:-} in
--use) use ;;
--mount) # in a mount namespace of its own
    space=$2
    mount -t tmpfs none "$space"
    mkdir "$space/upper" "$space/work" "$space/root"
    mount -t overlay overlay -o "lowerdir=/,upperdir=$space/upper,workdir=$space/work" "$space/root" ||
        { echo "skipped: no overlay mounts here; the packages are built"; exit 77; }
    mount --rbind /proc "$space/root/proc"
    mount --rbind /dev "$space/root/dev"
    mkdir "$space/root/packages"
    cp "$3"/*.deb "$space/root/packages/"
    cp "$0" "$space/root/packages/run.sh"
    HEADROOM_INSIDE=1 chroot "$space/root" bash /packages/run.sh --use
    ;;
*)
    out=$(realpath -m "${1:-$tree/build/packages}")
    build
    space=$(mktemp -d)
    status=0
    HEADROOM_INSIDE=1 unshare --mount bash "$0" --mount "$space" "$out" || status=$?
    rmdir "$space"
    exit $status
    ;;
esac
