# SPDX-License-Identifier: MIT
# The progress line fits terminals of 80 and of 40 columns, with the time that is left; a wide one has a bar too.
set -eu
cat >"$SCRATCH/terminal.py" <<'END'
import fcntl, os, pty, re, struct, sys, termios
tenon, file, columns, directory = sys.argv[1:5]
pid, terminal = pty.fork()
if pid == 0:
    fcntl.ioctl(1, termios.TIOCSWINSZ, struct.pack('HHHH', 24, int(columns), 0, 0))
    os.environ.update(TERM='xterm', LC_ALL='C.UTF-8', NO_COLOR='')
    os.execv(tenon, ['tenon', 'run', file, '--directory', directory, 'train.epochs=60'])
shown = b''
while True:
    try:
        piece = os.read(terminal, 65536)
    except OSError: # the other side is closed
        break
    if not piece: break
    shown += piece
assert os.waitpid(pid, 0)[1] == 0
live = [re.sub('\x1b\\[[0-9;]*[mK]', '', line) for line in shown.decode().split('\r\x1b[K')[1:]]
live = [line.split('\r\n')[0] for line in live]
assert len(live) > 2, shown
for line in live: assert len(line) < int(columns), (len(line), line)
running = [line for line in live if 'ETA' in line]
assert running, live
for line in running: assert re.search(r'^train .*step \d+/\d+.*  ETA (\d+\.\d s|\d+:\d\d)$', line), line
if int(columns) >= 80: assert all(re.search(r'  loss \S+ .*steps/s', line) for line in running), running
if int(columns) >= 160: assert all('\u2501' * 20 in line and 'gradient_norm' in line for line in running), running
END
for columns in 40 80 160; do
  python3 -B "$SCRATCH/terminal.py" "$BUILD/tenon" "$ROOT/examples/quickstart.ini" $columns "$SCRATCH/run-$columns"
done
