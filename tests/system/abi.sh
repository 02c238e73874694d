# What was built with an older SDK works with this host: for every tests/abi/VERSION, today's headers keep each struct as
# a prefix and each enumerator, and the plugins there, built against the headers frozen there, pass `tenon test` and run.
set -eu
cd "$SCRATCH"
export TMPDIR="$SCRATCH"
count=0
for folder in "$ROOT"/tests/abi/[0-9]*; do
  version=$(basename "$folder")
  cc -std=c17 -w -fsyntax-only -I"$ROOT/sdk/include" -x c "$folder/layout.h"
  mkdir -p "$version"
  for source in "$folder"/*.c; do
    name=$(basename "$source" .c)
    cc -std=c17 -D_XOPEN_SOURCE=700 -O1 -fPIC -shared -I"$folder/include" -I"$folder" "$source" -o "$version/$name.so" -lm
    count=$((count + 1))
  done
  "$BUILD/tenon" test "$version" --fast >out 2>&1 || { cat out; exit 1; }
  # A kind that the host does not know, and a stage that uses it.
  TENON_PLUGIN_PATH="$SCRATCH/$version" "$BUILD/tenon" run "$ROOT/examples/third-party/stopper/digits.ini" --quiet \
    --directory "run-$version"
  # abidiff says the same by another way, where it is installed.
  if command -v abidiff >/dev/null; then
    for side in "$folder/include" "$ROOT/sdk/include"; do
      cc -std=c17 -w -g -O0 -fPIC -shared -I"$side" -I"$folder" "$folder/optimizer.c" -o "$(echo "$side" | cksum | cut -d' ' -f1).so" -lm
    done
    old=$(echo "$folder/include" | cksum | cut -d' ' -f1) new=$(echo "$ROOT/sdk/include" | cksum | cut -d' ' -f1)
    changes=0
    abidiff --no-added-syms "$old.so" "$new.so" >abidiff.out 2>&1 || changes=$?
    [ $((changes & 8)) = 0 ] || { cat abidiff.out; exit 1; } # 8: incompatible
  fi
done
# A header that moves a member is caught.
cp -r "$ROOT/sdk/include" moved
sed -i 's|^  tn_status (\*begin)(void \*self, const tn_params \*params);|  void *inserted;\n&|' moved/tenon/optimizer.h
! cc -std=c17 -w -fsyntax-only -Imoved -x c "$folder/layout.h" 2>err
grep -q 'tn_optimizer.begin' err
echo "note: $count plugins"
