#!/usr/bin/env python3
"""Packs the outlines of a TrueType font for the pictures of panels: a chosen set of characters, quadratic curves, 1,024 units an em.
It needs fontTools (`pip install fonttools`) and runs only when somebody wants other characters:

    python3 scripts/pack_font.py /usr/share/fonts/truetype/dejavu/DejaVuSans.ttf crates/watchfire-api/src/grafana/render/font/sans.bin.gz

The layout is told where it is read: crates/watchfire-api/src/grafana/render/font/mod.rs.
"""
import gzip
import struct
import sys

from fontTools.pens.basePen import decomposeQuadraticSegment
from fontTools.pens.recordingPen import DecomposingRecordingPen
from fontTools.ttLib import TTFont

UNITS = 1024


def wanted():
    chars = set(range(0x20, 0x7F)) | set(range(0xA0, 0x180)) - {0xAD}
    chars |= set(range(0x391, 0x3CA)) - {0x3A2}
    chars |= set(range(0x410, 0x450)) | {0x401, 0x451}
    chars |= set(map(ord, "–—‘’‚“”„†•…‰‹›€™ℓΩ←↑→↓↔−√∞∑≈≠≤≥■□▲▶▼◆●○★✓✔✗✘⚠₀₁₂₃₄₅₆₇₈₉⁰⁴⁵⁶⁷⁸⁹⁻∆�"))
    return sorted(chars)


def varint(n):
    n = (n << 1) ^ (n >> 31)
    out = bytearray()
    while n >= 0x80:
        out.append(n & 0x7F | 0x80)
        n >>= 7
    out.append(n)
    return bytes(out)


def contours(glyphs, name, scale):
    """Closed contours as lists of (x, y, on the curve)."""
    pen = DecomposingRecordingPen(glyphs)
    glyphs[name].draw(pen)
    done, now = [], []
    at = lambda p, on: (round(p[0] * scale), round(p[1] * scale), on)
    for what, points in pen.value:
        if what == "moveTo":
            now = [at(points[0], True)]
        elif what == "lineTo":
            now.append(at(points[0], True))
        elif what == "qCurveTo":
            if points[-1] is None:
                # Nothing of it is on the curve: it begins between the last and the first.
                first, last = points[0], points[-2]
                start = ((first[0] + last[0]) / 2, (first[1] + last[1]) / 2)
                now = [at(start, True)]
                points = list(points[:-1]) + [start]
            for control, end in decomposeQuadraticSegment(points):
                now += [at(control, False), at(end, True)]
        elif what == "closePath":
            if len(now) > 1 and now[-1] == now[0]:
                now.pop()
            if len(now) > 2:
                done.append(now)
            now = []
        else:
            raise SystemExit(f"cannot pack {name}: {what}")
    return done


def main(source, target):
    font = TTFont(source)
    glyphs, cmap = font.getGlyphSet(), font.getBestCmap()
    scale = UNITS / font["head"].unitsPerEm
    index, outlines = [], bytearray()
    for char in wanted():
        name = cmap.get(char)
        if name is None:
            print(f"the font has no U+{char:04X}", file=sys.stderr)
            continue
        index.append((char, round(font["hmtx"][name][0] * scale), len(outlines)))
        all_of_it = contours(glyphs, name, scale)
        outlines.append(len(all_of_it))
        for contour in all_of_it:
            outlines.append(len(contour))
            flags = 0
            for bit, (_, _, on) in enumerate(contour):
                flags |= int(on) << bit
            outlines += flags.to_bytes((len(contour) + 7) // 8, "little")
            last = (0, 0)
            for x, y, _ in contour:
                outlines += varint(x - last[0]) + varint(y - last[1])
                last = (x, y)
    packed = struct.pack("<H", len(index)) + b"".join(struct.pack("<HHH", *entry) for entry in index) + outlines
    with open(target, "wb") as file:
        file.write(gzip.compress(packed, 9, mtime=0))
    print(f"{len(index)} characters, {len(packed)} bytes before they are packed")


main(*sys.argv[1:3])
