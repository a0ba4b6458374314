"""Reads the headers of skipv1/: every public type and function with its comment.

No C++ parser: the tree is formatted by clang-format, so a scan for statements and braces is enough. `read_header` fails where it
is not, and where a `///` comment belongs to nothing it found."""

import re
from dataclasses import dataclass, field

INTERNAL = re.compile(r"\b(detail|internal|easy)\b")
TYPE = re.compile(r"^(?:template\s*<.*>\s*)?(?:requires\b.*)?(?:typedef\s+)?(struct|class|union|enum(?:\s+class)?)\b\s*(?:alignas\s*\([^)]*\)\s*)?(\w+)", re.S)
TEMPLATE = re.compile(r"template\s*<[^;{}]*?>\s(?=\S)")
PARENTHESES = re.compile(r"\((?:[^()]|\((?:[^()]|\([^()]*\))*\))*\)")
NAME = re.compile(r"(operator\s*(?:\(\)|\[\]|[^\s(\w]+|\w+)|~?\w+)\s*\(")


@dataclass
class Item:
    """A function, a type, a constant, an alias or a macro."""

    name: str
    kind: str
    code: str
    doc: str
    line: int
    members: list = field(default_factory=list)


def mask(text):
    """`text` with comments, literals and preprocessor lines blanked, so that only the language's own braces are left."""

    def blank(match):
        return re.sub(r"[^\n]", " ", match.group(0))

    pattern = r"//[^\n]*|/\*.*?\*/|R\"\(.*?\)\"|\"(?:\\.|[^\"\\\n])*\"|(?<![\w])'(?:\\.|[^'\\\n])+'|^[ \t]*#(?:[^\n]*\\\n)*[^\n]*"
    return re.sub(pattern, blank, text, flags=re.S | re.M)


class Header:
    def __init__(self, path, text):
        self.path, self.text, self.masked = path, text, mask(text)
        self.items, self.used = [], set()
        self.intro = "\n".join(line[2:].strip() for line in re.match(r"((?://[^\n]*\n)*)", text).group(1).splitlines())

    def fail(self, at, why):
        raise SystemExit(f"{self.path}:{self.line(at)}: {why}")

    def line(self, at):
        return self.text.count("\n", 0, at) + 1

    def closing(self, at):
        """Where the brace or parenthesis opened at `at` is closed."""
        depth = 0
        for i in range(at, len(self.masked)):
            depth += (self.masked[i] in "({[") - (self.masked[i] in ")}]")
            if depth == 0:
                return i
        self.fail(at, "nothing closes this brace")

    def statement(self, at, end):
        """The statement that begins at `at`: where its head ends, where its body begins (or None), where all of it ends."""
        i = at
        while i < end:
            c = self.masked[i]
            if c == ";":
                return i, None, i + 1
            if c == "{":
                head, close = self.masked[at:i], self.closing(i)
                is_type = TYPE.match(head)
                bare = PARENTHESES.sub("", TEMPLATE.sub("", re.sub(r"operator\S+", "", head)))
                is_block = is_type or re.match(r"(inline )?namespace\b|extern\b", head)
                is_value = "=" in bare or "(" not in head or re.search(r"\)\s*(noexcept\s*)?:\s.*\w$", head, re.S)
                if is_value and not is_block:  # these braces initialise something
                    i = close + 1
                    continue
                after = close + 1
                if is_type:
                    after = self.masked.index(";", close) + 1
                return i, i, after
            i = self.closing(i) + 1 if c in "([" else i + 1
        return end, None, end

    def comment_before(self, at, floor):
        """The `///` lines above `at`; only the preprocessor's may lie between."""
        lines, begin = [], self.text.rfind("\n", 0, at) + 1
        while begin > floor:
            above = self.text.rfind("\n", 0, begin - 1) + 1
            line = self.text[above:begin].strip()
            if line.startswith("///") and not line.startswith("///<"):
                lines.insert(0, line[3:].strip())
                self.used.add(self.line(above))
            elif not line.startswith("#") or lines:
                break
            begin = above
        return "\n".join(lines)

    def statements(self, at, end):
        while True:
            at += len(self.masked[at:end]) - len(self.masked[at:end].lstrip())
            if at >= end:
                return
            if self.masked[at] == ";":
                at += 1
                continue
            head, body, after = self.statement(at, end)
            yield at, head, body, after
            at = after

    def scan(self, at, end, scope):
        """Items of a namespace."""
        floor = at
        for begin, head, body, after in self.statements(at, end):
            text = self.masked[begin:head].strip()
            namespace = re.match(r"(?:inline )?namespace\b([\w:\s]*)", text)
            if (namespace or text.startswith("extern")) and body:
                names = re.sub(r"inline \w+", "", namespace.group(1)).strip() if namespace else ""
                if INTERNAL.search(names) or not names:  # also what has no name, and C's functions
                    self.skip(begin, after)
                else:
                    self.scan(body + 1, after - 1, scope + [n for n in names.split("::") if n and n != "skipv1"])
            elif not re.match(r"(using namespace|static_assert|extern template|template\s+\w|SKIPV1_EXTERN)", text):
                self.add(begin, head, body, after, scope, floor)
            floor = after

    def skip(self, begin, end):
        self.used.update(range(self.line(begin), self.line(end) + 1))

    def trailing(self, after):
        """A `///<` comment behind a statement, with the lines that continue it."""
        rest = self.text[after : self.text.find("\n", after)]
        return rest[rest.index("///<") + 4 :].strip() if "///<" in rest else ""

    def add(self, begin, head, body, after, scope, floor):
        doc = self.comment_before(begin, floor)
        text = self.masked[begin:head]
        if not body and not doc and TYPE.fullmatch(text.strip()):
            return  # declared here, defined elsewhere
        kind, members = "function", []
        type_match = TYPE.match(text)
        if type_match and (body or type_match.end() == len(text)):
            kind, name = type_match.group(1).split()[0], type_match.group(2)
            code, members = self.type_code(begin, body, after) if body and kind != "enum" else (self.text[begin:after], [])
            self.skip(begin, after)
        elif match := re.search(r"\b(using|concept)\s+(\w+)\s*=", text):
            kind, name, code = "alias" if match.group(1) == "using" else "concept", match.group(2), self.text[begin:after]
        elif (match := NAME.search(self.plain(text))) and "=" not in self.plain(text)[: match.start()]:
            name, code = match.group(1), self.signature(begin, head)
        elif match := re.search(r"(\w+)\s*(\[[^=]*\]\s*)*(=|\{|$)", text.strip()):
            kind, name, code = "constant", match.group(1), self.text[begin:after]
        else:
            self.fail(begin, f"cannot tell what is declared here: {text.strip()[:60]}")
        doc = "\n".join(filter(None, [doc, self.trailing(after)]))
        self.skip(begin, begin + 1) if not self.trailing(after) else self.used.add(self.line(after - 1))
        self.items.append(Item("::".join(scope + [name]), kind, self.tidy(code), doc, self.line(begin), members))

    def plain(self, text):
        """A declaration without what has parentheses of its own before the name."""
        return re.sub(r"\b(__attribute__|requires|SKIPV1_BOUNDS|alignas|decltype|explicit)\s*" + PARENTHESES.pattern, "", TEMPLATE.sub("", text))

    def signature(self, begin, head):
        """A function without its body and without a constructor's initialisers."""
        masked = self.masked[begin:head]
        cut = re.search(r"\)(\s*noexcept)?\s*:\s(?!:)", masked)
        text = self.text[begin : begin + cut.start() + 1] if cut else self.text[begin:head]
        return text.rstrip() + ";"

    def type_code(self, begin, body, after):
        """A type as a reader writes against it: without private members, without bodies. And its members' names."""
        parts, members = [self.text[begin : body + 1]], []
        end = self.masked.rindex("}", body, after)
        hidden = self.masked[begin:body].lstrip().startswith("class") or " class " in re.sub(r"<.*?>", "", self.masked[begin:body])
        floor = body + 1
        at = body + 1
        while True:
            label = re.compile(r"\s*(public|private|protected)\s*:(?!:)").match(self.masked, at)
            if label and label.end() <= end:
                hidden, at = label.group(1) != "public", label.end()
                floor = at
                if not hidden and len(parts) > 1:
                    parts.append("\n")
                continue
            step = next(self.statements(at, end), None)
            if step is None:
                break
            first, head, inner, at = step
            text = self.masked[first:head].strip()
            if not hidden and not text.startswith(("friend", "static_assert", "template <class> friend")):
                line_end = self.text.find("\n", at)
                lead = self.text[floor:first]
                if "\n" in lead and floor > body + 1:
                    lead = lead[lead.index("\n") + (0 if self.masked[floor - 1] in ";}{:" else 0) :]
                inner_type = TYPE.match(text)
                if inner and inner_type and not inner_type.group(1).startswith("enum"):
                    code = self.type_code(first, inner, at)[0]
                elif inner and not inner_type:
                    code = self.signature(first, head)
                else:
                    code = self.text[first:at]
                tail = self.text[at:line_end] if self.masked[at:line_end].strip() == "" else ""
                while self.text[line_end + 1 :].lstrip(" ").startswith("///<"):  # a comment that goes on below
                    next_end = self.text.find("\n", line_end + 1)
                    tail, line_end = tail + self.text[line_end:next_end], next_end
                parts.append(lead + code + tail)
                if inner_type:
                    members.append(inner_type.group(2))
                elif (found := NAME.search(self.plain(text))) and "=" not in self.plain(text)[: found.start()]:
                    members.append(found.group(1))
                else:
                    members += self.declared(text)
            floor = at
        return "".join(parts) + "\n" + self.indent(begin) + "};", members

    @staticmethod
    def declared(text):
        """The names of a declaration of variables."""
        while (shorter := re.sub(r"<[^<>]*>|\{[^{}]*\}|\([^()]*\)|\[[^\[\]]*\]", "", text)) != text:
            text = shorter
        names = [re.search(r"(\w+)\s*$", part.partition("=")[0]) for part in text.split(",")]
        return [name.group(1) for name in names if name]

    def indent(self, at):
        start = self.text.rfind("\n", 0, at) + 1
        return re.match(r" *", self.text[start:]).group(0)

    def tidy(self, code):
        """Without includes and blank runs."""
        code = re.sub(r"^[ \t]*#[^\n]*\n", "", code, flags=re.M)
        return re.sub(r"\n\s*\n(\s*\n)+", "\n\n", code).strip()


def read_header(path, text):
    """The header's items, and its opening comment."""
    header = Header(path, text)
    header.scan(0, len(text), [])
    for match in re.finditer(r"^[ \t]*((?:///[^\n]*\n)+)(?:#if[^\n]*\n)?#define (\w+)[^\n]*", text, re.M):
        doc = "\n".join(line.strip()[3:].strip() for line in match.group(1).splitlines())
        header.items.append(Item(match.group(2), "macro", match.group(0)[len(match.group(1)) :], doc, header.line(match.end())))
        header.skip(match.start(), match.end())
    lost = [n for n, line in enumerate(text.splitlines(), 1) if "///" in line and n not in header.used]
    if lost:
        raise SystemExit(f"{path}:{lost[0]}: this comment belongs to no declaration that docs/site/api.py finds")
    return header
