# Every file in tests/pipeline/wrong is refused with exactly the line in its .expected file and exit code 2,
# by check and by run.
set -eu
cp "$ROOT"/tests/pipeline/wrong/* "$SCRATCH"
cd "$SCRATCH"
# Two more that are too long to be kept.
{ printf '[pipeline]\nstages = train\n; '; head -c 1048576 /dev/zero | tr '\0' x; printf '\n[extra\n'; } >long_line.ini
{ printf '[pipeline]\nstages = '; head -c 131072 /dev/zero | tr '\0' x; printf '\n'; } >long_value.ini
count=0
for file in *.ini; do
  for command in check run; do
    code=0
    "$BUILD/tenon" "$command" "$file" >/dev/null 2>err || code=$?
    if [ "$code" != 2 ] || [ "$(cat err)" != "$(cat "${file%.ini}.expected")" ]; then
      echo "$command $file: exit code $code, got:"; cat err
      echo "expected:"; cat "${file%.ini}.expected"
      exit 1
    fi
  done
  count=$((count + 1))
done
echo "note: $count files"
