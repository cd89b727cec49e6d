#!/usr/bin/env bash
# Man pages: mandoc has nothing to say against them, each exported function has one in section 3, and each page of a
# command names its exit statuses.
set -euo pipefail
: "${HEADROOM_BUILD_DIR:?is the build to test}" "${HEADROOM_SOURCE_DIR:?is the tree}"
cd "$HEADROOM_SOURCE_DIR"
command -v mandoc >/dev/null || { echo "skipped: there is no mandoc (package mandoc)"; exit 77; }
made=$HEADROOM_BUILD_DIR/man3
[ -e "$made/made" ] ||
    { echo "skipped: the pages of section 3 were left out of this build (package python3)"; exit 77; }
failed=0

# An alias names the page as it will lie once it is installed.
mandoc -T lint -W warning docs/man/*.[1-8] "$made"/headroom_*.3 || failed=1

exported=$(grep -oE '^ *hr_[a-z0-9_]*[a-z0-9];' src/headroom.map | tr -d ' ;' | sort)
documented=$(grep -hoE '^\.SS hr_\w+$' "$made"/headroom_*.3 | cut -c 5- | sort -u)
for name in $(LC_ALL=C comm -23 <(echo "$exported" | LC_ALL=C sort) <(echo "$documented" | LC_ALL=C sort)); do
    echo "$name is in no man page: the comment above its declaration makes it"
    failed=1
done
for name in $documented; do
    # Types have a heading in the page of their header, and no page of their own.
    if grep -qx "    $name;" src/headroom.map && [ ! -e "$made/$name.3" ]; then
        echo "$name.3 is missing, so 'man $name' opens nothing"
        failed=1
    fi
done

for page in docs/man/*.1; do
    grep -qx '\.SH EXIT STATUS' "$page" || { echo "$page does not say with which status its command ends"; failed=1; }
done
exit $failed
