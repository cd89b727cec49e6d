#!/usr/bin/env bash
# scripts/setup installs packages without starting their services, and leaves no trace of how. With an apt-get of ours,
# and a /usr/sbin that is an empty folder, in a namespace of mounts.
set -euo pipefail
: "${HEADROOM_SOURCE_DIR:?is the tree}"
setup=$HEADROOM_SOURCE_DIR/scripts/setup
if [ "${1:-}" != inside ]; then
    options=(--mount)
    [ "$(id -u)" -eq 0 ] || options+=(--map-root-user)
    unshare "${options[@]}" true 2>/dev/null || { echo "skipped: no namespace for mounts can be made here"; exit 77; }
    unshare "${options[@]}" bash "$0" inside
    exit
fi

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
policy=/usr/sbin/policy-rc.d
failed=0
mkdir "$work/bin" "$work/sbin"
for tool in bash sh env awk tr id mktemp rm tail grep chmod cat touch sleep; do
    ln -s "$(command -v $tool)" "$work/bin/$tool"
done
printf '#!/bin/sh\n' >"$work/bin/dpkg-query"
# Keeps what the policy was meanwhile.
cat >"$work/bin/apt-get" <<BASH
#!/bin/sh
cat $policy >"$work/seen" 2>&1
$policy; echo \$? >"$work/answer"
echo "\$@" >"$work/words"
[ ! -e "$work/slow" ] || { touch "$work/begun"; sleep 2; }
[ ! -e "$work/broken" ]
BASH
chmod 755 "$work/bin/dpkg-query" "$work/bin/apt-get" # and no links: they are the system's
mount --bind "$work/sbin" /usr/sbin

expect() { # WHAT CONDITION...
    local what=$1
    shift
    "$@" || { echo "setup: $what"; cat "$work/said"; failed=1; }
}
run() { # STATUS
    local status=0
    PATH=$work/bin bash "$setup" nightly >"$work/said" 2>&1 || status=$?
    expect "ends with $status, not $1" [ "$status" -eq "$1" ]
}

run 0
expect "services are started while packages are installed" [ "$(cat "$work/answer")" = 101 ]
expect "redis-server and nginx are not installed" \
    grep -q 'install --no-install-recommends redis-server nginx' "$work/words"
expect "a policy is left behind" [ ! -e $policy ]

touch "$work/broken"
run 1
expect "a policy is left behind where apt-get fails" [ ! -e $policy ]
rm "$work/broken"

touch "$work/slow"
PATH=$work/bin bash "$setup" nightly >"$work/said" 2>&1 &
for _ in {1..100}; do
    [ ! -e "$work/begun" ] || break
    sleep 0.1
done
kill $!
wait $! || true
expect "a policy is left behind by one that is killed" [ ! -e $policy ]
rm "$work/slow"

# A policy that is there belongs to somebody else.
printf '#!/bin/sh\nexit 104\n' >$policy
chmod 755 $policy
cp $policy "$work/theirs"
run 0
expect "another's policy is not asked" [ "$(cat "$work/answer")" = 104 ]
expect "another's policy is changed" cmp -s $policy "$work/theirs"
rm $policy
ln -s "$work/nowhere" $policy
run 0
expect "a link is followed" [ ! -e "$work/nowhere" ]
expect "a link is taken away" [ -L $policy ]
rm $policy

# One of ours that was killed for good is not there for ever.
cat >$policy <<BASH
#!/bin/sh
# made by headroom's scripts/setup, for the time of an installation
exit 101
BASH
chmod 755 $policy
run 0
expect "services are started" [ "$(cat "$work/answer")" = 101 ]
expect "what an earlier one left behind stays" [ ! -e $policy ]
exit $failed
