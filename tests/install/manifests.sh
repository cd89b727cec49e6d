#!/usr/bin/env bash
# The Kubernetes manifest and the Dockerfile of integrations/container are such: by the schemas of the npm package
# kubernetes-models, with js-yaml, and by dockerfile-utils. Where node finds them (NODE_PATH) they are taken from there,
# else npm fetches them into the build folder, once.
set -euo pipefail
: "${HEADROOM_BUILD_DIR:?is the build to test}" "${HEADROOM_SOURCE_DIR:?is the tree}"
folder=$HEADROOM_SOURCE_DIR/integrations/container
packages=$HEADROOM_BUILD_DIR/npm
command -v node >/dev/null || { echo "skipped: there is no node"; exit 77; }
export NODE_PATH=$packages/node_modules${NODE_PATH:+:$NODE_PATH}
found() { node -e 'require("kubernetes-models"); require("js-yaml"); require("dockerfile-utils")' 2>/dev/null; }
if ! found && command -v npm >/dev/null; then
    timeout 120 npm install --prefix "$packages" --silent --no-audit --no-fund --ignore-scripts \
        kubernetes-models@4 js-yaml@5 dockerfile-utils@0.16 >/dev/null 2>&1 || true
fi
found || { echo "skipped: npm fetches no kubernetes-models, js-yaml and dockerfile-utils (NODE_PATH)"; exit 77; }
node - "$folder" <<'JAVASCRIPT'
const fs = require('fs');
const yaml = require('js-yaml');
const dockerfile = require('dockerfile-utils');
const { Deployment } = require('kubernetes-models/apps/v1/Deployment');
const manifest = yaml.load(fs.readFileSync(`${process.argv[2]}/deployment.yaml`, 'utf8'));
const image = fs.readFileSync(`${process.argv[2]}/Dockerfile`, 'utf8');
new Deployment(manifest).validate();
for (const mistake of dockerfile.validate(image)) {
    console.log(`Dockerfile: ${mistake.message}`);
    process.exitCode = 1;
}
// Each would have seen a mistake.
const broken = structuredClone(manifest);
broken.spec.template.spec.containers[0].command = 'one word';
let seen = dockerfile.validate(image.replace('ENTRYPOINT', 'ENTRY')).length > 0 ? 1 : 0;
try {
    new Deployment(broken).validate();
} catch (error) {
    seen++;
}
if (seen < 2) {
    console.log('the schemas see no mistakes');
    process.exitCode = 1;
}
JAVASCRIPT
