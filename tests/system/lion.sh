# A method in one short file: Lion with its documentation and schema.
set -eu
lines=$(wc -l <"$ROOT/plugins/optimizers/lion.c")
[ "$lines" -le 60 ] || { echo "lion.c has $lines lines"; exit 1; }
echo "note: $lines lines"
