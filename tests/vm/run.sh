#!/usr/bin/env bash
# The cgroup tests on cgroup v2: Debian's kernel under qemu, where this machine has only v1 (or the other way round).
#
#   run.sh [BUILD_DIR]      default build/release; needs qemu-system-x86, busybox-static, cpio and a Debian archive
#
# The guest's root is an archive in memory: busybox, bash, the test programs, the object store with its load client, and
# the libraries that they want from here. /tmp is a disk, so that there is page cache. Its init mounts v2, enters
# nothing, runs each test, and prints "vm: NAME STATUS" for it; qemu's own status says nothing.
# HEADROOM_VM_ONLY names those that are to run, such as "test_shows_cgroup kills"; all by default.
# Exit status: 0 all passed; 1 one failed, or did not end; 77 the guest cannot be made here, with the reason.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
source_dir=$(cd "$here/../.." && pwd)
build=$(cd "${1:-${HEADROOM_BUILD_DIR:-$here/../../build/release}}" && pwd)
cache=$build/vm
disk_mib=512
programs=(guard/test_guard os/test_heap os/test_resident)
for program in "$build"/tests/*/test_*_cgroup; do
    [ ! -x "$program" ] || programs+=("${program#"$build"/tests/}")
done

skip() {
    echo "skipped: $1"
    exit 77
}

for tool in qemu-system-x86_64 busybox cpio dpkg apt-get mkfs.ext4; do
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
        (cd "$cache" && apt-get -o APT::Sandbox::User=root download -qq "$package" &&
            dpkg -x "$package"_*.deb kernel && rm "$package"_*.deb) ||
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
chmod 755 "$root" # it becomes the guest's /: a process of another user found no cgroup below one of mode 700
mkdir -p "$root"/{bin,proc,sys,dev,tmp}
install "$(command -v busybox)" "$root/bin/busybox"
for program in "${programs[@]}"; do
    [ -x "$build/tests/$program" ] || skip "$build/tests/$program is not built (libcmocka-dev?)"
    add_program "$build/tests/$program" "/tests/$(basename "$program")"
done
tests=()
for program in "${programs[@]}"; do
    tests+=("$(basename "$program") /tests/$(basename "$program")")
done

# What tests/flow/test_wordcount_cgroup.c runs.
if [ -x "$build/tests/tools/wordcount" ]; then
    add_program "$build/tests/tools/wordcount" /build/tests/tools/wordcount
fi

# One survival run of the store, smaller and slower than on real hardware.
if [ -x "$build/examples/store/headroom-store" ] && [ -x "$build/examples/store/headroom-load" ]; then
    add_program "$(command -v bash)" /bin/bash
    for program in headroom-store headroom-load; do
        add_program "$build/examples/store/$program" "/build/examples/store/$program"
    done
    install -D "$source_dir/examples/store/trial.sh" "$root/source/examples/store/trial.sh"
    install -D "$source_dir/tests/survive/_common.sh" "$root/source/tests/survive/_common.sh"
    install -D "$here/survival.sh" "$root/source/tests/vm/survival.sh"
    tests+=("survival bash /source/tests/vm/survival.sh")
else
    echo "left out: the survival run (the object store is not built)"
fi

# headroom run behind a wall of v2.
if [ -x "$build/cli/headroom" ]; then
    add_program "$build/cli/headroom" /tests/headroom
    add_program "$build/tests/tools/hog" /tests/hog
    install "$here/run_wall.sh" "$root/tests/run_wall.sh"
    tests+=("run_wall sh /tests/run_wall.sh")
else
    echo "left out: headroom run (the command is not built)"
fi

# The cases of tests/kills that hold today, and those that HEADROOM_KILLS names.
if command -v python3 >/dev/null; then
    add_program "$build/tests/tools/cage" /tests/cage
    for program in "$build"/tests/kills/*; do
        add_program "$program" "/tests/kills/$(basename "$program")"
    done
    # shellcheck disable=SC2086 # it is a list of names
    { python3 "$source_dir/tests/kills/run.py" --quick --list
      [ -z "${HEADROOM_KILLS:-}" ] || python3 "$source_dir/tests/kills/run.py" --quick --list $HEADROOM_KILLS
    } >"$root/tests/kills.txt"
    install "$here/kills.sh" "$root/tests/kills.sh"
    tests+=("kills sh /tests/kills.sh")
else
    echo "left out: the programs of tests/kills (python3 is missing)"
fi

if [ -n "${HEADROOM_VM_ONLY:-}" ]; then
    wanted=()
    for test in "${tests[@]}"; do
        [[ " $HEADROOM_VM_ONLY " != *" ${test%% *} "* ]] || wanted+=("$test")
    done
    tests=("${wanted[@]}")
fi

{
    echo '#!/bin/busybox sh'
    echo '/bin/busybox --install -s /bin'
    echo 'mount -t proc proc /proc; mount -t sysfs sys /sys; mount -t devtmpfs dev /dev'
    echo 'mkdir -p /dev/shm; mount -t tmpfs shm /dev/shm'
    echo 'mount -t ext4 /dev/nvme0n1 /tmp; ip link set lo up; ulimit -n 4096'
    echo 'export HEADROOM_BUILD_DIR=/build HEADROOM_SOURCE_DIR=/source'
    echo 'mount -t cgroup2 cgroup /sys/fs/cgroup'
    echo 'cd /tmp'
    for test in "${tests[@]}"; do
        echo "timeout -k 5 600 ${test#* }; echo vm: ${test%% *} \$?"
    done
    echo 'poweroff -f'
} >"$root/init"
chmod +x "$root/init"

# no_timer_check: on a busy machine the kernel's test of the timer saw no tick in time, and the guest did not boot.
image=$(kernel)
(cd "$root" && find . | cpio -o -H newc --quiet | gzip -1) >"$cache/initrd.gz"
truncate -s "${disk_mib}M" "$cache/disk.img"
mkfs.ext4 -qF -O ^has_journal "$cache/disk.img" # docs/limits.md says what a journal does
timeout 1200 qemu-system-x86_64 -accel tcg,thread=multi -smp 2 -m 768 -nographic -no-reboot -nodefaults -serial stdio \
    -drive "file=$cache/disk.img,format=raw,if=none,id=disk,cache=unsafe" -device nvme,drive=disk,serial=1 \
    -kernel "$image" -initrd "$cache/initrd.gz" \
    -append 'console=ttyS0 quiet panic=-1 psi=1 no_timer_check' </dev/null |
    sed -u 's/\r//g' | tee "$cache/console.log" |
    grep -aE --line-buffered '^\[ +(RUN|OK|FAILED|ERROR|LINE|SKIPPED)|^skipped|^ok:|^FAILED:|^    |^vm:' || true

failed=0
for test in "${tests[@]}"; do
    if ! grep -aqx "vm: ${test%% *} 0" "$cache/console.log"; then
        echo "failed in the guest: ${test%% *} (see ${cache#"$PWD"/}/console.log)"
        failed=1
    fi
done
exit "$failed"
