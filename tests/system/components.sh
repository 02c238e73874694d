# SPDX-License-Identifier: MIT
# docs/components.md lists what is built, no more and no less.
set -eu
unset TENON_PLUGIN_PATH
"$ROOT/tests/components" "$BUILD" >"$SCRATCH/components.md"
# What is built only where a library is.
[ -f "$BUILD/plugins/communicator_mpi.so" ] && optional='^$' || optional='`communicator.mpi`'
grep -v "$optional" "$ROOT/docs/components.md" >"$SCRATCH/expected.md" || true
grep -v "$optional" "$SCRATCH/components.md" >"$SCRATCH/is.md" || true
diff "$SCRATCH/expected.md" "$SCRATCH/is.md"
