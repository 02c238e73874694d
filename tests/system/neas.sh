# A search of ensembles that was interrupted, in training and in ranking, ends with the same bits; the example of the
# paper is complete and runs shortened where its data are.
set -eu
cd "$SCRATCH"
tenon=$BUILD/tenon
cat >search.ini <<'END'
[pipeline]
stages = search, retrain, test, rank
[digits]
use = dataset.csv
file = ${examples}/data/digits.csv.gz
image = 1, 8, 8
[super]
use = model.ensemble_supernet
widths = 4, 4, 8
strides = 2, 2
hidden = 8
splits = 1
choices = mb_k3_e1, mb_k3_e2, mb_k5_e2
share = branch
[sgd]
use = optimizer.sgd
lr = 0.1
momentum = 0.9
[evolve]
use = solver.evolution
population = 6
generations = 3
[method]
use = search.ensemble_one_shot
evolve = evolve
subset = 100
samples = 2
calibrate = 64
probe = 16
budget = 20000
keep = 1
ranked = 3
[search]
use = stage.search
search = method
model = super
data = digits
loss = loss.ensemble
optimizer = sgd
train = 600
validation = 200
batch = 16
steps = 60
metrics = metric.accuracy
[net]
use = model.ensemble_net
of = search
widths = ${super.widths}
strides = ${super.strides}
hidden = ${super.hidden}
choices = ${super.choices}
[retrain]
use = stage.supervised
data = digits
model = net
loss = loss.ensemble
optimizer = sgd
batch = 16
steps = 30
[test]
use = stage.evaluate
data = digits:test
model = net
metrics = metric.accuracy, metric.diversity, metric.flops
[ranked]
base = net
[rank]
use = stage.rank
of = search
model = ranked
data = digits
test = digits:test
loss = loss.ensemble
optimizer = sgd
batch = 16
steps = 30
END
settings='pipeline.checkpoint_every=1 pipeline.checkpoint_seconds=0 --quiet'
"$tenon" run search.ini --directory whole $settings
grep -q '"search.pool_diversity"' whole/results.json
grep -q '"rank.kendall"' whole/results.json
grep -q '"test.macs"' whole/results.json
# 60 steps, 3 generations, 30 steps, 4 batches, 3 architectures
for after in 10 45 62 98; do
  rm -rf cut
  "$tenon" run search.ini --directory cut $settings 2>err &
  pid=$!
  until ls cut/checkpoints/ 2>/dev/null | sed 's/[^0-9]//g' | awk -v n=$after '$1 >= n {found = 1} END {exit !found}' || ! kill -0 $pid 2>/dev/null; do :; done
  kill -TERM $pid 2>/dev/null || true
  code=0; wait $pid || code=$?
  [ "$code" = 130 ] || [ "$code" = 0 ] || { echo "exit code $code after $after"; cat err; exit 1; }
  "$tenon" resume cut --quiet
  cmp whole/results.json cut/results.json
  cmp whole/params/net.safetensors cut/params/net.safetensors
done

if [ -n "${TENON_DATA:-}" ] && [ -d "$TENON_DATA/fashion" ]; then
  "$tenon" check "$ROOT/examples/papers/34-neas.ini" >/dev/null
  "$tenon" run "$ROOT/examples/papers/34-neas.ini" --smoke --quiet --directory smoke sweep.seeds=1
  grep -q '"rank.kendall"' smoke/cells/diverse/*/results.json
fi
if [ -n "${TENON_DATA:-}" ] && [ -d "$TENON_DATA/mnist" ]; then
  "$tenon" run "$ROOT/examples/mix/neas-adanpc.ini" --smoke --quiet --directory mix
fi
