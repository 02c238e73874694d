# A plugin that goes wrong ends its own run: one line with place, component, function, cause and the way to go on, the
# documented exit code, and a backtrace in log.txt. The run can be resumed from its last checkpoint.
set -eu
cd "$SCRATCH"
tenon=$BUILD/tenon
cc -O1 -fPIC -shared -D_XOPEN_SOURCE=700 -I"$ROOT/sdk/include" "$ROOT/tests/faults/run/fault.c" -o fault.so
printf '[pipeline]\nstages = bad\ncheckpoint_every = 1\n[bad]\nuse = stage.fault\n' >bad.ini
count=0

# fault WAY CODE PATTERN [options]: the last line of standard error.
fault() {
  way=$1 expected=$2 pattern=$3; shift 3
  code=0
  "$tenon" run bad.ini --quiet --plugin ./fault.so --directory "$way" "bad.way=$way" "$@" 2>err || code=$?
  lines=$(grep -c '^error: ' err || true)
  if [ "$code" != "$expected" ] || [ "$lines" != 1 ] || ! tail -1 err | grep -qE "^error: bad.ini:4: \[bad\] stage.fault step: $pattern"; then
    echo "$way: exit code $code, expected $expected and '$pattern', got:"; cat err
    exit 1
  fi
  count=$((count + 1))
}
on='; `tenon resume [a-z]+` goes on from step [12]$'
fault crash 3 "crashed: segmentation fault at address 0x10$on"
fault abort 3 "crashed: abort$on"
fault overflow 3 "crashed: stack overflow$on"
fault divide 3 "crashed: arithmetic exception$on"
fault exit 3 "called exit\(0\)$on"
fault heap 3 "crashed: segmentation fault at address 0x[0-9a-f]+$on"
fault kill 1 "killed \(SIGKILL\); the system does so when memory runs out$on"
fault loop 3 "the step takes longer than step_timeout, 0.2 seconds$on" pipeline.step_timeout=0.2
fault greed 1 "out of memory: 4294967296 bytes$" pipeline.memory_limit=500
for way in crash abort overflow loop; do
  grep -q 'fault.so' "$way/log.txt" || { echo "$way: no backtrace"; cat "$way/log.txt"; exit 1; }
done
# Without a fork the signal is the process's own.
code=0
"$tenon" run bad.ini --quiet --no-fork --plugin ./fault.so --directory alone 2>/dev/null || code=$?
[ "$code" = 139 ] || { echo "--no-fork: exit code $code"; exit 1; }
# It goes wrong again where it went wrong; and it ends well once the plugin is another one, which must be said.
code=0; "$tenon" resume crash --quiet 2>err || code=$?
[ "$code" = 3 ] && grep -q 'segmentation fault' err
cc -O1 -DREPAIRED -fPIC -shared -D_XOPEN_SOURCE=700 -I"$ROOT/sdk/include" "$ROOT/tests/faults/run/fault.c" -o fault.so
code=0; "$tenon" resume crash --quiet 2>err || code=$?
[ "$code" = 2 ] && grep -qE "^error: crash/lock.json: plugin 'fault': sha256 is [0-9a-f]{64}, locked [0-9a-f]{64}$" err
[ "$(wc -l <err)" = 1 ]
"$tenon" resume crash --quiet --unlocked
grep -q '"outcome": "finished"' crash/results.json
echo "note: $count ways to go wrong"
