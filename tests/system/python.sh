# python/tenon.py: what a run left, running a pipeline, a loss and an optimizer on NumPy arrays against closed forms.
set -eu
python=/usr/bin/python3
command -v $python >/dev/null || { echo "no python3"; exit 77; }
$python -c 'import numpy; numpy.from_dlpack' 2>/dev/null || { echo "no numpy from 1.23 on for $python (python3-numpy)"; exit 77; }
cd "$SCRATCH"
"$BUILD/tenon" run "$ROOT/examples/quickstart.ini" --quiet --directory run train.epochs=2
export TENON_LIBRARY="$BUILD/libtenon.so" TENON_PLUGIN_PATH= PYTHONPATH="$ROOT/python" PYTHONDONTWRITEBYTECODE=1
exec $python "$ROOT/tests/system/python_bridge.py" "$ROOT/examples/quickstart.ini"
