# SPDX-License-Identifier: MIT
# Architecture search as a pipeline: genotypes are told, listed and drawn, also after a resume; the examples run.
set -eu
tenon=$BUILD/tenon
cd "$SCRATCH"
cat >darts.ini <<END
[pipeline]
stages = search, retrain
observers = progress, jsonl, genotype
checkpoint_every = 20
[digits]
use = dataset.csv
file = $ROOT/examples/data/digits.csv.gz
image = 1, 8, 8
scale = 16
[super]
use = model.darts_supernet
channels = 2
cells = 2
reductions = 1
nodes = 2
ops = none, skip_connect, sep_conv_3x3
[past]
use = loss.voting_distillation
interval = 5
[method]
use = search.darts
arch_optimizer = optimizer.adam
distill = past
[search]
use = stage.search
search = method
model = super
data = digits
train = 200
validation = 200
batch = 32
steps = 60
derive_every = 10
optimizer = optimizer.sgd
metrics = accuracy, sharpness, hessian_eigenvalue, discretisation_gap
[net]
use = model.genotype_net
of = search
channels = 2
cells = 2
reductions = 1
[retrain]
use = stage.supervised
data = digits
model = net
loss = loss.cross_entropy
optimizer = optimizer.sgd
steps = 5
END
"$tenon" run darts.ini --directory whole >out.txt
genotype=$(sed -n 's/.*"name":"genotype".*"text":"\(normal = [^"]*\)".*/\1/p' whole/metrics.jsonl | tail -1)
[ -n "$genotype" ]
grep -qxF "search  $genotype" out.txt
[ "$(tail -1 whole/genotypes.txt | cut -d' ' -f4-)" = "$genotype" ]
[ "$(grep -c '"name":"genotype"' whole/metrics.jsonl)" = 6 ] # five on the way, one at the end
# Each entry of the genotype is an arrow of its cell's drawing.
for cell in normal reduce; do
  line=$(grep "\"type\":\"graph\",\"stage\":\"search\".*\"name\":\"$cell\"" whole/metrics.jsonl)
  place=0
  for entry in $(echo "$genotype" | sed "s/.*$cell = //; s/,.*//"); do
    from=${entry#*:}
    [ "$from" -lt 2 ] && from=input_$from || from=node_$((from - 2))
    case $line in *"$from -> node_$((place / 2)) : ${entry%:*}"*) ;; *) echo "no arrow for $entry in $line"; exit 1 ;; esac
    place=$((place + 1))
  done
  [ "$place" = 4 ]
done
grep -q '"type":"series".*"name":"entropy"' whole/metrics.jsonl
for figure in accuracy sharpness hessian_eigenvalue discretisation_gap discretised_accuracy; do
  grep -q "\"search.$figure\"" whole/results.json || { echo "no figure $figure"; exit 1; }
done

# Stopped after step 40 and resumed: the same lists, drawings and figures.
"$tenon" run darts.ini --directory part >part.txt 2>&1 &
run=$!
while [ ! -e part/checkpoints/step-20.safetensors ] && kill -0 $run 2>/dev/null; do sleep 0.02; done
kill -TERM $run 2>/dev/null || true
wait $run || true
"$tenon" resume part >/dev/null
cmp whole/results.json part/results.json
cmp whole/genotypes.txt part/genotypes.txt
cmp whole/params/net.safetensors part/params/net.safetensors

# Stopped early: the search ends where the figure has grown, with the genotype of the last watch before, also when
# it was interrupted in between.
stop="search.watch=metric.hessian_eigenvalue search.watch_every=10 search.stop=hessian_eigenvalue search.stop_growth=1
  search.stop_window=1 search.stop_from=0 search.derive_every=1"
"$tenon" run darts.ini --directory early $stop >early.txt
steps=$(sed -n 's/.*"search.steps": *\([0-9]*\).*/\1/p' early/results.json)
[ "$steps" -lt 60 ] && [ $((steps % 10)) = 1 ]
grep -q "hessian_eigenvalue has grown from .*: the search stops at step $steps" early/log.txt
chosen=$(sed -n 's/.*"name":"genotype".*"text":"\(normal = [^"]*\)".*/\1/p' early/metrics.jsonl | tail -1)
before=$(awk -v most=$((steps - 10)) '$2 <= most' early/genotypes.txt | tail -1 | cut -d' ' -f4-)
[ "$before" = "$chosen" ]
"$tenon" run darts.ini --directory early-part $stop pipeline.checkpoint_every=5 >part.txt 2>&1 &
run=$!
while [ ! -e early-part/checkpoints/step-5.safetensors ] && kill -0 $run 2>/dev/null; do sleep 0.02; done
kill -TERM $run 2>/dev/null || true
wait $run || true
"$tenon" resume early-part >/dev/null
cmp early/results.json early-part/results.json
cmp early/genotypes.txt early-part/genotypes.txt
code=0; "$tenon" run darts.ini --directory none $stop search.stop=hessian_eigenvalu >none.txt 2>&1 || code=$?
[ $code != 0 ] && grep -q "stop: no metric of .watch. measures 'hessian_eigenvalu'; nearest: 'hessian_eigenvalue'" none.txt

# Without data sets the examples are left out.
[ -d "${TENON_DATA:-/nowhere}/fashion" ] || { echo "note: without Fashion-MNIST"; exit 0; }
for file in papers/31-darts papers/31-sd-darts papers/31-early-stopping papers/31-darts-cifar mix/sd-darts-lion; do
  "$tenon" check "$ROOT/examples/$file.ini" --quiet
  case $file in *cifar) continue ;; mix/*) seeds= ;; *) seeds=sweep.seeds=1 ;; esac
  "$tenon" run "$ROOT/examples/$file.ini" --smoke --quiet $seeds --directory "smoke-$(basename $file)" >smoke.txt 2>&1 ||
    { cat smoke.txt; exit 1; }
done
