#!/usr/bin/env bash
# The cgroup tests on cgroup v2: Debian's kernel under qemu, where this machine has only v1 (or the other way round).
#
#   run.sh [BUILD_DIR]      default build/release; needs qemu-system-x86, busybox-static, cpio and a Debian archive
#
# The guest's root is an archive in memory: busybox, the test programs, and the libraries that they want from here. Its
# init mounts v2, enters nothing, runs each program, and prints "vm: NAME STATUS" for it; qemu's own status says nothing.
# Exit status: 0 all passed; 1 one failed, or did not come to its end; 77 the guest cannot be made here, with the reason.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
build=$(cd "${1:-${HEADROOM_BUILD_DIR:-$here/../../build/release}}" && pwd)
cache=$build/vm
programs=(support/test_cgroup_cgroup guard/test_survive_cgroup guard/test_guard os/test_heap)

skip() {
    echo "skipped: $1"
    exit 77
}

for tool in qemu-system-x86_64 busybox cpio dpkg apt-get; do
    command -v "$tool" >/dev/null || skip "$tool is missing (scripts/setup vm installs it)"
done
[ "$(uname -m)" = x86_64 ] || skip "the guest is x86-64, this machine is $(uname -m)"

# Debian's kernel for virtual machines, unpacked and not installed; kept for the next run.
kernel() {
    local package
    mkdir -p "$cache/kernel"
    if ! compgen -G "$cache/kernel/boot/vmlinuz-*" >/dev/null; then
        package=$(apt-cache depends linux-image-cloud-amd64 | awk '/Depends:/ { print $2; exit }')
        [ -n "$package" ] || skip "the archive has no linux-image-cloud-amd64"
        (cd "$cache" && apt-get -o APT::Sandbox::User=root download -qq "$package" && dpkg -x "$package"_*.deb kernel && rm "$package"_*.deb) ||
            skip "the kernel $package could not be fetched"
    fi
    compgen -G "$cache/kernel/boot/vmlinuz-*" | head -n 1
}

# Copies a program and the libraries that it is linked to.
add_program() { # program place
    local library
    install -D "$1" "$root$2"
    ldd "$1" | awk '$2 == "=>" { print $3 } $1 ~ /^\// { print $1 }' | while read -r library; do
        [ -e "$root$library" ] || install -D "$(readlink -f "$library")" "$root$library"
    done
}

root=$(mktemp -d)
trap 'rm -rf "$root"' EXIT
mkdir -p "$root"/{bin,proc,sys,dev,tmp}
install "$(command -v busybox)" "$root/bin/busybox"
for program in "${programs[@]}"; do
    [ -x "$build/tests/$program" ] || skip "$build/tests/$program is not built (libcmocka-dev?)"
    add_program "$build/tests/$program" "/tests/$(basename "$program")"
done
{
    echo '#!/bin/busybox sh'
    echo '/bin/busybox --install -s /bin'
    echo 'mount -t proc proc /proc; mount -t sysfs sys /sys; mount -t devtmpfs dev /dev; mount -t tmpfs tmp /tmp'
    echo 'mount -t cgroup2 cgroup /sys/fs/cgroup'
    echo 'cd /tmp'
    for program in "${programs[@]}"; do
        echo "/tests/$(basename "$program"); echo vm: $(basename "$program") \$?"
    done
    echo 'poweroff -f'
} >"$root/init"
chmod +x "$root/init"

image=$(kernel)
(cd "$root" && find . | cpio -o -H newc --quiet | gzip -1) >"$cache/initrd.gz"
timeout 300 qemu-system-x86_64 -accel tcg -m 768 -nographic -no-reboot -nodefaults -serial stdio \
    -kernel "$image" -initrd "$cache/initrd.gz" -append 'console=ttyS0 quiet panic=-1' </dev/null |
    tr -d '\r' | tee "$cache/console.log" | grep -aE '^\[ +(RUN|OK|FAILED|ERROR|LINE|SKIPPED)|^skipped|^vm:' || true

failed=0
for program in "${programs[@]}"; do
    if ! grep -aqx "vm: $(basename "$program") 0" "$cache/console.log"; then
        echo "failed in the guest: $program (see ${cache#"$PWD"/}/console.log)"
        failed=1
    fi
done
exit "$failed"
