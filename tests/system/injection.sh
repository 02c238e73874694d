# Some of the calls that may fail, fail (tests/injection/run). All of them, in a quarter of an hour:
#   tests/injection/run build
set -eu
[ -f "$BUILD/tests/injection/libfail.so" ] || { echo "built with sanitizers"; exit 77; }
"$ROOT/tests/injection/run" "$BUILD" open --every 2
"$ROOT/tests/injection/run" "$BUILD" write write:on short --every 23
"$ROOT/tests/injection/run" "$BUILD" memory --every 31 --from 7

# The disk is full from the first byte on, or after some: the write says so, and nothing pretends to be whole.
cd "$SCRATCH"
for blocks in 0 1 8 20; do
  rm -rf full
  code=0
  said=$(ulimit -f "$blocks"; "$BUILD/tenon" run "$ROOT/examples/quickstart.ini" --quiet --directory full 2>&1) || code=$?
  case $code,$said in 1,error:*": File too large") ;; *) echo "files of $blocks blocks: code $code, $said"; exit 1 ;; esac
  ! grep -q finished full/results.json 2>/dev/null || { echo "files of $blocks blocks: finished"; exit 1; }
done

# The directory goes away in the middle of a run.
code=0
"$BUILD/tenon" run "$ROOT/examples/quickstart.ini" --quiet --directory gone train.epochs=300 2>err &
until grep -q '"step"' gone/metrics.jsonl 2>/dev/null; do kill -0 $! || break; sleep 0.02; done
rm -rf gone
wait $! || code=$?
[ "$code" = 1 ] && grep -q '^error: gone/.*No such file or directory' err || { echo "a removed directory: code $code"; cat err; exit 1; }
