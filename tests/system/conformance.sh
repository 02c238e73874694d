# Every class of every built-in plugin passes the conformance suite, in its fast profile; the results are JUnit XML.
set -eu
export TMPDIR="$SCRATCH"
code=0
"$BUILD/tenon" test "$BUILD/plugins" --fast --limit 120 --junit "$SCRATCH/junit.xml" >"$SCRATCH/out" 2>&1 || code=$?
[ "$code" = 0 ] || { grep -v '^ok' "$SCRATCH/out"; exit 1; }
grep -q 'failures="0"' "$SCRATCH/junit.xml"
echo "note: $(tail -1 "$SCRATCH/out")"
