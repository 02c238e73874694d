# Sweeps whose cells run on the ranks of an mpirun: results, claims and resuming as with local processes; a cell that
# fails, a stop, a sweep without mpirun. (Slurm: tests/slurm.)
set -eu
cd "$SCRATCH"
tenon=$BUILD/tenon
export OMP_NUM_THREADS=1
cat >s.ini <<END
include = $ROOT/examples/quickstart.ini
[pipeline]
name = s
observers =
[train]
epochs = 2
[sweep]
seeds = 1..3
[arm.slow]
lion.lr = 1e-4
[arm.it's fast]
lion.lr = 1e-3
[expect]
good = mean(*.test.accuracy) > 0.5
END
sed -i "s/it's fast/fast/" s.ini
code=0
"$tenon" run s.ini --launcher slrm 2>err || code=$?
[ $code = 2 ] && grep -qx 'error: --launcher slrm: expected local, mpi or slurm' err || { cat err; exit 1; }
mkdir empty
code=0
PATH=$SCRATCH/empty "$tenon" run s.ini --launcher mpi --directory none 2>err || code=$?
[ $code = 1 ] && grep -q '^error: --launcher mpi needs mpirun: mpirun: No such file' err || { cat err; exit 1; }
code=0
PATH=$SCRATCH/empty "$tenon" run s.ini --launcher slurm --directory none 2>err || code=$?
[ $code = 1 ] && grep -q '^error: --launcher slurm needs sbatch: sbatch: No such file' err || { cat err; exit 1; }
command -v mpirun >/dev/null || { echo "no mpirun (openmpi-bin)"; exit 77; }

"$tenon" run s.ini --quiet --directory local -j 2
"$tenon" run s.ini --quiet --directory "on ranks" -j 2 --launcher mpi >out
grep -q '^holds *good' out
same() {
  for cell in local/cells/*/*; do diff "$cell/results.json" "$1${cell#local}/results.json"; done
  for cell in local/cells/*/*; do cmp "$cell/params/net.safetensors" "$1${cell#local}/params/net.safetensors"; done
}
same "on ranks"
"$tenon" run s.ini --directory "on ranks" --launcher mpi >out
grep -q '^6 of 6 cells are finished' out

# A cell that fails stops no other.
code=0
"$tenon" run s.ini --directory bad -j 2 --launcher mpi opt.use=optimizer.sgd 'opt.lr=1e30' 'arm.bad.train.optimizer=opt' sweep.seeds=1 >out 2>&1 || code=$?
[ $code = 1 ] && grep -q 'the loss became' out || { cat out; exit 1; }

# Stopped while two cells run, and gone on with by local processes.
"$tenon" run s.ini --quiet --directory long -j 2 train.epochs=100
"$tenon" run s.ini --quiet --directory stopped -j 2 --launcher mpi train.epochs=100 2>err >out &
pid=$!
until ls stopped/cells/*/*/pipeline.ini >/dev/null 2>&1 || ! kill -0 $pid; do :; done
kill -TERM $pid
code=0
wait $pid || code=$?
[ $code = 130 ] && grep -q '^error: interrupted after . of 6 cells; go on with: tenon sweep stopped' err || { cat err; exit 1; }
"$tenon" sweep stopped --quiet -j 2
for cell in long/cells/*/*; do cmp "$cell/params/net.safetensors" "stopped${cell#long}/params/net.safetensors"; done
