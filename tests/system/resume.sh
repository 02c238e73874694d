# tenon resume: after SIGTERM and SIGINT (exit 130, a checkpoint, the command to go on), from another folder, with a
# damaged checkpoint, without any, when finished, with a changed file, with another lock; always the same bits.
set -eu
cd "$SCRATCH"
tenon=$BUILD/tenon
cp "$ROOT/examples/quickstart.ini" q.ini
settings='train.epochs=150 pipeline.checkpoint_every=50'
"$tenon" run q.ini --quiet --directory whole $settings
# What the report is made from, but for the times.
events() { sed 's/"seconds":[0-9.]*//; s/"time":[0-9]*//; s/"file":"[^"]*"//; /"type":"run_end"/d' "$1/events.jsonl"; }
same() {
  for file in results.json params/net.safetensors; do cmp "whole/$file" "$1/$file"; done
  events whole >a; events "$1" >b; cmp a b
}
# After the first checkpoint, so that the signal finds the run at work.
interrupt() {
  directory=$1 signal=$2
  rm -rf "$directory"
  "$tenon" run q.ini --quiet --directory "$directory" $settings 2>err &
  pid=$!
  until ls "$directory"/checkpoints/step-*.safetensors >/dev/null 2>&1 || ! kill -0 $pid; do :; done
  kill "-$signal" $pid
  code=0; wait $pid || code=$?
  [ "$code" = 130 ] || { echo "$signal: exit code $code"; cat err; exit 1; }
  [ "$(cat err)" = "interrupted in [train]; go on with: tenon resume $directory" ] || { cat err; exit 1; }
}
interrupt term TERM
(cd / && "$tenon" resume "$SCRATCH/term" --quiet)
same term
# Every event once: but for the times, the log of an undisturbed run.
strip() { sed 's/"seconds":[0-9.]*//' "$1/metrics.jsonl" | grep -v '"type":"run_end"'; }
strip whole >a; strip term >b; cmp a b
"$tenon" resume term >out
grep -q '^term: the run has finished$' out

# The newest checkpoint is damaged: the one before it. None is left: from the beginning.
interrupt int INT
newest=$(ls int/checkpoints | sort -t- -k2 -n | tail -1)
printf 'rubbish' | dd of="int/checkpoints/$newest" bs=1 seek=100000 conv=notrunc 2>/dev/null
"$tenon" resume int --quiet; grep -q 'passed over: .*damaged' int/log.txt
same int
interrupt int INT
rm int/checkpoints/*
"$tenon" resume int --quiet; same int

# A file that has changed since, and is gone.
interrupt changed TERM
sed -i 's/^lr .*/lr = 0.5/' q.ini
"$tenon" resume changed >out 2>&1; grep -q 'the run goes on with changed/pipeline.ini' out
same changed
cp "$ROOT/examples/quickstart.ini" q.ini
interrupt gone TERM
mv q.ini moved.ini
"$tenon" resume gone --quiet >out 2>&1; same gone
mv moved.ini q.ini

# Claims are judged at the end of a run that was resumed, and the report is written: here of the kept copy, whose file
# is gone.
printf '[expect]\nlearns = test.accuracy >= 0.9\nnever = test.accuracy > 1\n' | cat q.ini - >claims.ini
mv q.ini kept.ini; mv claims.ini q.ini
interrupt claims TERM
[ ! -e claims/expect.json ]
mv q.ini claims.ini
code=0; "$tenon" resume claims >out 2>&1 || code=$?
[ "$code" = 4 ] || { echo "claims after a resume: exit code $code"; cat out; exit 1; }
grep -q '^holds  learns  0.9[0-9]* >= 0.9 ' out
grep -q '^FAILS  never ' out
grep -q '^report: claims/report.html, by tenon report claims$' out
grep -q 'fails</div>' claims/report.html
mv kept.ini q.ini

# The lock file.
"$tenon" run q.ini --quiet --directory again $settings --locked whole/lock.json; same again
code=0; "$tenon" run q.ini --quiet --directory other $settings pipeline.seed=2 train.optimizer=optimizer.sgd --locked whole/lock.json 2>err || code=$?
[ "$code" = 2 ]
grep -q '^error: whole/lock.json: seed is 2, locked 1$' err
grep -q "^error: whole/lock.json: plugin 'optimizer_sgd' is not in it$" err
[ ! -e other ]
# Nothing to resume, and two at once.
code=0; "$tenon" resume nowhere 2>err || code=$?
[ "$code" = 2 ] && [ "$(wc -l <err)" = 1 ]
flock whole "$tenon" run q.ini --quiet --directory whole 2>err && exit 1
grep -q '^error: whole: another process runs in it$' err
