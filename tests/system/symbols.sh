# No plugin has an undefined symbol that is not libc's, libm's, libgomp's or a declared library's, and none needs a
# library that is not declared here.
set -eu
count=0
find "$BUILD/plugins" -name '*.so' >"$SCRATCH/list"
while read -r so; do
  count=$((count + 1))
  for needed in $(objdump -p "$so" | sed -n 's/ *NEEDED *//p'); do
    case $needed in
    libc.so.6 | libm.so.6 | libgomp.so.1 | libz.so.1 | libpng16.so.16 | libjansson.so.4 | libffi.so.8 | ld-linux-*) ;;
    libmpi.so.*) [ "$(basename "$so")" = communicator_mpi.so ] || { echo "$so needs $needed"; exit 1; } ;;
    *) echo "$so needs $needed"; exit 1 ;;
    esac
  done
  missing=$(LD_BIND_NOW=1 ldd -r "$so" 2>&1 | sed -n 's/undefined symbol: //p')
  [ -z "$missing" ] || { echo "$so: undefined: $missing"; exit 1; }
  exported=$(nm -D --defined-only "$so" | awk '$2 != "w" && $3 != "tenon_plugin" {print $3}')
  [ -z "$exported" ] || { echo "$so exports more than tenon_plugin: $exported"; exit 1; }
done <"$SCRATCH/list"
[ "$count" -gt 20 ]
echo "note: $count plugins"
