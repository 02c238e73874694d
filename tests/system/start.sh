# Start, load, train one step, write results, exit: timed and printed, not asserted.
set -eu
cd "$SCRATCH"
"$BUILD/tenon" run "$ROOT/tests/bench/start.ini" --quiet --directory warm
start=$(date +%s%N)
for i in 1 2 3 4 5 6 7 8 9 10; do "$BUILD/tenon" run "$ROOT/tests/bench/start.ini" --quiet --directory "r$i"; done
end=$(date +%s%N)
echo "note: $(((end - start) / 10000000)) ms a run"
