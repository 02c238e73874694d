# Every file in tests/pipeline/wrong is refused with exactly the line in its .expected file and exit code 2.
set -eu
cd "$ROOT/tests/pipeline/wrong"
count=0
for file in *.ini; do
  code=0
  "$BUILD/tenon" check "$file" >/dev/null 2>"$SCRATCH/err" || code=$?
  if [ "$code" != 2 ] || ! cmp -s "$SCRATCH/err" "${file%.ini}.expected"; then
    echo "$file: exit code $code, got:"; cat "$SCRATCH/err"
    echo "expected:"; cat "${file%.ini}.expected"
    exit 1
  fi
  count=$((count + 1))
done
echo "note: $count files"
