# Some of the calls that may fail, fail (tests/injection/run). All of them, in a quarter of an hour:
#   tests/injection/run build
set -eu
[ -f "$BUILD/tests/injection/libfail.so" ] || { echo "built with sanitizers"; exit 77; }
"$ROOT/tests/injection/run" "$BUILD" open --every 2
"$ROOT/tests/injection/run" "$BUILD" write write:on short --every 23
"$ROOT/tests/injection/run" "$BUILD" memory --every 151 --from 7
