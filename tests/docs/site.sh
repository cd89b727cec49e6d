#!/usr/bin/env bash
# The site builds, without a warning and without anything that a browser would fetch from elsewhere. Its reference has
# every exported function, and its menu every page of the reference and every strategy.
set -euo pipefail
: "${HEADROOM_SOURCE_DIR:?is the tree}"
command -v mkdocs >/dev/null || { echo "skipped: there is no mkdocs (packages mkdocs and mkdocs-material)"; exit 77; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$HEADROOM_SOURCE_DIR"
failed=0

mkdocs build --strict --quiet --site-dir "$work/site" >"$work/log" 2>&1 || { cat "$work/log"; exit 1; }
while IFS= read -r name; do
    grep -qrs "id=\"$name\"" "$work/site/reference" || { echo "the reference has no $name"; failed=1; }
done < <(grep -oE '^ *hr_[a-z0-9_]*[a-z0-9];' src/headroom.map | tr -d ' ;')
for page in "$work/site"/reference/*.html "$work/site"/strategies/*.html; do
    name=${page#"$work/site/"}
    grep -qF -- "- ${name%.html}.md" mkdocs.yml || { echo "the menu of the site has no $name"; failed=1; }
done
# Links that a reader may follow are no matter; what a page loads by itself is.
if grep -rnoE '(<link[^>]* href|<script[^>]* src|<img[^>]* src)="?https?://[^" >]*' "$work/site" --include='*.html' |
    grep -vE 'rel="?canonical' | head -5 | grep .; then
    echo "these pages load something from elsewhere"
    failed=1
fi
exit $failed
