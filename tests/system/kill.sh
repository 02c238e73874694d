# SIGKILL at random moments, resumed until the run finishes: parameters and results.json must be those of an undisturbed
# run, bit for bit. TENON_KILLS: kills a pipeline (default 4). More pipelines: one line each in `pipelines`.
set -eu
cd "$SCRATCH"
kills=${TENON_KILLS:-4}
tenon=$BUILD/tenon

# Momentum, batch norm, an average of the parameters, gradient clipping, a metric that accumulates.
cat >batch_norm.ini <<END
[pipeline]
stages = train, test
checkpoint_every = 7
[digits]
use = dataset.csv
file = $ROOT/examples/data/digits.csv.gz
header = no
label = last
scale = 16
test = 20%
[standard]
use = transform.standardise
[net]
use = model.mlp
hidden = 64, 64
norm = batch
dropout = 0.1
[sgd]
use = optimizer.sgd
lr = 0.05
momentum = 0.9
[train]
use = stage.supervised
data = digits
validation = digits:test
model = net
transforms = standard
loss = loss.cross_entropy
optimizer = sgd
schedule = schedule.cosine
gradient = gradient.clip_norm
metrics = accuracy
ema = 0.99
epochs = 6
[test]
use = stage.evaluate
data = digits:test
model = net
transforms = standard
metrics = accuracy, confusion
batch = 20
END

# Two training stages one after the other: a checkpoint may be in either, or between.
sed -e 's/^stages = .*/stages = train, tune, test/' batch_norm.ini >two_stages.ini
cat >>two_stages.ini <<END
[adam]
use = optimizer.adamw
[tune]
base = train
use = stage.supervised
optimizer = adam
ema = 0
epochs = 3
END

# A trained network's features feed a memory that grows along a stream of digits.
cat >predictor.ini <<END
[pipeline]
stages = train, stream
checkpoint_every = 5
[digits]
use = dataset.csv
file = $ROOT/examples/data/digits.csv.gz
header = no
label = last
scale = 16
test = 40%
[net]
use = model.mlp
hidden = 32
[sgd]
use = optimizer.sgd
lr = 0.05
momentum = 0.9
[train]
use = stage.supervised
data = digits
model = net
loss = loss.cross_entropy
optimizer = sgd
epochs = 3
[memory]
use = predictor.adanpc
model = net
k = 5
[stream]
use = stage.test_stream
predictor = memory
fit = digits
data = digits:test
batch = 8
END

# An evolution of optimizer programs.
cat >evolution.ini <<END
[pipeline]
stages = discover
checkpoint_every = 10
include = $ROOT/examples/papers/08-digits.inc
[evolution]
use = solver.regularized_evolution
population = 20
tournament = 5
evaluations = 120
[discover]
use = stage.solve
problem = proxy
solver = evolution
END
pipelines='batch_norm two_stages predictor evolution'

# A search for an architecture needs images.
if [ -f "${TENON_DATA:-}/fashion/train-images-idx3-ubyte.gz" ]; then
  sed -e 's/^stages = .*/stages = search\ncheckpoint_every = 3/' -e 's/^steps = 1000/steps = 30/' -e 's/^limit = .*/limit = 600/' \
    -e 's/^train = 300/train = 200/' -e 's/^validation = 1000/validation = 300/' "$ROOT/examples/darts-fashion.ini" >darts.ini
  pipelines="$pipelines darts"
fi

random=12345 # a fixed sequence of delays; what it hits depends on the machine
draw() { random=$(((random * 1103515245 + 12345) % 2147483648)); echo $((random / 65536 % $1)); }

printf '%-12s %6s %8s %8s %s\n' pipeline kills resumed restarts result
for name in $pipelines; do
  start=$(date +%s%N)
  "$tenon" run $name.ini --quiet --directory "$name-whole"
  length=$((($(date +%s%N) - start) / 1000000)) # ms
  killed=0 resumed=0 restarts=0
  while [ "$killed" -lt "$kills" ]; do
    rm -rf "$name-killed"
    set -- run $name.ini --quiet --directory "$name-killed"
    while :; do
      "$tenon" "$@" 2>err &
      pid=$!
      wait_ms=$(draw $((length + 5)))
      sleep "$(printf '0.%03d' "$((wait_ms % 1000))")"
      # The supervisor, whose death takes the worker along, or the worker.
      child=$(cat /proc/$pid/task/$pid/children 2>/dev/null || true)
      victim=$pid
      [ "$(draw 2)" = 0 ] && [ -n "$child" ] && victim=${child%% *}
      if kill -KILL "$victim" 2>/dev/null; then killed=$((killed + 1)); fi
      code=0; wait $pid 2>/dev/null || code=$?
      [ "$code" = 0 ] && break
      case $code in 137 | 1) ;; *) echo "exit code $code:"; cat err; exit 1 ;; esac
      # An orphaned worker dies at once, but not in no time: the lock on the directory ends with it.
      tries=0
      while [ -d "$name-killed" ] && ! flock -n "$name-killed" true; do
        tries=$((tries + 1)); [ $tries -lt 100 ] || { echo "the worker outlives its supervisor"; exit 1; }; sleep 0.02
      done
      if [ -f "$name-killed/lock.json" ]; then
        ls "$name-killed"/checkpoints/step-*.safetensors >/dev/null 2>&1 && resumed=$((resumed + 1)) || restarts=$((restarts + 1))
        set -- resume "$name-killed" --quiet
      else # killed before there was anything
        restarts=$((restarts + 1))
        set -- run $name.ini --quiet --directory "$name-killed"
      fi
      if [ "$killed" -ge "$kills" ]; then "$tenon" "$@"; break; fi
    done
    for file in results.json $(cd "$name-whole" && ls params/*.safetensors); do
      cmp "$name-whole/$file" "$name-killed/$file" || { printf '%-12s %6d differs: %s\n' $name $killed "$file"; exit 1; }
    done
  done
  printf '%-12s %6d %8d %8d %s\n' $name $killed $resumed $restarts "the same bits"
done
echo "note: $kills kills a pipeline, $pipelines"
