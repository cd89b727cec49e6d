#!/usr/bin/env bash
# Every call that leaves the library is known either to take none of malloc()'s locks, or to take some. In the second
# case tests/support/fault.c sees to it that no inner lock (src/base/lock.h) is held. It sees only the calls that it
# wraps. So a new call is put into one of two lists: `harmless` here, or those at the head of tests/CMakeLists.txt.
#
#   calls.sh [TREE [LIBRARY]]
set -euo pipefail
tree=${1:-${HEADROOM_SOURCE_DIR:-$(cd "$(dirname "$0")/../.." && pwd)}}
library=${2:-${HEADROOM_BUILD_DIR:+$HEADROOM_BUILD_DIR/src/libheadroom.so}}
cd "$tree"
export LC_ALL=C

# By malloc()'s own door, asked with no lock held: os/heap.c.
allocators='MallocExtension_\w+ mallctl mi_collect mi_is_in_heap_region'
# Of a FILE of the caller's, which may allocate its buffer: os/input.c, on a thread that reads. Of the environment of a
# process, before a guard is made and in surveys: os/environment.c. Of debug builds, which abort.
streams='clearerr fclose fdopen ferror getdelim feof fileno fread fprintf fwrite vfprintf fputs fputc stderr abort
    dladdr'
harmless='__\w+ _\w+ access clock_gettime close connect eventfd_read eventfd_write explicit_bzero fcntl flock fstat
    fstatat ftruncate getauxval getenv geteuid getpid getsockopt ioctl link lseek lstat madvise memccpy
    mem(chr|cmp|cpy|move|rchr|set) mempcpy mincore mkdir munmap nanosleep poll posix_fadvise ppoll pread prlimit
    process_vm_readv program_invocation_short_name pthread_(attr|cond|condattr|mutex|mutexattr)_\w+
    pthread_(equal|join|once|self|setcancelstate|sigmask|testcancel) pwrite read readdir readlink readlinkat recv
    rename sched_(getaffinity|setaffinity|yield) send sigfillset sn?printf socket stat statfs
    strcasecmp strchr strcmp strcspn strlen strncasecmp strncmp strncpy strnlen strrchr strspn strstr strtoul strtol
    strtoull syscall sysconf
    timerfd_settime toupper unlink unlinkat vsnprintf write'
wrapped=$(sed -nE '/^set\((fault|malloc)_calls/,/\)/{s/^set\(\w+//;s/\)//;p}' tests/CMakeLists.txt 2>/dev/null || true)

# shellcheck disable=SC2086 # lists of words
known=$(printf '%s|' $allocators $streams $harmless $wrapped)
unknown=$(nm -D -u "$library" | awk '{ sub(/@.*/, "", $NF); print $NF }' | grep -vxE "${known%|}" || true)
for name in $unknown; do
    where=$(grep -rnE -m1 --include='*.c' "\b$name\(" src | head -n 1 | cut -d: -f1,2 || true)
    echo "${where:-src:1}: $name(): does it take a lock of malloc()'s? Say so in tests/style/calls.sh or" \
        "tests/CMakeLists.txt"
done
[ -z "$unknown" ]
