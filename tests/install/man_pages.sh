#!/usr/bin/env bash
# Man pages: mandoc has nothing to say against them, each exported function has one in section 3, and each page of a
# command names its exit statuses.
set -euo pipefail
: "${HEADROOM_BUILD_DIR:?is the build to test}" "${HEADROOM_SOURCE_DIR:?is the tree}"
cd "$HEADROOM_SOURCE_DIR"
command -v mandoc >/dev/null || { echo "skipped: there is no mandoc (package mandoc)"; exit 77; }
made=$HEADROOM_BUILD_DIR/man3
[ -e "$made/made" ] || { echo "skipped: the pages of section 3 were left out of this build (package python3)"; exit 77; }
failed=0

# An alias names the page as it will lie once it is installed.
mandoc -T lint -W warning docs/man/*.[1-8] "$made"/headroom_*.3 || failed=1

while IFS= read -r name; do
    page=$(sed -n 's,^\.so man3/,,p' "$made/$name.3" 2>/dev/null || true)
    if [ -z "$page" ] || ! grep -qx ".SS $name" "$made/$page"; then
        echo "$name has no man page: the comment above its declaration makes it"
        failed=1
    fi
done < <(grep -oE '^ *hr_[a-z0-9_]*[a-z0-9];' src/headroom.map | tr -d ' ;' | grep -v '^hr_pool_face')

for page in docs/man/*.1; do
    grep -qx '\.SH EXIT STATUS' "$page" || { echo "$page does not say with which status its command ends"; failed=1; }
done
exit $failed
