# SPDX-License-Identifier: MIT
# tenon report: of a run, a sweep, several directories, a killed run and a directory that is none; pages are well formed
# and refer to nothing outside.
set -eu
cd "$SCRATCH"
tenon=$BUILD/tenon
cat >check.py <<'END'
import re, sys
from html.parser import HTMLParser
from xml.etree import ElementTree
class Balance(HTMLParser):
    void = {'meta', 'br', 'img', 'link', 'input', 'hr'}
    def __init__(self):
        super().__init__()
        self.open, self.counts = [], {}
    def handle_starttag(self, tag, attributes):
        self.counts[tag] = self.counts.get(tag, 0) + 1
        if tag not in self.void: self.open.append(tag)
        for name, value in attributes:
            outside = name in ('src', 'href', 'action', 'data') and not re.match('#|data:image/png;base64,', value or '')
            assert not outside and not name.startswith('on'), (tag, name, value)
    def handle_startendtag(self, tag, attributes):
        self.handle_starttag(tag, attributes)
        if tag not in self.void: self.open.pop()
    def handle_endtag(self, tag):
        assert self.open and self.open[-1] == tag, (self.open[-3:], tag, self.getpos())
        self.open.pop()
text = open(sys.argv[1], encoding='utf-8').read()
page = Balance()
page.feed(text)
page.close()
assert not page.open, page.open
assert page.counts['script'] == 1 and page.counts['style'] == 1, page.counts
start = 0
drawings = 0
while (start := text.find('<svg xmlns', start)) >= 0: # each parses as XML
    depth, at = 0, start
    for tag in re.finditer(r'<svg\b|</svg>', text[start:]):
        depth += 1 if tag.group() == '<svg' else -1
        if depth == 0: break
    end = start + tag.end()
    ElementTree.fromstring(text[start:end])
    drawings += 1
    start = end
ids = set(re.findall(r' id="([^"]*)"', text))
for link in re.findall(r'href="#([^"]*)"', text): assert link in ids, link
print(drawings)
END
check() { python3 -B check.py "$1" >drawings || { echo "$1 is not well formed"; exit 1; }; [ "$(cat drawings)" -ge "$2" ] || { echo "$1 has $(cat drawings) drawings"; exit 1; }; }

"$tenon" run "$ROOT/examples/quickstart.ini" --directory run >out
tail -1 out | grep -q '^report: run/report.html, by tenon report run$'
check run/report.html 5
mv run/report.html first.html
"$tenon" report run | grep -q '^report: run/report.html$'
cmp run/report.html first.html # the same files make the same page

"$tenon" run "$ROOT/examples/compare-optimizers.ini" --directory sweep --smoke --quiet
[ ! -e sweep/report.html ]
"$tenon" report sweep -o sweep.html
check sweep.html 10
"$tenon" report sweep -o sweep.html --figures figures >out
grep -q "^figures: figures, $(ls figures/*.svg | wc -l) SVG files$" out
for picture in figures/*.svg; do python3 -c 'import sys, xml.dom.minidom as m; m.parse(sys.argv[1])' "$picture"; done
grep -q 'shortened (--smoke)' sweep.html
"$tenon" report run sweep --output both.html
check both.html 10
grep -q '<h1>Comparison</h1>' both.html

# A failed run, one whose last line is cut, one whose files are rubbish.
code=0; "$tenon" run "$ROOT/examples/quickstart.ini" --directory failed lion.lr=1e30 --quiet 2>err || code=$?
[ "$code" = 1 ]
"$tenon" report failed >out; check failed/report.html 1
grep -q 'the loss became' failed/report.html
mkdir cut rubbish
{ sed -n 1,200p run/events.jsonl; sed -n 201p run/events.jsonl | head -c 40; } >cut/events.jsonl # in the middle of a line
"$tenon" report cut >out; check cut/report.html 3
grep -q 'badge bad">not finished' cut/report.html
grep -q 'is cut off' cut/report.html
for file in events.jsonl results.json expect.json cost.json lock.json; do head -c 3000 /dev/urandom >rubbish/$file; done
"$tenon" report rubbish >out; check rubbish/report.html 0

code=0; "$tenon" report nowhere 2>err || code=$?
[ "$code" = 2 ]; grep -q '^error: nowhere: neither a run nor a sweep' err
code=0; "$tenon" report 2>err || code=$?
[ "$code" = 2 ]
code=0; "$tenon" report run -o no/such/folder.html 2>err || code=$?
[ "$code" = 2 ]; [ "$(wc -l <err)" = 1 ]
