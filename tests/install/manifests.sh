#!/usr/bin/env bash
# The Kubernetes manifest of integrations/container is one: by the schemas of the npm package kubernetes-models, which
# has to be where node finds it (NODE_PATH), with js-yaml.
set -euo pipefail
: "${HEADROOM_BUILD_DIR:?is the build to test}" "${HEADROOM_SOURCE_DIR:?is the tree}"
folder=$HEADROOM_SOURCE_DIR/integrations/container
command -v node >/dev/null || { echo "skipped: there is no node"; exit 77; }
node -e 'require("kubernetes-models"); require("js-yaml")' 2>/dev/null ||
    { echo "skipped: node finds no kubernetes-models and js-yaml (npm install both; NODE_PATH)"; exit 77; }
node - "$folder/deployment.yaml" <<'JAVASCRIPT'
const fs = require('fs');
const yaml = require('js-yaml');
const { Deployment } = require('kubernetes-models/apps/v1/Deployment');
const manifest = yaml.load(fs.readFileSync(process.argv[2], 'utf8'));
new Deployment(manifest).validate();
const broken = structuredClone(manifest);
broken.spec.template.spec.containers[0].command = 'one word';
try {
    new Deployment(broken).validate();
} catch (error) {
    process.exit(0); // the schema would have seen a mistake
}
console.log('the schema sees no mistakes');
process.exit(1);
JAVASCRIPT
