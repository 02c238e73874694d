# Schedule refinement: its experiments run shortened; a run that was interrupted while it recorded norms, while it followed
# the refined schedule, and in the middle of a grid of rates ends with the same bits; so does one on two processes.
set -eu
cd "$SCRATCH"
tenon=$BUILD/tenon
"$tenon" run "$ROOT/examples/papers/38-last-iterate.ini" --smoke --single --quiet --directory smoke
grep -q '"run.gap"' smoke/results.json
if [ -n "${TENON_DATA:-}" ]; then
  "$tenon" run "$ROOT/examples/papers/38-convex.ini" --smoke --single --quiet --directory convex grid.rates=0.1
  grep -q '"grid.refined"' convex/results.json
  "$tenon" run "$ROOT/examples/papers/38-char-lm.ini" --smoke --single --quiet --directory text \
    pipeline.stages=first,train,test train.schedule=refined train.restart=yes test.metrics=ce,bound_refined
  grep -q '"test.refined_start"' text/results.json
fi

cat >refined.ini <<'END'
[pipeline]
stages = first, second, test, grid
[d]
use = dataset.csv
file = ${examples}/data/digits.csv.gz
scale = 16
[net]
use = model.mlp
hidden = 64
init = he_normal
[sgd]
use = optimizer.sgd
lr = 0.03
[last]
use = optimizer.averaged_last
inner = sgd
[norms]
use = observer.gradient_norms
file = norms.csv
[plan]
use = schedule.refined
norms = norms
output = factors.txt
[first]
use = stage.supervised
data = d
model = net
loss = loss.cross_entropy
optimizer = last
observers = norms
batch = 8
steps = 8000
[second]
base = first
optimizer = sgd
schedule = plan
observers =
restart = yes
[bound]
use = metric.schedule_bound
schedule = plan
norms = norms
[test]
use = stage.evaluate
data = d:test
model = net
metrics = accuracy, bound
[inner]
base = first
steps = 2000
optimizer = sgd
schedule = plan
[grid]
use = stage.refine_schedule
inner = inner
refined = plan
data = d:test
model = net
metrics = accuracy
best = largest
schedules = schedule.linear, schedule.cosine
rates = 1, 3
seeds = 2
END
settings='pipeline.checkpoint_every=500 pipeline.checkpoint_seconds=0 --quiet'
"$tenon" run refined.ini --directory whole $settings
[ "$(wc -l <whole/artifacts/factors.txt)" = 2000 ] # of the last refinement
for after in 500 8500; do
  rm -rf cut
  "$tenon" run refined.ini --directory cut $settings 2>err &
  pid=$!
  until ls cut/checkpoints/ 2>/dev/null | sed 's/[^0-9]//g' | awk -v n=$after '$1 >= n {found = 1} END {exit !found}' ||
    ! kill -0 $pid 2>/dev/null; do :; done
  kill -TERM $pid
  code=0; wait $pid || code=$?
  [ "$code" = 130 ] || { echo "exit code $code after $after"; cat err; exit 1; }
  "$tenon" resume cut --quiet
  for file in results.json norms.csv artifacts/factors.txt params/net.safetensors; do cmp whole/$file cut/$file; done
done

# The grid alone, one checkpoint a trial.
settings="pipeline.stages=grid pipeline.checkpoint_every=1 pipeline.checkpoint_seconds=0 --quiet"
"$tenon" run refined.ini --directory grid $settings
rm -rf cut
"$tenon" run refined.ini --directory cut $settings 2>err &
pid=$!
until ls cut/checkpoints/ 2>/dev/null | sed 's/[^0-9]//g' | awk '$1 >= 9 {found = 1} END {exit !found}' ||
  ! kill -0 $pid 2>/dev/null; do :; done
kill -TERM $pid
code=0; wait $pid || code=$?
[ "$code" = 130 ] || { echo "exit code $code in the grid"; cat err; exit 1; }
"$tenon" resume cut --quiet
for file in results.json norms.csv artifacts/factors.txt params/net.safetensors; do cmp grid/$file cut/$file; done

# Two processes record what one does, in two parts to the bit, in one to rounding.
[ -f "$BUILD/plugins/communicator_mpi.so" ] && command -v mpirun >/dev/null || exit 0
export OMP_NUM_THREADS=1 OMPI_MCA_btl_vader_single_copy_mechanism=none
settings="pipeline.stages=first,second,test pipeline.precision=float64 first.steps=200 --quiet"
"$tenon" run refined.ini --directory one $settings
"$tenon" run refined.ini --directory two $settings first.micro_batches=2
"$tenon" run refined.ini --directory ranks --ranks 2 $settings first.micro_batches=2
for file in results.json norms.csv artifacts/factors.txt params/net.safetensors; do cmp two/$file ranks/$file; done
paste -d, one/norms.csv ranks/norms.csv | awk -F, 'NR > 1 && NF == 6 {
  for (i = 2; i <= 3; i++) if (($i - $(i + 3)) ^ 2 > (1e-6 * $i) ^ 2) { print; bad = 1 }
  count++ } END {exit bad || count != 200}'
