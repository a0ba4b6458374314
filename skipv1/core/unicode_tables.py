"""Writes unicode_tables.hpp: which code points are letters, numbers, and which the normal form NFC may change.

    pip install unicodedata2==16.0.0 && python skipv1/core/unicode_tables.py > skipv1/core/unicode_tables.hpp
"""
import unicodedata2 as unicode

LAST = 0x10FFFF
HANGUL_TAILS = [*range(0x1161, 0x1176), *range(0x11A8, 0x11C3)]  # vowels and final consonants that NFC joins to what precedes them


def boundaries(holds):
    """Where `holds(code point)` changes: it is true in [b[0], b[1]), [b[2], b[3]), ..."""
    found, before = [], False
    for code in range(LAST + 2):
        now = code <= LAST and holds(code)
        if now != before:
            found.append(code)
        before = now
    return found


def changed_by_nfc():
    """What is decomposed, reordered, or joined to the character before it. A text without any of these is in NFC."""
    found = set(HANGUL_TAILS)
    for code in range(LAST + 1):
        c = chr(code)
        stays = unicode.normalize("NFC", c) == c
        if unicode.combining(c) or not stays:
            found.add(code)
        parts = unicode.decomposition(c).split()
        if stays and len(parts) == 2 and not parts[0].startswith("<"):
            found.add(int(parts[1], 16))
    return found


def table(name, comment, numbers):
    lines, line = [f"/// {comment}", f"inline constexpr std::uint32_t {name}[] = {{"], "   "
    for number in numbers:
        word = f" {number},"
        if len(line + word) > 130:
            lines.append(line)
            line = "   "
        line += word
    return "\n".join([*lines, line.rstrip(",") + "};"])


def main():
    assert unicode.unidata_version == "16.0.0", unicode.unidata_version
    nfc = changed_by_nfc()
    print("// Made by unicode_tables.py of Unicode 16.0.0. A table holds where a set of code points begins and ends, in turn: it has")
    print("// those of [t[0], t[1]), [t[2], t[3]), ...")
    print("#pragma once\n\n#include <cstdint>\n\n// clang-format off\nnamespace skipv1::unicode {\n")
    print(table("letters", "General category L: \\p{L}.", boundaries(lambda c: unicode.category(chr(c))[0] == "L")) + "\n")
    print(table("numbers", "General category N: \\p{N}.", boundaries(lambda c: unicode.category(chr(c))[0] == "N")) + "\n")
    print(table("changed_by_nfc", "NFC_Quick_Check is not Yes, or the combining class is not 0: NFC may change these.",
                boundaries(nfc.__contains__)) + "\n")
    print("}  // namespace skipv1::unicode\n// clang-format on")


if __name__ == "__main__":
    main()
