# Every broken plugin of tests/faults is caught by the check that is for it, with its line; the same plugins without a
# fault pass. Columns: source, fault, component, check, what the line says.
set -eu
cd "$SCRATCH"
export TMPDIR="$SCRATCH"
compile() { cc -std=c17 -D_XOPEN_SOURCE=700 -O1 -w -fPIC -shared -I"$ROOT/sdk/include" "$@"; }
for source in optimizer function; do
  compile "$ROOT/tests/faults/zoo/$source.c" -o "$source.so"
  "$BUILD/tenon" test "$source.so" --fast >out 2>&1 || { echo "$source without a fault:"; cat out; exit 1; }
done
count=0
while IFS='|' read -r source fault component check line; do
  [ -n "$source" ] || continue
  compile "-DFAULT=$fault" "$ROOT/tests/faults/zoo/$source.c" -o fault.so
  code=0
  "$BUILD/tenon" test fault.so "$component" --fast --check "$check" --limit 3 >out 2>&1 || code=$?
  if [ "$code" != 1 ] || ! grep -qF "FAILED $component $check: $line" out ||
    ! grep -qF "reproduce: tenon test fault.so $component --check $check --seed 1" out; then
    echo "$fault: exit code $code, expected 1 and 'FAILED $component $check: $line', got:"; cat out
    exit 1
  fi
  count=$((count + 1))
done <<'TABLE'
optimizer|CRASH_CREATE|optimizer.faulty|defaults|crashed (Segmentation fault) in subject create
optimizer|CRASH_STEP|optimizer.faulty|descends|crashed (Segmentation fault) in subject step
optimizer|CRASH_DESTROY|optimizer.faulty|defaults|crashed (Segmentation fault)
optimizer|ABORT|optimizer.faulty|descends|crashed (Aborted) in subject step
optimizer|EXIT|optimizer.faulty|descends|ended the program (exit code 3)
optimizer|LOOP|optimizer.faulty|descends|did not end within 3 seconds in subject step
optimizer|STACK|optimizer.faulty|descends|crashed (Segmentation fault) in subject step
optimizer|NOT_A_NUMBER|optimizer.faulty|descends|after 200 steps: 'first.weight'[0] is not finite
optimizer|PAST_INSTANCE|optimizer.faulty|guard|crashed (Segmentation fault) in subject step
optimizer|PAST_TENSOR|optimizer.faulty|guard|crashed (Segmentation fault) in subject step
optimizer|LEAK|optimizer.faulty|thousand|
optimizer|DOUBLE_FREE|optimizer.faulty|defaults|crashed (Aborted)
optimizer|NO_STATE|optimizer.faulty|state|a fresh instance with the saved state goes on differently
optimizer|STATE_ORDER|optimizer.faulty|state|loading the state: the saved state holds no 'subject/momenta'
optimizer|ORDER|optimizer.faulty|order|the update of
optimizer|RANDOM|optimizer.faulty|seed|two runs with the same seed differ
optimizer|SHARED|optimizer.faulty|independence|what it does depends on another instance of its class
optimizer|ASCENDS|optimizer.faulty|descends|200 steps on a quadratic lead from
optimizer|UNTRAINED|optimizer.faulty|untrained|it changes parameters that are fixed or buffers
optimizer|SILENT|optimizer.faulty|descends|
optimizer|SILENT_CREATE|optimizer.faulty|boundaries|refused without a message
function|WRONG_GRADIENT|loss.faulty|gradient|d / d logits[0] is
function|BATCH_ORDER|loss.faulty|permutation|the loss depends on the order of the batch
function|OVERFLOWS|loss.faulty|extreme|logits of about 1000 give a loss of inf
function|IMPURE|model.faulty|pure|apply is not pure
function|CHANGES_PARAMETERS|model.faulty|pure|apply
function|BATCH_DEPENDENT|model.faulty|rows|'logits' of a row depends on the other rows of its batch
function|UNDECLARED|model.faulty|declared|'logits' has another shape than declared
function|NEGATIVE|schedule.faulty|factors|the factor at step
function|NOT_FINITE|schedule.faulty|factors|the factor at step 0 of 0 is inf
function|LABEL_RANGE|dataset.faulty|described|'label' holds 3, but has classes 0 to 2
function|OTHER_SHAPE|dataset.faulty|described|'input' has another shape than described
function|OTHER_ROWS|dataset.faulty|rows|the same rows read twice differ
function|MERGE|metric.faulty|merge|the whole and two merged halves
function|FORGETS_NOT|metric.faulty|reset|a batch alone and the same after reset
TABLE
# Files that are no usable plugins, with the zoo of the loader's tests.
tiny() { compile -DNAME=tiny "$@" "$ROOT/tests/plugin/zoo/tiny.c" -o file.so; }
refused() {
  code=0
  "$BUILD/tenon" test file.so >out 2>&1 || code=$?
  if [ "$code" != 1 ] || ! grep -qF "FAILED file.so load: $1" out; then
    echo "exit code $code, expected 1 and '$1', got:"; cat out
    exit 1
  fi
  count=$((count + 1))
}
tiny -DMAJOR=2; refused "needs ABI 2, this host offers 1"
tiny -DMINOR=999; refused "needs ABI 1.999, this host offers"
tiny -DNO_SYMBOL; refused "not a tenon plugin (no symbol 'tenon_plugin')"
tiny -DCLASS_SIZE=4; refused "component 1"
tiny -DBAD_DEFAULT; refused "optimizer.tiny, parameter 'lr': its default"
tiny -DTWICE; refused "offers 'tiny' of kind tenon.optimizer/1 twice"
tiny -DNO_STEP; refused "optimizer.tiny"
tiny -DCRASH; refused "crashed when it was loaded (Segmentation fault)"
tiny '-DKIND="nonsense"'; refused "component 1: kind 'nonsense'"
tiny; head -c 2000 file.so >cut.so; mv cut.so file.so; refused "not a shared object (truncated)"
tiny; printf '\267' | dd of=file.so bs=1 seek=18 conv=notrunc 2>/dev/null; refused "not a shared object (made for another architecture)"
echo 'int missing(void) { return 0; }' >missing.c; compile missing.c -o libmissing.so
tiny -L. -Wl,--no-as-needed -lmissing; rm libmissing.so; refused "cannot be loaded"
echo "note: $count faults"
