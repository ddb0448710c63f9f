# SPDX-License-Identifier: MIT
"""Writes the pictures of test_picture.c to data/, and data/expected.bin with what they must be read
as: for each a line "NAME HEIGHT WIDTH CHANNELS ALPHA BITS" and the bytes [HEIGHT, WIDTH, 3] of the
upright picture over BACKGROUND. PNG files are written here, by the PNG specification, because
Pillow writes few of its kinds; JPEG files by Pillow, which also decodes them. Needs Pillow.

    python3 tests/program/make_pictures.py
"""

import io
import pathlib
import struct
import zlib

from PIL import Image, ImageOps

DATA = pathlib.Path(__file__).parent / "data"
BACKGROUND = (10, 200, 90)
HEIGHT, WIDTH = 11, 13
GREY, RGB, PALETTE, GREY_ALPHA, RGB_ALPHA = 0, 2, 3, 4, 6
CHANNELS = {GREY: 1, RGB: 3, PALETTE: 1, GREY_ALPHA: 2, RGB_ALPHA: 4}
ADAM7 = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2),
         (0, 1, 1, 2))
expected = []


def expect(name, image_rows, channels, alpha, bits):
    """image_rows: rows of (red, green, blue)."""
    line = f"{name} {len(image_rows)} {len(image_rows[0])} {channels} {alpha} {bits}\n"
    expected.append(line.encode() + bytes(v for row in image_rows for p in row for v in p))


# ---- PNG ----


def chunk(name, data):
    check = zlib.crc32(name + data)
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", check)


def pack(row, bits):
    """Rows of numbers as bytes: the first is in the highest bits."""
    if bits == 16:
        return struct.pack(f">{len(row)}H", *row)
    text = "".join(f"{v:0{bits}b}" for v in row)
    text += "0" * (-len(text) % 8)
    return bytes(int(text[i : i + 8], 2) for i in range(0, len(text), 8))


def filtered(rows, bits, channels):
    """Each filter in turn, None, Sub and Up, for 8 and 16 bits; else None."""
    out, before, step = b"", None, channels * bits // 8
    for y, row in enumerate(rows):
        data = pack(row, bits)
        before = before or bytes(len(data))
        kind = y % 3 if bits >= 8 else 0
        left = {0: bytes(len(data)), 1: bytes(step) + data[:-step], 2: before}[kind] if step else \
            bytes(len(data))
        out += bytes([kind]) + bytes((v - w) & 255 for v, w in zip(data, left))
        before = data
    return out


def png(name, bits, kind, pixels, palette=None, trns=None, interlaced=False):
    """pixels: rows of tuples of CHANNELS[kind] numbers."""
    height, width, channels = len(pixels), len(pixels[0]), CHANNELS[kind]
    passes = ADAM7 if interlaced else ((0, 0, 1, 1),)
    data = b""
    for left, top, across, down in passes:
        rows = [[v for p in row[left::across] for v in p] for row in pixels[top::down]]
        data += filtered([r for r in rows if r], bits, channels)
    file = b"\x89PNG\r\n\x1a\n" + chunk(
        b"IHDR", struct.pack(">IIBBBBB", width, height, bits, kind, 0, 0, interlaced))
    file += chunk(b"gAMA", struct.pack(">I", 100000))  # to be ignored
    if palette:
        file += chunk(b"PLTE", bytes(v for p in palette for v in p))
    if trns:
        file += chunk(b"tRNS", trns)
    middle = len(data) // 2  # two IDAT chunks
    data = zlib.compress(data, 9)
    file += chunk(b"IDAT", data[:middle]) + chunk(b"IDAT", data[middle:]) + chunk(b"IEND", b"")
    (DATA / name).write_bytes(file)


def over(value, alpha, under, most):
    """A value over a byte, to nearest; there are no ties."""
    divisor = most * most // 255
    return (2 * (value * alpha + under * (most // 255) * (most - alpha)) + divisor) // (2 * divisor)


def png_kind(name, bits, kind, palette=None, trns=None, interlaced=False):
    """A file, with pixels by a formula, and what it is read as."""
    most = 2**bits - 1
    count = len(palette) if palette else most + 1
    rows, want = [], []
    for y in range(HEIGHT):
        row = []
        for x in range(WIDTH):
            values = [x * most // (WIDTH - 1), y * most // (HEIGHT - 1),
                      (x * y * 7919) % (most + 1), (x * 5003 + y * 12007) % (most + 1)]
            if kind in (GREY, GREY_ALPHA, PALETTE):
                values = [(values[0] + values[2]) % count, values[3]]
            row.append(tuple(values[: CHANNELS[kind]]))
        rows.append(row)
    if trns == "a pixel":
        key = rows[3][4]
        trns = struct.pack(f">{len(key)}H", *key)
    else:
        key = None
    png(name, bits, kind, rows, palette, trns, interlaced)
    for row in rows:
        line = []
        for p in row:
            alpha = p[-1] if kind in (GREY_ALPHA, RGB_ALPHA) else 0 if p == key else most
            if palette:
                alpha = trns[p[0]] if trns and p[0] < len(trns) else 255
                p = palette[p[0]]
            colours, top = p[:3] if len(p) >= 3 else p[:1] * 3, most
            if bits < 8:
                alpha, top = alpha if palette else alpha // most * 255, 255
                colours = colours if palette else [c * 255 // most for c in colours]
            elif palette:
                top = 255
            line.append(tuple(over(c, alpha, b, top) for c, b in zip(colours, BACKGROUND)))
        want.append(line)
    alpha = int(kind in (GREY_ALPHA, RGB_ALPHA) or trns is not None)
    expect(name, want, 1 if kind in (GREY, GREY_ALPHA) else 3, alpha, bits)


def all_png():
    for bits in (1, 2, 4, 8, 16):
        png_kind(f"grey{bits}.png", bits, GREY)
    for bits in (1, 2, 4, 8):
        palette = [(i * 37 % 256, i * 91 % 256, 255 - i) for i in range(min(2**bits, 40))]
        png_kind(f"palette{bits}.png", bits, PALETTE, palette)
    palette = [(i * 37 % 256, i * 91 % 256, 255 - i) for i in range(40)]
    png_kind("palette_trns.png", 8, PALETTE, palette, bytes(range(0, 240, 12)))
    png_kind("grey_trns.png", 4, GREY, trns="a pixel")
    png_kind("rgb_trns.png", 8, RGB, trns="a pixel")
    png_kind("rgb16_trns.png", 16, RGB, trns="a pixel")
    for bits in (8, 16):
        png_kind(f"rgb{bits}.png", bits, RGB)
        png_kind(f"grey_alpha{bits}.png", bits, GREY_ALPHA)
        png_kind(f"rgb_alpha{bits}.png", bits, RGB_ALPHA)
        png_kind(f"interlaced{bits}.png", bits, RGB_ALPHA, interlaced=True)
    png_kind("interlaced1.png", 1, GREY, interlaced=True)


# ---- JPEG ----


def scene(height, width):
    image = Image.new("RGB", (width, height))
    image.putdata([(x * 255 // width, y * 255 // height, 255 - (x + y) * 255 // (height + width))
                   for y in range(height) for x in range(width)])
    return image


def encoded(image, **options):
    file = io.BytesIO()
    image.save(file, "JPEG", optimize=True, **options)
    return file.getvalue()


def exif(order, orientation):
    """Two tags, of which the second is the orientation."""
    mark = {">": b"MM", "<": b"II"}[order]
    return b"Exif\0\0" + mark + struct.pack(
        order + "HIHHHIIHHIHHI", 42, 8, 2, 0x0100, 4, 1, 13, 0x0112, 3, 1, orientation, 0, 0)


def rows_of(image):
    pixels = image.convert("RGB").load()
    return [[pixels[x, y] for x in range(image.width)] for y in range(image.height)]


def jpeg(name, data, channels=3):
    (DATA / name).write_bytes(data)
    image = ImageOps.exif_transpose(Image.open(io.BytesIO(data)))
    expect(name, rows_of(image), channels, 0, 8)


def all_jpeg():
    image = scene(HEIGHT, WIDTH)
    jpeg("baseline.jpg", encoded(image, quality=90, subsampling=0))
    jpeg("subsampled.jpg", encoded(image, quality=90, subsampling=2))
    jpeg("progressive.jpg", encoded(image, quality=90, progressive=True, subsampling=0))
    jpeg("restarts.jpg", encoded(image, quality=90, subsampling=0, restart_marker_blocks=1))
    jpeg("grey.jpg", encoded(image.convert("L"), quality=90), 1)
    jpeg("rgb.jpg", encoded(image, quality=90, keep_rgb=True))
    cmyk = Image.merge("CMYK", (*image.split(), image.convert("L").point(lambda v: v // 2)))
    cmyk = encoded(cmyk, quality=90, subsampling=0)
    jpeg("cmyk.jpg", cmyk)
    # The same numbers, said to be YCCK by the last byte of Adobe's marker.
    adobe = cmyk.index(b"\xff\xee")
    jpeg("ycck.jpg", cmyk[: adobe + 15] + b"\2" + cmyk[adobe + 16 :])
    # Without Adobe's marker the numbers are not inverted; Pillow takes them to be.
    plain = cmyk[:adobe] + cmyk[adobe + 16 :]
    (DATA / "cmyk_plain.jpg").write_bytes(plain)
    stored = Image.open(io.BytesIO(plain))
    stored = stored.point(lambda v: 255 - v)
    expect("cmyk_plain.jpg", rows_of(stored), 3, 0, 8)
    for orientation in range(1, 9):
        data = exif("<>"[orientation % 2], orientation)
        jpeg(f"turned{orientation}.jpg", encoded(image, quality=80, subsampling=0, exif=data))
    jpeg("smooth.jpg", encoded(scene(77, 101), quality=80, subsampling=2))


# ---- files that are refused ----


def refused():
    big = struct.pack(">IIBBBBB", 65500, 4097, 8, RGB, 0, 0, 1)
    start = b"\x89PNG\r\n\x1a\n"
    rest = chunk(b"IDAT", zlib.compress(bytes(1000))) + chunk(b"IEND", b"")
    (DATA / "claims.png").write_bytes(start + chunk(b"IHDR", big) + rest)
    big = struct.pack(">IIBBBBB", 65501, 1, 8, RGB, 0, 0, 0)
    (DATA / "wide.png").write_bytes(start + chunk(b"IHDR", big) + rest)
    data = encoded(scene(HEIGHT, WIDTH), quality=80, progressive=True)
    at = data.index(b"\xff\xc2") + 5
    (DATA / "claims.jpg").write_bytes(data[:at] + struct.pack(">HH", 4097, 65500) + data[at + 4 :])
    (DATA / "wide.jpg").write_bytes(data[:at] + struct.pack(">HH", 1, 65501) + data[at + 4 :])


if __name__ == "__main__":
    DATA.mkdir(exist_ok=True)
    all_png()
    all_jpeg()
    refused()
    (DATA / "expected.bin").write_bytes(b"".join(expected))
