# Every class of every built-in plugin passes the conformance suite, in its fast profile; the results are JUnit XML.
# What cannot be made from its schema alone has a pipeline file in tests/conformance.
set -eu
export TMPDIR="$SCRATCH"
cc -O2 -shared -fPIC -o "$SCRATCH/functions.so" "$ROOT/examples/foreign/functions.c" -lm
export LD_LIBRARY_PATH="$SCRATCH${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}"
code=0
"$BUILD/tenon" test "$BUILD/plugins" --fast --limit 120 --with "$ROOT/tests/conformance" --junit "$SCRATCH/junit.xml" \
  >"$SCRATCH/out" 2>&1 || code=$?
[ "$code" = 0 ] || { grep -v '^ok' "$SCRATCH/out"; exit 1; }
grep -q 'failures="0"' "$SCRATCH/junit.xml"
# A file there whose component is not tested, or is still skipped, has lost its purpose.
for file in "$ROOT"/tests/conformance/*.ini; do
  component=$(basename "$file" .ini)
  grep -q "^ok *$component  [0-9]* passed" "$SCRATCH/out" || { echo "$file: no component $component was tested"; exit 1; }
  if grep "^  skipped $component " "$SCRATCH/out"; then exit 1; fi
done
echo "note: $(tail -1 "$SCRATCH/out")"
