# The first thing a newcomer runs: at least 96 % on the test digits; the run directory; the report is named.
set -eu
cd "$SCRATCH"
"$BUILD/tenon" run "$ROOT/examples/quickstart.ini" >out 2>&1 || { cat out; exit 1; }
cat out
accuracy=$(sed -n 's/.*"test.accuracy": \([0-9.]*\).*/\1/p' runs/quickstart-1/results.json)
awk "BEGIN {exit !($accuracy >= 0.96)}"
for file in pipeline.ini log.txt metrics.jsonl results.json report.html params/net.safetensors; do
  [ -s "runs/quickstart-1/$file" ] || { echo "no $file"; exit 1; }
done
tail -1 out | grep -q '^report: runs/quickstart-1/report.html, by tenon report runs/quickstart-1$'
# The same bits again, and with another number of threads.
"$BUILD/tenon" run "$ROOT/examples/quickstart.ini" pipeline.threads=1 >/dev/null 2>&1
cmp runs/quickstart-1/params/net.safetensors runs/quickstart-2/params/net.safetensors
echo "note: accuracy $accuracy"
