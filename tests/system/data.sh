# tenon data: what is here, what is missing, and fetching it from a server on this machine.
set -eu
cd "$SCRATCH"
command -v python3 >/dev/null || { echo "no python3 to serve files"; exit 77; }
fail() { echo "$1"; exit 1; }
expect() { [ "$1" = "$2" ] || fail "expected: $2
got:      $1"; }

# What is served: a packed file, and a plain text that is kept packed.
mkdir served
seq 1 20000 >numbers
gzip -c numbers >served/numbers.gz
seq 1 500 >served/words.txt
sum() { sha256sum "$1" | cut -c1-64; }
mkfifo port
python3 "$ROOT/tests/system/http_server.py" served log >port &
server=$!
trap 'kill $server' EXIT
read -r port <port
url=http://127.0.0.1:$port
set_of() { printf '\n[%s]\nsummary = numbers\nlicence = none\nsource = %s/\nnumbers.gz = %s\nwords.txt.gz = %s words.txt\n' \
  "$1" "$url/$1" "$(sum numbers)" "$(sum served/words.txt)"; }
{ set_of ranges; set_of whole; set_of broken
  printf '\n[wrong]\nsource = %s/ranges/\nnumbers.gz = %s\n' "$url" "$(sum served/words.txt)"
  printf '\n[absent]\nsource = %s/ranges/\nnothing.gz = %s\n' "$url" "$(sum served/words.txt)"
  printf '\n[made]\nsummary = made by hand\nget = cut it out\npaper = %s\n' "$(sum served/words.txt)"; } >sets.ini
export no_proxy=127.0.0.1 TENON_DATA_SETS="$PWD/sets.ini" TENON_DATA="$PWD/data"
tenon="$BUILD/tenon"

# A fresh file; nothing is fetched twice.
"$tenon" data fetch ranges >out
expect "$(tail -1 out)" "$PWD/data/ranges/words.txt.gz fetched"
gzip -dc data/ranges/numbers.gz | cmp - numbers
gzip -dc data/ranges/words.txt.gz | cmp - served/words.txt
expect "$(ls data/ranges)" "numbers.gz
words.txt.gz"
: >log
"$tenon" data fetch ranges | grep -q 'was here' || fail "fetched twice"
[ ! -s log ] || fail "asked the server for what was here"

# A beginning is continued; where the server cannot, it starts over; a complete beginning is taken as it is.
for manner in ranges whole; do
  rm -rf data; mkdir -p data/$manner; : >log
  head -c 1000 served/numbers.gz >data/$manner/numbers.gz.part
  "$tenon" data fetch $manner >/dev/null
  gzip -dc data/$manner/numbers.gz | cmp - numbers
  grep -q "numbers.gz bytes=1000-" log || fail "$manner: asked for the whole"
done
rm -rf data; mkdir -p data/ranges
cp served/numbers.gz data/ranges/numbers.gz.part
"$tenon" data fetch ranges >/dev/null
gzip -dc data/ranges/numbers.gz | cmp - numbers

# A connection that breaks half-way is taken up again.
rm -rf data; : >log
"$tenon" data fetch broken >/dev/null
gzip -dc data/broken/numbers.gz | cmp - numbers
grep -q "numbers.gz bytes=$(($(wc -c <served/numbers.gz) / 2))-.* 206" log || fail "started over after a broken connection"

# Other content and absent files: one line, exit code 1, nothing left that looks like the file.
code=0; "$tenon" data fetch wrong >/dev/null 2>err || code=$?
expect "$code" 1
expect "$(cat err)" "error: $url/ranges/numbers.gz: not the file that was expected: SHA-256 of the content is $(sum numbers | cut -c1-16)..., expected $(sum served/words.txt | cut -c1-16)..."
expect "$(ls data/wrong)" ""
code=0; "$tenon" data fetch absent >/dev/null 2>err || code=$?
expect "$code" 1
expect "$(cat err)" "error: $url/ranges/nothing.gz: the server answered 404"

# What is listed, and what a pipeline says that lacks its data.
rm data/broken/words.txt.gz
"$tenon" data list >out
grep -q '^  broken  *1 of 2 files  *numbers  *tenon data fetch broken$' out || { cat out; exit 1; }
grep -q '^  made  *missing  *made by hand  *cut it out$' out || { cat out; exit 1; }
"$tenon" data list --check broken | grep -q '^  numbers.gz  *good'
printf x >>data/broken/numbers.gz
code=0; "$tenon" data list --check broken >/dev/null || code=$?
expect "$code" 1
printf '[pipeline]\nstages = s\n[d]\nuse = dataset.csv\nfile = ${data}/ranges/numbers.gz\n[s]\nuse = stage.evaluate\ndata = d\nmodel = model.mlp\nmetrics = accuracy\n' >p.ini
code=0; "$tenon" check p.ini 2>err || code=$?
expect "$code" 2
expect "$(cat err)" "error: p.ini:5: [d] file: data set 'ranges' is not here: no $PWD/data/ranges/numbers.gz; \`tenon data fetch ranges\` gets it"
# A list of files is looked at one by one, and files of no known set are named as they are.
mkdir -p data/ranges; touch data/ranges/here
sed 's/dataset.csv/dataset.cifar/; s/^file = .*/files = ${data}\/ranges\/here, ${data}\/other\/gone/' p.ini >q.ini
code=0; "$tenon" check q.ini 2>err || code=$?
expect "$code" 2
expect "$(cat err)" "error: q.ini:5: [d] files: no $PWD/data/other/gone; \`tenon data list\` says what data sets there are"
code=0; "$tenon" data fetch made 2>err || code=$?
expect "$code:$(cat err)" "2:error: data set 'made' cannot be fetched: cut it out"
code=0; "$tenon" data fetch rangs 2>err || code=$?
expect "$code:$(cat err)" "2:error: no data set 'rangs'; did you mean 'ranges'?"
