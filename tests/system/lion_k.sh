# Lion-K's experiments are complete files and run shortened; a run with monitors that was interrupted ends with the same
# bits.
set -eu
cd "$SCRATCH"
tenon=$BUILD/tenon
"$tenon" check "$ROOT/examples/papers/14-lion-k.ini"
"$tenon" run "$ROOT/examples/papers/14-lion-k.ini" --smoke --single --quiet --directory smoke pipeline.stages=reference,run \
  bound.reference=reference
grep -q '"run.worst_slack"' smoke/results.json
grep -q '"run.identified"' smoke/results.json

settings='run.steps=100000 run.log_every=20 bowl.deviation=5 run.gradient=noise lionk.weight_decay=2
  certificate.rows=10 pipeline.checkpoint_every=5000 pipeline.checkpoint_seconds=0 --single --quiet'
"$tenon" run "$ROOT/examples/papers/14-lion-k.ini" --directory whole $settings
"$tenon" run "$ROOT/examples/papers/14-lion-k.ini" --directory cut $settings 2>err &
pid=$!
until ls cut/checkpoints/step-*.safetensors >/dev/null 2>&1 || ! kill -0 $pid; do :; done
kill -TERM $pid
code=0; wait $pid || code=$?
[ "$code" = 130 ] || { echo "exit code $code"; cat err; exit 1; }
"$tenon" resume cut --quiet
cmp whole/results.json cut/results.json

# The flow and a network with an observer of its weights, in the same way.
cat >flow.ini <<'END'
[pipeline]
stages = flow, train
precision = float64
[q]
use = problem.quadratic
[flow]
use = stage.ode
problem = q
horizon = 3
step = 1e-4
[d]
use = dataset.csv
file = ${examples}/data/digits.csv.gz
[net]
use = model.mlp
[lionk]
use = optimizer.lion_k
weight_decay = 5
lr = 1e-3
[bound]
use = metric.constraint
optimizer = lionk
[weights]
use = observer.weight_histogram
[train]
use = stage.supervised
data = d
model = net
loss = loss.cross_entropy
optimizer = lionk
metrics = bound
observers = weights
epochs = 60
END
settings='pipeline.checkpoint_every=1000 pipeline.checkpoint_seconds=0 --quiet'
"$tenon" run flow.ini --directory flow $settings
for after in 1000 31000; do
  rm -rf cut
  "$tenon" run flow.ini --directory cut $settings 2>err &
  pid=$!
  until ls cut/checkpoints/ 2>/dev/null | sed 's/[^0-9]//g' | awk -v n=$after '$1 >= n {found = 1} END {exit !found}' || ! kill -0 $pid 2>/dev/null; do :; done
  kill -TERM $pid
  code=0; wait $pid || code=$?
  [ "$code" = 130 ] || { echo "exit code $code after $after"; cat err; exit 1; }
  "$tenon" resume cut --quiet
  cmp flow/results.json cut/results.json
  cmp flow/params/net.safetensors cut/params/net.safetensors
done
