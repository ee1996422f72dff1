#!/usr/bin/env python3
"""Writes encodings.json beside itself: bytes, and what Python's codecs make of them.

Each case has an encoding, bytes as hexadecimal digits, and either the code points or the place of the byte at which
decoding breaks."""
import json
import pathlib
import random

MARKS = {"utf-16-le": b"\xff\xfe", "utf-16-be": b"\xfe\xff"}
TEXT = "“Straße” – 5 €…\r\nNaïve café, Œuvre\rend\r\n"
WIDE = "Plato Πλάτων 聖書 😀\U0010ffff\ue000\ufffd.\r\n"


def case(encoding, data, mark=b""):
    codec = "cp1252" if encoding == "windows-1252" else encoding
    found = {"encoding": "utf-16" if codec in MARKS else encoding, "bytes": (mark + data).hex()}
    try:
        text = data.decode(codec).replace("\r\n", "\n")
        found["codePoints"] = [ord(c) for c in text]
    except UnicodeDecodeError as error:
        found["brokenAt"] = error.start + len(mark)
    return found


def main():
    draw = random.Random(10)
    cases = [case("windows-1252", bytes([byte])) for byte in range(256)]
    cases.append(case("windows-1252", TEXT.encode("cp1252")))
    cases.append(case("windows-1252", TEXT.encode("cp1252") + b"\x8d!"))
    for codec, mark in MARKS.items():
        for text in (TEXT, WIDE, TEXT + WIDE):
            cases.append(case(codec, text.encode(codec), mark))
        # Without a mark, by the zeros of Latin letters.
        cases.append(case(codec, TEXT.encode(codec)))
        for _ in range(120):
            units = [draw.choice([0x41, 0x0D, 0x0A, 0xD83D, 0xDE00, 0xD800, 0xDFFF, 0x4E00]) for _ in range(draw.randint(1, 6))]
            order = "little" if codec == "utf-16-le" else "big"
            data = b"".join(unit.to_bytes(2, order) for unit in units)
            cases.append(case(codec, data[: len(data) - draw.choice([0, 0, 0, 1])], mark))
    cases = [found for found in cases if found.get("codePoints") != []]
    lines = ",\n".join(json.dumps(found) for found in cases)
    pathlib.Path(__file__).with_name("encodings.json").write_text(f"[\n{lines}\n]\n")


main()
