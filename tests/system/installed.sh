# What third parties do: install into a prefix, build plugins and programs against it with pkg-config only, run them.
set -eu
meson install -C "$BUILD" --no-rebuild --destdir "$SCRATCH/root" >/dev/null
prefix=$(dirname "$(dirname "$(find "$SCRATCH/root" -path '*/bin/tenon')")")
pc=$(dirname "$(find "$prefix" -name tenon.pc)")
export PKG_CONFIG_PATH="$pc" PATH="$prefix/bin:$PATH"
libdir=$(dirname "$(find "$prefix" -name 'libtenon.so.1')")
export LD_LIBRARY_PATH="$libdir"
export TENON_EXAMPLES="$ROOT/examples"
cp -r "$ROOT/examples" "$SCRATCH/examples"
cd "$SCRATCH"
make -s -C examples/third-party/signum
make -s -C examples/third-party/stopper
tenon list optimizer | grep -q 'optimizer.lion'
tenon run examples/third-party/signum/digits.ini --plugin examples/third-party/signum/signum.so train.epochs=8 >out
grep -q 'report: runs/digits-1/report.html' out
TENON_PLUGIN_PATH="$SCRATCH/examples/third-party/stopper" tenon run examples/third-party/stopper/digits.ini >out
TENON_PLUGIN_PATH="$SCRATCH/examples/third-party/stopper" tenon list stopper | grep -q 'stopper.patience'
grep -q '"train.loss": 0.2' runs/digits-2/results.json
cc -Wall -Wextra -o run examples/embed/run.c $(pkg-config --cflags --libs tenon)
cc -Wall -Wextra -o dlpack examples/embed/dlpack.c $(pkg-config --cflags --libs tenon)
./run examples/quickstart.ini test.accuracy
./dlpack examples/quickstart.ini net layers.0.weight
# `tenon new` gives, for every kind, a plugin that builds and passes its test outside any tree with its six-line Makefile.
mkdir new && cd new
for kind in dataset sampler transform model loss optimizer gradient weighting schedule metric predictor environment \
  problem solver search stage observer communicator acme.fusion/1; do
  tenon new "$kind" mine >/dev/null
done
for folder in *-mine; do
  [ "$(wc -l <"$folder/Makefile")" -le 6 ]
  make -s -C "$folder" test >log 2>&1 || { cat log; exit 1; }
done
echo "note: $(ls -d *-mine | wc -l) kinds"
