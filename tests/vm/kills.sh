#!/bin/sh
# In the guest: runs each case of /tests/kills.txt once, in a group of v2. Its lines are NAME LIMIT SECONDS and a
# command. The guest is slow, so a case has five times as long as elsewhere.
echo 65536 >/proc/sys/fs/inotify/max_user_watches # kernel_held_watches_before has 21,600; a small machine allows fewer

# A machine has names of files that nobody uses. Where there were none, the kernel memory that files on a tmpfs pin was
# known without counting the files.
mkdir -p /tmp/idle
i=0
while [ $i -lt 9000 ]; do
    : >/tmp/idle/$i
    i=$((i + 1))
done
failed=0
while read -r name limit seconds command; do
    # shellcheck disable=SC2086 # it is a list of words
    /tests/cage "$limit" $((seconds * 5)) $command >/tmp/kills.log 2>&1 </dev/null
    if tail -n 1 /tmp/kills.log | grep -q '^cage: exit 0 kills 0 '; then
        echo "ok: $name"
    else
        echo "FAILED: $name"
        tail -n 4 /tmp/kills.log | sed 's/^/    /'
        failed=1
    fi
done </tests/kills.txt
exit $failed
