# SPDX-License-Identifier: MIT
# Twenty cells, killed in the middle, go on and end with the table of an undisturbed sweep; a false claim ends with 4.
set -eu
tenon=$BUILD/tenon
cd "$SCRATCH"
cat >sweep.ini <<END
[pipeline]
stages = train, test
[sweep]
seeds = 1..5
[digits]
use = dataset.csv
file = $ROOT/examples/data/digits.csv.gz
header = no
label = last
test = 20%
[net]
use = model.mlp
hidden = 32
[method]
[train]
use = stage.supervised
data = digits
model = net
loss = loss.cross_entropy
epochs = 40
[test]
use = stage.evaluate
data = digits:test
model = net
metrics = metric.accuracy
[arm.lion]
train.optimizer = method
method.use = optimizer.lion
method.lr = 1e-4 | 3e-4
[arm.adam]
train.optimizer = method
method.use = optimizer.adam
method.lr = 1e-3 | 3e-3
[expect]
learns = min(adam.test.accuracy) >= 0.8
END
"$tenon" check sweep.ini --quiet
"$tenon" run sweep.ini --directory whole -j 2 --quiet
"$tenon" run sweep.ini --directory torn -j 2 >torn.txt 2>&1 &
sweep=$!
while [ ! -s torn.txt ] || [ "$(grep -c / torn.txt)" -lt 5 ]; do kill -0 $sweep || break; done
kill -KILL $sweep 2>/dev/null || true
wait $sweep 2>/dev/null || true
[ "$(grep -c finished torn/sweep.json)" -lt 20 ] || { echo "the sweep was too quick to be killed"; exit 1; }
"$tenon" sweep torn -j 2 | grep 'of 20 cells are finished'
"$tenon" run sweep.ini --directory torn | grep -q '^20 of 20 cells are finished'
for cell in whole/cells/*/*; do
  other=torn/${cell#whole/}
  for file in "$cell"/params/*.safetensors; do cmp "$file" "$other/params/$(basename "$file")"; done
done
"$tenon" compare whole --csv | grep accuracy >whole.csv
"$tenon" compare torn --csv | grep accuracy >torn.csv
cmp whole.csv torn.csv
[ "$(wc -l <whole.csv)" = 4 ]

# Claims and further arms do not make cells run again; shortened runs are not taken for whole ones.
"$tenon" run sweep.ini --directory torn expect.learns='min(adam.test.accuracy) > 0' | grep -q '^20 of 20 cells are finished'
"$tenon" run sweep.ini --directory short --smoke --quiet
"$tenon" run sweep.ini --directory short train.epochs=1 -j 2 | grep -q '^20/20 '

# A cell that fails is told of in the table and by the exit code; the others run. Equal cells run once.
cat >>sweep.ini <<END
[arm.wild]
train.optimizer = method
method.use = optimizer.sgd
method.lr = 1e30 | 0.1
[arm.again]
train.optimizer = method
method.use = optimizer.adam
method.lr = 1e-3
END
code=0
"$tenon" run sweep.ini --directory torn -j 2 >said.txt || code=$?
[ $code = 1 ] || { echo "a sweep with a failed cell ends with $code"; exit 1; }
grep -q '^5 cells have the configuration of another' said.txt
grep -q '^30/30 ' said.txt
[ "$(grep -c '^failed  wild/.*1e30: .*the loss became' said.txt)" = 5 ]
grep -q '^wild method.lr=0.1 ' said.txt

code=0
"$tenon" reproduce sweep.ini --output table.md --quiet expect.learns='min(adam.test.accuracy) >= 1.5' >said.txt || code=$?
[ $code = 4 ] || { echo "a false claim ends with $code"; exit 1; }
grep -q 'sweep.ini  learns  0.[0-9]* >= 1.5, off by .* 10  .* not supported' said.txt
grep -q 'not supported' table.md
