# SPDX-License-Identifier: MIT
# docs/components.md lists what is built, no more and no less.
set -eu
unset TENON_PLUGIN_PATH
"$ROOT/tests/components" "$BUILD" >"$SCRATCH/components.md"
diff "$ROOT/docs/components.md" "$SCRATCH/components.md"
