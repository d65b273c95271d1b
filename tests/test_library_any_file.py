"""Photos of any name, with any date, place or sidecar: every one is indexed, found, printed and exported."""

import json
import os
import struct
from collections.abc import Iterator, Mapping
from pathlib import Path
from unicodedata import normalize

import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from tests.support.shell import Shell

pytestmark = pytest.mark.slow

NAMES = (
    b"new\nline.jpg",
    b"tab\t return\r.jpg",
    b"\x1b[31mred.jpg",
    b"\x01\x7f\x9b.jpg",
    b"caf\xe9.jpg",
    b"\xff\xfe.jpg",
    "\u202egpj.\u2028\u2029\u200b\ufeff.jpg".encode(),
    "\U0001f468\u200d\U0001f469\u200d\U0001f467.jpg".encode(),
    normalize("NFC", "é.jpg").encode(),
    normalize("NFD", "é.jpg").encode(),
    b"a" * 251 + b".jpg",
    b"-t.jpg",
    b"--json.jpg",
    b"*.jpg",
    b"?[a].jpg",
    b"%s%00_.jpg",
    b"'q' \"q\" `q` $(q) \\.jpg",
    b"[bold]x.jpg",
    b"{}.jpg",
    b" .jpg",
    b"1:b + c - d.jpg",
    b'=1+1,;".jpg',
    b"<b>&lt;.jpg",
    b"IMG_99999999_999999.jpg",
    b"-9223372036854775809.jpg",
    b"--library/-n.jpg",
    b"d\n1/*/\xe9/in.jpg",
    b"x" * 255 + b"/in.jpg",
)

TIMES = (-(2**33), 0, 2**32 + 5, 253402300800, 2**35)
"""Modification times in seconds, some before 1677 or after 2262."""

DATES = (
    b"0000:00:00 00:00:00",
    b"9999:12:31 24:00:00",
    b"9999999:01:01 00:00:00",
    b"2019:13:45 99:99:99",
    b"9" * 5000,
    b"\xff\xfe\x00bad",
    b"2019:01:01 00:00:00\x1b[31m",
)

PLACES = (
    struct.pack("<6I", 1, 0, 1, 0, 1, 0),
    struct.pack("<6I", *[2**32 - 1, 1] * 3),
    struct.pack("<6I", 200, 0, 2**32 - 1, 0, 0, 0),
)
"""Rational degrees, minutes and seconds, some with a denominator of zero."""

SIDECARS = (
    '{"photoTakenTime": {"timestamp": "' + "9" * 10_000 + '"}}',
    '{"photoTakenTime": {"timestamp": ' + "9" * 10_000 + "}}",
    '{"photoTakenTime": {"timestamp": 1e400}, "geoData": {"latitude": NaN, "longitude": -Infinity}}',
    '{"photoTakenTime": {"timestamp": "-99999999999999"}}',
    '{"photoTakenTime": []}',
    "[" * 100_000,
    '{"a":' * 100_000,
    '{"title": "\\ud800\\u0000", "photoTakenTime": {"timestamp": true}}',
    "null",
    "",
    "\x00",
)

XMP = (
    'xmp:CreateDate="99999-01-01T00:00:00+99:99"',
    'xmp:CreateDate="9999-12-31T23:59:59-23:59"',
    'xmp:CreateDate="0001-01-01T00:00:00+23:59"',
    'xmp:CreateDate="' + "9" * 10_000 + '"',
    'exif:GPSLatitude="1e400,NaN"',
    "<" * 5000,
)


def photos() -> Iterator[tuple[bytes, Mapping[str, object]]]:
    """Names, and what Pillow writes into the photo beside its pixels."""
    yield from ((name, {}) for name in NAMES)
    for number, _ in enumerate(TIMES):
        yield b"time%d.jpg" % number, {}
    for number, date in enumerate(DATES):
        exif = Image.Exif()
        exif[0x0110] = "M\x1b[31m\n" * 500
        exif.get_ifd(0x8769).update({0x9003: date, 0x9011: b"+99:99", 0x9291: b"9" * 400})
        yield b"date%d.jpg" % number, {"exif": exif}
    for number, place in enumerate(PLACES):
        yield b"place%d.jpg" % number, {"exif": _exif_with_place(place)}
    for number, text in enumerate(XMP):
        yield b"xmp%d.jpg" % number, {"xmp": _xmp(text)}
    for number, _ in enumerate(SIDECARS):
        yield b"takeout%d.jpg" % number, {}
    for number, time in enumerate((struct.pack(">H5B", 0, 0, 0, 0, 0, 0), b"\xff" * 7, b"")):
        info = PngInfo()
        info.add(b"tIME", time)
        info.add(b"tEXt", b"Creation Time\0" + b"9" * 6000)
        yield b"time%d.png" % number, {"pnginfo": info}


def _exif_with_place(degrees: bytes) -> bytes:
    """EXIF with a directory of GPS whose latitude and longitude are these rationals."""
    first = struct.pack("<HHHIII", 1, 0x8825, 4, 1, 26, 0)
    values = 26 + 2 + 4 * 12 + 4
    entries = (
        struct.pack("<HHI4s", 1, 2, 2, b"N"),
        struct.pack("<HHII", 2, 5, 3, values),
        struct.pack("<HHI4s", 3, 2, 2, b"\xff"),
        struct.pack("<HHII", 4, 5, 3, values),
    )
    return b"Exif\0\0II*\0\x08\0\0\0" + first + struct.pack("<H", 4) + b"".join(entries) + bytes(4) + degrees


def _xmp(attribute: str) -> bytes:
    spaces = " ".join(
        f'xmlns:{name}="{address}"'
        for name, address in {
            "rdf": "http://www.w3.org/1999/02/22-rdf-syntax-ns#",
            "xmp": "http://ns.adobe.com/xap/1.0/",
            "exif": "http://ns.adobe.com/exif/1.0/",
        }.items()
    )
    return f"<rdf:RDF {spaces}><rdf:Description {attribute}/></rdf:RDF>".encode()


def _write(folder: bytes) -> int:
    """Write the photos, each of a colour of its own, and what is no photo; return their number."""
    count = 0
    for name, options in photos():
        file = os.path.join(folder, name)
        os.makedirs(os.path.dirname(file), exist_ok=True)
        with open(file, "wb") as out:
            colour = (count * 5 % 256, count * 37 % 256, count * 91 % 256)
            Image.new("RGB", (40, 40), colour).save(
                out, "PNG" if file.endswith(b".png") else "JPEG", **options
            )
        count += 1
    for number, time in enumerate(TIMES):
        os.utime(os.path.join(folder, b"time%d.jpg" % number), (time, time))
    for number, text in enumerate(SIDECARS):
        Path(os.fsdecode(folder), f"takeout{number}.jpg.json").write_text(text)
    os.symlink(folder, os.path.join(folder, b"loop"))
    os.symlink(b"nothing.jpg", os.path.join(folder, b"dangling.jpg"))
    os.symlink(b"selflink.jpg", os.path.join(folder, b"selflink.jpg"))
    os.symlink(b"/dev/zero", os.path.join(folder, b"zero.jpg"))
    os.mkfifo(os.path.join(folder, b"fifo.jpg"))
    os.mkfifo(os.path.join(folder, b"time0.jpg.json"))
    os.mkdir(os.path.join(folder, b"folder.jpg"))
    return count


def test_every_file_is_found_by_every_command(tmp_path: Path, tiny_model: Path) -> None:
    shell = Shell(tmp_path, tiny_model, tmp_path / "home")
    (tmp_path / "any").mkdir()
    count = _write(os.fsencode(tmp_path / "any"))
    outputs = [shell.run("index", "any", "--gps", "--model", tiny_model)]
    assert f"{count} new" in outputs[0].stdout, outputs[0]
    listed = ("search", "cat", "-n", "-t", "500", "--duplicates")
    outputs += [shell.run(*listed), shell.run("status"), shell.run("classify", "any", "cat", "dog", "-n")]
    found = shell.run(*listed, "--json")
    outputs.append(found)
    matches = json.loads(found.stdout)["matches"]
    paths = {os.fsencode(match["path"]) for match in matches}
    assert len(paths) == count and all(map(os.path.isfile, paths))
    assert all(match["taken"] is None or len(match["taken"]) == 19 for match in matches)
    assert set(shell.run(*listed, "-0").stdout.split("\0")) == {*map(os.fsdecode, paths), ""}
    assert {row["path"] for row in _status(shell)} <= {str(tmp_path / "any" / "zero.jpg")}
    outputs += [
        shell.run("classify", "any", "--labels", "cat,d\x1b[31m\u202eog", "-n"),
        shell.run("duplicates", "any", "-n"),
        shell.run("duplicates", "any", "-n", "--json"),
        shell.run("search", "cat", "-n", "--label", "cat", "--csv"),
        shell.run("organize", "any", "sorted", "--by", "date", "-n"),
        shell.run("organize", "--undo", "sorted"),
        shell.run("check"),
        shell.run("export", "vectors.npz"),
        shell.run("import", "vectors.npz", "--library", "other", "--model", tiny_model),
        shell.run("backup", "backup"),
        shell.run("index", "any"),
    ]
    assert not (tmp_path / "sorted").exists()
    assert f"{count} unchanged" in outputs[-1].stdout
    for output in outputs:
        text = output.stdout + output.stderr
        assert all(each.isprintable() or each in "\n\u200d" for each in text), text[:3000]


def _status(shell: Shell) -> list[dict[str, str]]:
    failures: list[dict[str, str]] = json.loads(shell.run("status", "--json").stdout)["failures"]
    return failures
