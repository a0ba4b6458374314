"""The built site holds together: every link, anchor and picture leads somewhere, nothing comes from the network, formulas are
rendered, and the search knows every page. python3 built.py SITE"""

import json
import re
import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote

site = Path(sys.argv[1]).resolve()
complaints = []


class Page(HTMLParser):
    def __init__(self, path):
        super().__init__()
        self.path, self.anchors, self.links, self.open, self.text = path, set(), [], [], []
        self.feed(path.read_text())

    def handle_starttag(self, tag, attributes):
        attributes = dict(attributes)
        if "id" in attributes:
            if attributes["id"] in self.anchors:
                complain(self.path, f"two things are called #{attributes['id']}")
            self.anchors.add(attributes["id"])
        for name in ("href", "src"):
            if attributes.get(name):
                self.links.append((tag, attributes[name]))
        if tag in ("code", "pre", "script", "math", "title"):
            self.open.append(tag)

    def handle_endtag(self, tag):
        if self.open and self.open[-1] == tag:
            self.open.pop()

    def handle_data(self, data):
        if not self.open:
            self.text.append(data)
        elif "math" in self.open and re.search(r"[\\{}$]", data) and not re.fullmatch(r"[{}]", data):
            complain(self.path, f"a formula's \"{data}\" is not rendered")


def complain(path, what):
    complaints.append(f"{path.relative_to(site)}: {what}")


pages = {path: Page(path) for path in sorted(site.rglob("*.html")) if "playground" not in path.relative_to(site).parts}
links = 0
for path, page in pages.items():
    for tag, link in page.links:
        if re.match(r"(https?|mailto):", link):
            if tag != "a":
                complain(path, f"{link} comes from the network")
            continue
        links += 1
        place, _, anchor = link.partition("#")
        target = (path.parent / unquote(place)).resolve() if place else path
        if not target.is_file():
            complain(path, f"{link} leads nowhere")
        elif anchor and target in pages and anchor not in pages[target].anchors:
            complain(path, f"{link} names nothing of its page")
    written = path.relative_to(site).parts[0] != "source"
    if written and re.search(r"\$[^$\d ][^$]*\$|\\[a-z]{4,}", "".join(page.text)):
        complain(path, "a formula is not rendered: " + re.search(r".{0,20}(\$[^$\d ][^$]*\$|\\[a-z]{4,})", "".join(page.text)).group(0))

index = json.loads((site / "search.js").read_text().partition("=")[2].rstrip(";\n").replace("<\\/", "</"))
known = {place.partition("#")[0] for _, _, place, _ in index}
for path in pages:
    name = path.relative_to(site).as_posix()
    if not name.startswith("source/") and name != "api/index.html" and name not in known:
        complain(path, "the search does not know this page")
for title, _, place, _ in index:
    name, _, anchor = place.partition("#")
    if site / name not in pages or (anchor and anchor not in pages[site / name].anchors):
        complaints.append(f"search.js: \"{title}\" leads to {place}, which is not there")

for complaint in complaints:
    print(complaint)
if complaints or links < 5000 or len(index) < 1000:
    sys.exit(f"{len(complaints)} complaints; {links} links, {len(index)} entries of the search")
print(f"{len(pages)} pages, {links} links, {len(index)} entries of the search")
