# SPDX-License-Identifier: MIT
# A HyperCuboid is searched, its longest path and a random one are trained from scratch; the pipelines of sharpDARTS are
# checked, and one of them run in its shortened form, where their data are.
set -eu
tenon=$BUILD/tenon
cd "$SCRATCH"
cat >paths.ini <<END
[pipeline]
stages = search, path, train, test
[digits]
use = dataset.csv
file = $ROOT/examples/data/digits.csv.gz
header = no
label = last
image = 1, 8, 8
test = 20%
[cube]
use = model.hypercuboid
widths = 2, 4
layers = 2
final = 16
weighting = max_w
[sgd]
use = optimizer.sgd
lr = 0.05
momentum = 0.9
[adam]
use = optimizer.adam
lr = 0.1
beta1 = 0.5
[method]
use = search.darts
arch_optimizer = adam
[search]
use = stage.search
search = method
model = cube
data = digits
optimizer = sgd
batch = 32
steps = 20
metrics = accuracy, alpha_balance
watch = alpha_balance
watch_every = 5
[derive]
use = search.path
[path]
base = search
search = derive
metrics =
watch =
[net]
use = model.path_net
of = path
final = 16
[decay]
use = schedule.cosine_power
order = 2
warmup = 0
unit = steps
[train]
use = stage.supervised
data = digits
model = net
loss = loss.cross_entropy
optimizer = sgd
schedule = decay
steps = 150
[test]
use = stage.evaluate
data = digits:test
model = net
metrics = accuracy, model_size
[arm.longest]
[arm.greedy]
derive.method = greedy_bottom
[arm.random]
pipeline.stages = path, train, test
derive.method = random
derive.draw = 0 | 1
[expect]
learns = min(*.test.accuracy) > 0.5
entropy = max(longest.search.entropy) < log(8)
size = all(longest.test.macs > longest.test.parameters)
END
"$tenon" check paths.ini --quiet
"$tenon" run paths.ini --directory run -j 2 >run.txt || { cat run.txt; exit 1; }
# Curves at steps 0, 5, 10, 15 and the last; one text of a path a stage.
cell=$(dirname "$(find run/cells/longest -name metrics.jsonl)")
[ "$(grep -c mass_resizable_pool "$cell/metrics.jsonl")" -ge 5 ]
grep -q '"name":"genotype".*[24] -> ' "$cell/metrics.jsonl"
# A metric that reads fields cannot be watched; a cell's rule is none of a path's.
sed '/^\[arm/,$d' paths.ini >one.ini
"$tenon" run one.ini search.watch=accuracy pipeline.stages=search --directory wrong 2>err && exit 1
grep -q "watch: 'metric.accuracy' does not probe a model" err
"$tenon" run one.ini derive.method=strongest pipeline.stages=path --directory wrong2 2>err && exit 1
grep -q "no way 'strongest' to derive a path" err
[ -n "${TENON_DATA:-}" ] && [ -d "$TENON_DATA/fashion" ] || exit 0
for file in "$ROOT"/examples/papers/45-*.ini; do "$tenon" check "$file" --quiet; done
"$tenon" run "$ROOT/examples/papers/45-sharpdarts-cells.ini" --smoke --quiet --directory smoke sweep.seeds=100 >out 2>&1 || { cat out; exit 1; }
