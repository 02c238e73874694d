# Every public header compiles alone, as C17 and as C++17.
set -eu
compilers=gcc
command -v clang >/dev/null && compilers="gcc clang"
for header in "$ROOT"/sdk/include/tenon/*.h; do
  name=$(basename "$header")
  echo "#include <tenon/$name>" >"$SCRATCH/alone.c"
  for cc in $compilers; do
    $cc -std=c17 -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Werror -I"$ROOT/sdk/include" -fsyntax-only "$SCRATCH/alone.c"
  done
  if command -v g++ >/dev/null; then
    g++ -std=c++17 -Wall -Wextra -Wpedantic -Werror -I"$ROOT/sdk/include" -fsyntax-only -x c++ "$SCRATCH/alone.c"
  fi
done
command -v g++ >/dev/null || echo "note: C++ not checked, g++ is missing"
