"""Builds the site from the tree's Markdown, headers and figures: python3 build.py [FOLDER], build/site unless given.

Pages keep their places (docs/spec/models.md becomes docs/spec/models.html, README.md index.html), so that links need little change.
What a page links to besides pages is shown as highlighted text under source/. Nothing is fetched: the folder works from file://."""

import fnmatch
import html
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path, PurePosixPath
from string import Template

import latex2mathml.converter
import pygments
from markdown_it import MarkdownIt
from mdit_py_plugins.dollarmath import dollarmath_plugin
from pygments.formatters import HtmlFormatter
from pygments.lexers import get_lexer_by_name, get_lexer_for_filename
from pygments.util import ClassNotFound

import api

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
# The parts of the navigation: a title and patterns of pages, in their order; a page belongs to the first that fits.
PARTS = [
    ("", ["README.md"]),
    ("Tutorials", ["tutorials/[0-9]*", "tutorials/exercises/*"]),
    ("Reference", ["docs/spec/models.md", "docs/spec/*", "docs/glossary.md", "docs/equal-bits.md"]),
    ("Use", ["docs/conformance.md", "docs/distributed.md", "docs/portability.md"]),
    ("Results", ["docs/results/README.md", "docs/results/*"]),
    ("Performance", ["docs/performance/README.md", "docs/performance/*"]),
    ("The project", ["docs/README.md", "docs/design.md", "docs/CONTRIBUTING.md", "docs/CHANGELOG.md", "*"]),
]
SHOWN = 200_000  # bytes of a source that is shown as a page; larger ones are copied


def tracked():
    """The tree's files, also those not committed yet; all but build/ where there is no git."""
    try:
        listed = subprocess.run(["git", "-C", ROOT, "ls-files", "-co", "--exclude-standard"], capture_output=True, text=True, check=True).stdout.split("\n")
        return [path for path in listed if path and (ROOT / path).is_file()]
    except (OSError, subprocess.CalledProcessError):
        found = (path.relative_to(ROOT).as_posix() for path in ROOT.rglob("*") if path.is_file())
        return sorted(path for path in found if not path.startswith(("build/", ".git/")))


def slug(text, taken):
    """The anchor that GitHub gives a heading."""
    name = re.sub(r"[^\w\- ]", "", text.lower()).replace(" ", "-")
    taken[name] = taken.get(name, -1) + 1
    return f"{name}-{taken[name]}" if taken[name] else name


def formula(tex, options=None):
    """MathML. A number (\\tag) stands beside the formula, since MathML has none; what latex2mathml lacks is replaced."""
    display = bool(options and options.get("display_mode"))
    tag = re.search(r"\\tag\{(\d+)\}", tex)
    tex = re.sub(r"\\tag\{\d+\}", "", tex).replace("\\cr", "\\\\").replace("\\thinspace", "\\,").replace("\\enspace", "\\;")
    math = latex2mathml.converter.convert(tex.strip(), display="block" if display else "inline")
    math = math.replace("<mo>&#x022A4;</mo>", '<mi mathvariant="normal">&#x22A4;</mi>')  # transposed: a letter, not an operator
    math = re.sub(r"<msup>(<mi>[^<]*</mi>)<mi>&#x02032;</mi></msup>", r'<mrow>\1<mo lspace="0" rspace="0">&#x2032;</mo></mrow>', math)
    if not display:
        return math
    number = f'<a class="number" id="eq-{tag.group(1)}" href="#eq-{tag.group(1)}">({tag.group(1)})</a>' if tag else ""
    return f'<div class="formula"><div>{math}</div>{number}</div>'


def highlight(code, name=""):
    if name in ("", "text"):
        return f"<pre><code>{html.escape(code)}</code></pre>\n"
    return pygments.highlight(code, get_lexer_by_name(name), HtmlFormatter(cssclass="code", wrapcode=True))


def numbered(path, code):
    """A file's text, each line with an anchor; its number is drawn by the style sheet."""
    try:
        lexer = get_lexer_for_filename("a.cpp" if path.endswith(".cuh") else path, stripnl=False)
    except ClassNotFound:
        lexer = get_lexer_by_name("text", stripnl=False)
    lines = pygments.highlight(code, lexer, HtmlFormatter(nowrap=True)).rstrip("\n").split("\n")
    rows = "\n".join(f'<span id="L-{n}">{line}</span>' for n, line in enumerate(lines, 1))
    return f'<div class="code numbered"><pre>{rows}</pre></div>'


def figure(renderer, tokens, i, options, env):
    """A picture in a box that scrolls where it is wider than the screen; it leads to itself, alone."""
    return f'<a class="figure" href="{tokens[i].attrGet("src")}">{renderer.image(tokens, i, options, env)}</a>'


class Site:
    def __init__(self, out):
        self.out, self.files = out, tracked()
        self.names = set(self.files)
        self.folders = {str(parent) for path in self.files for parent in PurePosixPath(path).parents}
        self.pages = [path for path in self.files if path.endswith(".md")]
        self.sources, self.copies, self.index = set(), set(), []
        self.titles = {page: re.search(r"^# (.*)$", (ROOT / page).read_text(), re.M).group(1) for page in self.pages}
        self.rooms, self.known = {}, {}
        self.template = Template((HERE / "page.html").read_text())
        self.markdown = MarkdownIt("commonmark", {"highlight": highlight}).enable(["table", "strikethrough"])
        dollarmath_plugin(self.markdown, renderer=formula, double_inline=True)
        self.markdown.add_render_rule("math_block", lambda _, t, i, *rest: formula(t[i].content, {"display_mode": True}))
        self.markdown.add_render_rule("table_open", lambda *_: '<div class="wide"><table>\n')
        self.markdown.add_render_rule("table_close", lambda *_: "</table></div>\n")
        self.markdown.add_render_rule("image", figure)
        self.markdown.add_render_rule("fence", lambda _, t, i, *rest: highlight(t[i].content, t[i].info.strip()))

    def url(self, path):
        """Where a page of the tree lies in the site."""
        place = PurePosixPath(path)
        return str(place.parent / "index.html" if place.name == "README.md" else place.with_suffix(".html")).removeprefix("./")

    def target(self, path, page):
        """The place in the site of what `page` links to, which is shown or copied."""
        if path in self.pages:
            return self.url(path)
        if path + "/README.md" in self.names:
            return self.url(path + "/README.md")
        if path in self.folders:
            self.sources.add(path)
            return f"source/{path}/index.html"
        if path not in self.names:
            raise SystemExit(f"{page}: the link to {path} leads nowhere")
        if (ROOT / path).stat().st_size > SHOWN:
            self.copies.add(path)
            return path
        self.sources.add(path)
        return f"source/{path}.html"

    def relative(self, target, place):
        return os.path.relpath(target, os.path.dirname(place) or ".")

    def resolve(self, link, page, place):
        if re.match(r"[a-z]+:|#|$", link):
            return link
        path, _, anchor = link.partition("#")
        path = os.path.normpath(os.path.join(os.path.dirname(page), path))
        if anchor.startswith("L") and path in self.names:
            anchor = "L-" + anchor[1:]
        return self.relative(self.target(path, page), place) + ("#" + anchor if anchor else "")

    def image(self, link, page, place):
        if re.match(r"[a-z]+:", link):
            return link
        path = os.path.normpath(os.path.join(os.path.dirname(page), link))
        drawn = re.sub(r"\.png$", ".svg", path)
        path = drawn if drawn in self.names else path
        self.copies.add(path)
        return self.relative(path, place)

    def code_span(self, text, place):
        """A path of the tree in a text leads there, and so does a name of the library that is no everyday word and in one room only."""
        escaped = html.escape(text)
        if "/" in text and text in self.names:
            return f'<a href="{self.relative(self.target(text, place), place)}"><code>{escaped}</code></a>'
        rooms = self.known.get(text, {}) if re.search(r"[a-z](_|::|[A-Z])\w|^[A-Z][a-z]", text) else {}
        if len(rooms) == 1 and place not in rooms:
            return f'<a href="{self.relative(next(iter(rooms.values())), place)}"><code>{escaped}</code></a>'
        return f"<code>{escaped}</code>"

    def render(self, page):
        """A page's HTML, with the headings of its table of contents; its text goes to the index."""
        place, taken, headings = self.url(page), {}, []
        tokens = self.markdown.parse((ROOT / page).read_text())
        words = []
        for i, token in enumerate(tokens):
            if token.type == "heading_open":
                text = "".join(c.content for c in tokens[i + 1].children if c.type in ("text", "code_inline", "math_inline"))
                token.attrSet("id", slug(text, taken))
                headings.append((int(token.tag[1]), text, token.attrGet("id")))
                words.append([])
            elif token.type == "fence" and words:
                words[-1].append(token.content)
            within_link = 0
            for child in token.children or []:
                if child.type == "link_open":
                    child.attrSet("href", self.resolve(child.attrGet("href"), page, place))
                within_link += (child.type == "link_open") - (child.type == "link_close")
                if child.type == "image":
                    child.attrSet("src", self.image(child.attrGet("src"), page, place))
                    child.attrSet("loading", "lazy")
                elif child.type == "code_inline" and words:
                    words[-1].append(child.content)
                    if not within_link:
                        child.type, child.content = "html_inline", self.code_span(child.content, place)
                elif child.type in ("text", "math_inline") and words:
                    words[-1].append(child.content)
        for (level, text, anchor), found in zip(headings, words):
            self.index.append([text, "" if level == 1 else self.titles[page], place + ("" if level == 1 else "#" + anchor), " ".join(" ".join(found).split())])
        return self.markdown.renderer.render(tokens, self.markdown.options, {}), headings

    def navigation(self):
        """Parts, each a title with (title, place) of its pages."""
        left, parts = list(self.pages), []
        for title, patterns in PARTS:
            entries = []
            for pattern in patterns:
                found = [p for p in left if fnmatch.fnmatchcase(p, pattern)]
                entries += sorted(found, key=lambda p: not p.endswith("README.md"))
                left = [p for p in left if p not in found]
            parts.append((title, [(self.titles[p], self.url(p)) for p in entries]))
        parts[0] = ("", [("Start", self.url("README.md"))])
        if self.has_playground:
            parts[0][1].append(("Playground", "playground/index.html"))
        parts.insert(3, ("Library", [("All rooms", "api/index.html")] + [(room, self.room_place(room)) for room in self.rooms]))
        return parts

    def room_place(self, room):
        return f"api/{room.replace('/', '-')}.html"

    def write(self, place, title, body, headings=(), neighbours=""):
        root = self.relative(".", place) + "/"
        parts = []
        for name, entries in self.parts:
            here = any(target == place for _, target in entries)
            rows = []
            for entry, target in entries:
                current = ' aria-current="page"' if target == place else ""
                rows.append(f'<li><a href="{self.relative(target, place)}"{current}>{self.inline(entry)}</a>')
                if current and sum(level == 2 for level, *_ in headings) > 1:
                    inner = "".join(f'<li><a href="#{a}">{self.inline(t)}</a></li>' for level, t, a in headings if level == 2)
                    rows.append(f"<ul>{inner}</ul>")
                rows.append("</li>")
            listing = f'<ul>{"".join(rows)}</ul>'
            parts.append(f'<details{" open" if here or name == "Tutorials" else ""}><summary>{name}</summary>{listing}</details>' if name else listing)
        path = self.out / place
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(self.template.substitute(root=root, title=html.escape(re.sub(r"[`$]", "", title)), navigation="\n".join(parts), body=body, neighbours=neighbours))

    def inline(self, text):
        """A title's HTML: code and formulas, nothing else."""
        return self.markdown.renderInline(text)

    def write_pages(self):
        order = [entry for _, entries in self.parts for entry in entries]
        for page in self.pages:
            body, headings = self.render(page)
            place, links = self.url(page), ""
            at = next(i for i, (_, target) in enumerate(order) if target == place)
            if page.startswith("tutorials/"):
                links = "".join(f'<a rel="{rel}" href="{self.relative(order[i][1], place)}">{self.inline(order[i][0])}</a>'
                                for rel, i in (("prev", at - 1), ("next", at + 1)) if order[i][1].startswith("tutorials/"))
            self.write(place, self.titles[page], body, headings, f"<nav class=\"neighbours\">{links}</nav>" if links else "")

    # The library's reference.

    def read_rooms(self):
        for path in self.files:
            room = os.path.dirname(path.removeprefix("skipv1/"))
            if path.startswith("skipv1/") and path.endswith((".hpp", ".cuh")) and room:
                self.rooms.setdefault(room, []).append(api.read_header(path, (ROOT / path).read_text()))
        for room, headers in self.rooms.items():
            place, taken = self.room_place(room), {}
            for header in headers:
                header.anchor = slug(header.path.removeprefix("skipv1/"), taken)
                for item in header.items:
                    item.anchor = slug(item.name.replace("::", "-"), taken)
                    for name in (item.name, *(f"{item.name}::{member}" for member in item.members)):
                        self.known.setdefault(name, {}).setdefault(place, f"{place}#{item.anchor}")

    def prose(self, text, place):
        """A comment: paragraphs, code between backticks, citations of the specification as links."""
        paragraphs = []
        for paragraph in re.split(r"\n\s*\n", text):
            pieces = re.split(r"`([^`]*)`", " ".join(paragraph.split()))
            for i, piece in enumerate(pieces):
                pieces[i] = self.code_span(piece, place) if i % 2 else re.sub(r"docs/[\w/-]+\.md(?:, eq\. \((\d+)\)|, \"([^\"]+)\")?", lambda m: self.citation(m, place), html.escape(piece, quote=False))
            paragraphs.append(f"<p>{''.join(pieces)}</p>")
        return "".join(paragraphs)

    def citation(self, match, place):
        path = match.group(0).partition(",")[0]
        anchor = f"#eq-{match.group(1)}" if match.group(1) else "#" + slug(match.group(2), {}) if match.group(2) else ""
        return f'<a href="{self.relative(self.target(path, place), place)}{anchor}">{match.group(0)}</a>' if path in self.names else match.group(0)

    def write_rooms(self):
        rows = []
        for room, headers in self.rooms.items():
            place, headings, body = self.room_place(room), [(1, room, "")], [f"<h1><code>skipv1/{room}</code></h1>"]
            for header in headers:
                name = header.path.removeprefix("skipv1/")
                anchor = header.anchor
                headings.append((2, f"`{PurePosixPath(name).name}`", anchor))
                self.index.append([name, "header", f"{place}#{anchor}", " ".join(header.intro.split())])
                source = self.relative(self.target(header.path, place), place)
                body.append(f'<h2 id="{anchor}"><code>{name}</code> <a class="aside" href="{source}">source</a></h2>{self.prose(header.intro, place)}')
                for item in header.items:
                    anchor = item.anchor
                    body.append(f'<section class="item"><h3 id="{anchor}"><a href="#{anchor}">{html.escape(item.name)}</a> <span class="aside">{item.kind}, <a href="{source}#L-{item.line}">line {item.line}</a></span></h3>'
                                f"{self.prose(item.doc, place) if item.doc else ''}{highlight(item.code, 'cpp')}</section>")
                    self.index.append([item.name, f"{item.kind} of {name}", f"{place}#{anchor}", " ".join([item.doc.replace("\n", " ")] + item.members)])
            self.write(place, f"skipv1/{room}", "\n".join(body), headings)
            names = [f'<a href="{self.relative(place, "api/index.html")}#{a}">{self.inline(t)}</a>' for level, t, a in headings if level == 2]
            rows.append(f'<tr><td><a href="{self.relative(place, "api/index.html")}"><code>{room}</code></a></td><td>{sum(len(h.items) for h in headers)}</td><td>{", ".join(names)}</td></tr>')
        intro = ("<h1>The library</h1><p>Every public type and function, by folder and header, with the comment that stands before it. "
                 "Private members, bodies and what lies in a namespace <code>detail</code> are left out.</p>")
        self.write("api/index.html", "The library", f'{intro}<div class="wide"><table><tr><th>folder</th><th>entries</th><th>headers</th></tr>{"".join(rows)}</table></div>')

    # What pages link to.

    def write_sources(self):
        done = set()
        while self.sources - done:
            path = min(self.sources - done)
            done.add(path)
            if path in self.folders:
                place = f"source/{path}/index.html"
                inside = sorted({f[len(path) + 1 :].split("/")[0] for f in self.files if f.startswith(path + "/")})
                rows = []
                for name in inside:
                    full = f"{path}/{name}"
                    folder = full in self.folders
                    shown = folder or (ROOT / full).suffix in (".json", ".md", ".py", ".sh", ".txt", ".hpp", ".cuh", ".cpp")
                    rows.append(f'<li><a href="{self.relative(self.target(full, place), place)}">{name}{"/" if folder else ""}</a></li>' if shown else f"<li>{name}</li>")
                body = f'<h1><code>{path}</code></h1><ul>{"".join(rows)}</ul>'
            else:
                place, text = f"source/{path}.html", (ROOT / path).read_text(errors="replace")
                body = f"<h1><code>{path}</code></h1>" + numbered(path, text)
            self.write(place, path, body)

    def write_rest(self):
        for path in sorted(self.copies):
            if path not in self.names:
                raise SystemExit(f"a page shows {path}, which is not there")
            (self.out / path).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(ROOT / path, self.out / path)
        light, dark = (HtmlFormatter(style=style, cssclass="code").get_style_defs for style in ("xcode", "github-dark"))
        code = [light(".code")] + [f"{scope} {{ {dark('.code')} }}" for scope in (":root[data-theme=dark]",)]
        (self.out / "code.css").write_text("\n".join(code))
        for name in ("style.css", "site.js"):
            shutil.copyfile(HERE / name, self.out / name)
        (self.out / "search.js").write_text("window.searchIndex = " + json.dumps(self.index, ensure_ascii=False, separators=(",", ":")).replace("</", "<\\/") + ";\n")
        if self.has_playground:
            shutil.copytree(ROOT / "build/playground", self.out / "playground")
            page = self.out / "playground/index.html"  # which by itself knows of no site
            page.write_text(page.read_text().replace("<body>", '<body>\n<p><a href="../index.html">← skipv1</a></p>', 1))

    def build(self):
        self.has_playground = (ROOT / "build/playground/index.html").is_file()
        self.read_rooms()
        self.parts = self.navigation()
        self.write_pages()
        self.write_rooms()
        self.write_sources()
        self.write_rest()


def main():
    out = Path(sys.argv[1] if len(sys.argv) > 1 else ROOT / "build/site").resolve()
    if out.exists() and any(out.iterdir()) and not (out / "search.js").is_file():  # never remove what is not ours
        raise SystemExit(f"{out}: is not empty and no site")
    fresh = out.with_name(out.name + ".new")  # a site is there whole or not at all
    shutil.rmtree(fresh, ignore_errors=True)
    fresh.mkdir(parents=True)
    site = Site(fresh)
    site.build()
    shutil.rmtree(out, ignore_errors=True)
    fresh.rename(out)
    print(f"{len(site.pages)} pages, {sum(len(h.items) for hs in site.rooms.values() for h in hs)} entries of the library: {out}/index.html")


if __name__ == "__main__":
    main()
