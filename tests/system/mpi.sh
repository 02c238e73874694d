# communicator.mpi: runs of 2 and 4 ranks give the bits of one process with the same micro-batches: parameters, results
# and curves; a network, a convolutional one with batch normalisation and dropout, an optimizer with a line search. A run
# stopped on 2 ranks goes on with one. What goes wrong on all ranks, or on one, ends in one line.
set -eu
cd "$SCRATCH"
tenon=$BUILD/tenon
[ -f "$BUILD/plugins/communicator_mpi.so" ] || { echo "no MPI (libopenmpi-dev) when this was built"; exit 77; }
command -v mpirun >/dev/null || { echo "no mpirun (openmpi-bin)"; exit 77; }
export OMP_NUM_THREADS=1
# The shared-memory transport of some containers cannot attach to the other process's memory: it says so, and copies.
export OMPI_MCA_btl_vader_single_copy_mechanism=none

cat >net.ini <<END
[pipeline]
stages = train, test
[digits]
use = dataset.csv
file = $ROOT/examples/data/digits.csv.gz
validation = 10%
[scale]
use = transform.standardise
[net]
use = model.mlp
hidden = 64
dropout = 0.2
[opt]
use = optimizer.adamw
lr = 3e-3
[surprise]
use = metric.loss
loss = loss.cross_entropy
[train]
use = stage.supervised
data = digits
validation = digits:validation
transforms = scale
model = net
loss = loss.cross_entropy
optimizer = opt
metrics = accuracy, surprise
epochs = 3
batch = 50
micro_batches = 4
ema = 0.9
evaluation_batch = 40
[test]
use = stage.evaluate
data = digits:test
transforms = scale
model = net
metrics = accuracy, confusion
batch = 100
END
cat >cnn.ini <<END
include = net.ini
[digits]
image = 1, 8, 8
[shift]
use = transform.crop
padding = 1
[conv]
use = model.cnn
layers = conv 8 3, bn, relu, maxpool 2, conv 16 3, bn, relu, globalpool, dropout 0.1
[train]
model = conv
transforms = scale, shift
[test]
model = conv
END
cat >search.ini <<END
include = net.ini
[opt]
use = optimizer.lbfgs
lr = 1
[train]
batch = full
epochs = 0
steps = 4
END
strip() { sed 's/"seconds":[0-9.]*//; s/"wall":[0-9.]*//' "$1/metrics.jsonl"; }
same() {
  cmp "$1/results.json" "$2/results.json"
  diff -r "$1/params" "$2/params"
  strip "$1" >a; strip "$2" >b; cmp a b
}
for file in net cnn search; do
  "$tenon" run $file.ini --quiet --directory $file-1
  for ranks in 2 4; do
    "$tenon" run $file.ini --quiet --ranks $ranks --directory $file-$ranks
    same $file-1 $file-$ranks
  done
  [ ! -e $file-4/ranks/3/results.json ] && [ -e $file-4/ranks/3/log.txt ] && [ ! -e $file-4/ranks/0 ]
done
# Parts matter: another number of them is another run.
"$tenon" run net.ini --quiet --directory other train.micro_batches=2
if cmp -s net-1/params/net.safetensors other/params/net.safetensors; then echo "micro_batches changes nothing"; exit 1; fi
# By mpirun itself, with a section.
cat >section.ini <<END
include = net.ini
[pipeline]
name = net
communicator = comm
[comm]
use = communicator.mpi
END
mpirun --allow-run-as-root --oversubscribe -n 2 "$tenon" run section.ini --quiet --directory by-hand
same net-1 by-hand

# Stopped on two ranks, gone on with one.
"$tenon" run net.ini --quiet --directory long-1 train.epochs=60 pipeline.checkpoint_every=20
"$tenon" run net.ini --quiet --ranks 2 --directory long-2 train.epochs=60 pipeline.checkpoint_every=20 2>err &
pid=$!
until ls long-2/checkpoints/step-*.safetensors >/dev/null 2>&1 || ! kill -0 $pid; do :; done
kill -TERM $pid
wait $pid && { echo "the run was not stopped"; exit 1; }
grep -qx 'interrupted in \[train\]; go on with: tenon resume long-2' err || { cat err; exit 1; }
[ ! -e long-2/results.json ] || ! grep -q '"finished"' long-2/results.json
"$tenon" resume long-2 --quiet
same long-1 long-2

# One line, and no process is left.
refused() { # code pattern arguments
  want=$1 pattern=$2; shift 2
  code=0
  "$tenon" run "$@" --quiet >out 2>err || code=$?
  [ $code = "$want" ] && [ "$(wc -l <err)" = 1 ] && grep -q "$pattern" err || { echo "exit code $code"; cat out err; exit 1; }
}
refused 2 "^error: net.ini:[0-9]*: \[train\] stage.supervised check: micro_batches = 3 on 2 ranks: expected 1, 2, 4" net.ini --ranks 2 --directory no train.micro_batches=3
[ ! -e no ]
refused 2 "unknown key 'micro_batch' in \[train\].*did you mean 'micro_batches'?" net.ini --ranks 2 --directory no train.micro_batch=2
refused 1 '^error: .*net.ini:[0-9]*: \[train\] stage.supervised step: the loss became ' net.ini --ranks 2 --directory bad opt.use=optimizer.sgd opt.lr=1e30
refused 2 '^error: --ranks x: expected a whole number' net.ini --ranks x
sed '/^communicator/d' section.ini >loose.ini
refused 2 "^error: loose.ini:.*: \[comm\] joins no processes: \[pipeline\] has no 'communicator = comm'" loose.ini --directory no
code=0
mpirun --allow-run-as-root --oversubscribe -q -n 2 "$tenon" run section.ini --quiet >out 2>err || code=$?
[ $code = 2 ] && grep -q '^error: the 2 ranks have different run directories: give one with --directory' err || { cat err; exit 1; }
# A rank that dies ends the others.
cat >crash.c <<'END'
#include <stdlib.h>
#include <tenon/observer.h>
#include <tenon/comm.h>
#include <tenon/transform.h>
struct crash { char nothing; };
static tn_status apply(void *self, tn_fields *fields, const tn_transform_call *call) {
  (void)self, (void)fields;
  return tn_rank() == 1 && call->progress.step == 3 ? tn_fail(TN_ERROR_INVALID, "rank 1 has had enough") : TN_OK;
}
static tn_status declare(void *self, const tn_spec *inputs, tn_declaration *declaration) {
  return (void)self, (void)inputs, (void)declaration, TN_OK;
}
static const tn_transform table = {.size = sizeof table, .declare = declare, .apply = apply};
static const tn_class crash_class = {.size = sizeof crash_class, .kind = TN_TRANSFORM, .name = "crash",
  .summary = "fails on one rank", .instance_size = sizeof(struct crash), .vtable = &table};
TN_PLUGIN("transform_crash", "1.0.0", "MIT", &crash_class)
END
(umask 022; cc -std=c17 -O1 -fPIC -shared -fvisibility=hidden -I"$ROOT/sdk/include" crash.c -o crash.so)
refused 1 '^error: rank 1: .*transform.crash apply: rank 1 has had enough' net.ini --ranks 2 --directory dead --plugin ./crash.so train.transforms=scale,transform.crash
