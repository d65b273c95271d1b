"""Writes test photos: every format, odd modes, EXIF orientations, and files that are broken or hostile.

The picture is `quadrants()`: red and green above blue and yellow, so that any turn or flip shows in
`corners()`. Pixels of lossy formats are near, not equal.
"""

import base64
import io
import struct
import zlib
from typing import Any

from PIL import AvifImagePlugin, Image, ImageDraw, Jpeg2KImagePlugin, WebPImagePlugin  # noqa: F401  registers them

SIZE = (64, 48)
UPRIGHT = "RGBY"
COLOURS = {"R": (255, 0, 0), "G": (0, 255, 0), "B": (0, 0, 255), "Y": (255, 255, 0)}

# How a picture lies in a file of each EXIF orientation, as the transposition of the upright one.
STORED = {
    1: None,
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_90,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_270,
}

# Pillow's name of the format -> options that lose the least.
WRITERS: dict[str, dict[str, Any]] = {
    "JPEG": {"quality": 95, "subsampling": 0},
    "PNG": {},
    "WEBP": {"lossless": True},
    "GIF": {},
    "BMP": {},
    "TIFF": {},
    "JPEG2000": {"irreversible": False},
    "PPM": {},
    "AVIF": {"quality": 95},
}
FORMATS = (*WRITERS, "HEIF")
TURNABLE = ("JPEG", "PNG", "WEBP", "TIFF", "AVIF", "HEIF")
"""Formats that can carry an EXIF orientation."""


def quadrants(size: tuple[int, int] = SIZE) -> Image.Image:
    """The test picture, mode RGB."""
    width, height = size
    image = Image.new("RGB", size, COLOURS["R"])
    draw = ImageDraw.Draw(image)
    draw.rectangle((width // 2, 0, width, height // 2 - 1), fill=COLOURS["G"])
    draw.rectangle((0, height // 2, width // 2 - 1, height), fill=COLOURS["B"])
    draw.rectangle((width // 2, height // 2, width, height), fill=COLOURS["Y"])
    return image


def corners(image: Image.Image) -> str:
    """The colours near the corners of an RGB image, row by row, `RGBY` if upright; `?` is another colour."""
    width, height = image.size
    points = ((x, y) for y in (height // 8, height - height // 8) for x in (width // 8, width - width // 8))
    return "".join(_letter(image.getpixel(point)) for point in points)


def _letter(pixel: Any) -> str:
    near = (
        letter
        for letter, colour in COLOURS.items()
        if all(abs(a - b) < 40 for a, b in zip(pixel, colour, strict=True))
    )
    return next(near, "?")


def encode(format: str, image: Image.Image | None = None, **options: Any) -> bytes:
    """A file of `format`, of the test picture unless another is given."""
    if format == "HEIF":
        return heic()
    file = io.BytesIO()
    (image or quadrants()).save(file, format, **(WRITERS[format] | options))
    return file.getvalue()


def png_with(*chunks: tuple[bytes, bytes], end: bool = False) -> bytes:
    """The test picture as a PNG with more chunks, kind and content, before its pixels or at its end."""
    file = encode("PNG")
    at = file.index(b"IEND" if end else b"IDAT") - 4
    new = [
        struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))
        for kind, content in chunks
    ]
    return file[:at] + b"".join(new) + file[at:]


def exif(
    tags: dict[int, Any] | None = None,
    details: dict[int, Any] | None = None,
    gps: dict[int, Any] | None = None,
) -> bytes:
    """An EXIF block: tags of the first directory, of the Exif and of the GPS directory."""
    block = Image.Exif()
    block.update(tags or {})
    block.get_ifd(0x8769).update(details or {})
    block.get_ifd(0x8825).update(gps or {})
    return block.tobytes()


def turned(format: str, orientation: int) -> bytes:
    """A file whose pixels lie turned and whose tag says how: upright, it is the test picture."""
    if format == "HEIF":
        return heic(orientation)
    stored = STORED[orientation]
    image = quadrants() if stored is None else quadrants().transpose(stored)
    return encode(format, image, exif=exif({0x0112: orientation}))


def heic(orientation: int = 1) -> bytes:
    """A HEIC of 64 x 48 stored pixels with the given turn, in its own properties and in EXIF as Apple does.

    pi-heif does not write, so this is a file written once by pillow-heif (x265) with its `irot` angle and
    EXIF tag changed. Unlike `turned` of other formats, what is stored is always the upright test picture:
    see `HEIC_CORNERS`.
    """
    angle, mirrored = _HEIC_TURNS[orientation]
    file = bytearray(zlib.decompress(base64.b85decode(_HEIC_MIRRORED if mirrored else _HEIC)))
    file[file.index(b"irot") + 4] = angle
    file[file.index(b"\x01\x12\0\x03\0\0\0\x01\0") + 9] = orientation
    return bytes(file)


HEIC_CORNERS = {1: "RGBY", 2: "GRYB", 3: "YBGR", 4: "BYRG", 5: "RBGY", 6: "BRYG", 7: "YGBR", 8: "GYRB"}
"""What `heic` of each orientation shows when it is upright."""


def adobe_ycck(image: Image.Image) -> bytes:
    """A four-channel JPEG in YCCK, as Photoshop writes them, that shows the RGB `image`."""
    inverted = image.point(lambda value: 255 - value).convert("YCbCr")
    planes = [plane.point(lambda value: 255 - value) for plane in inverted.split()]
    file = bytearray(encode("JPEG", Image.merge("CMYK", [*planes, Image.new("L", image.size, 0)])))
    file[file.index(b"Adobe") + 11] = 2  # colour transform: YCCK
    return bytes(file)


def bomb(format: str) -> bytes:
    """A small file whose header promises more than 250 megapixels."""
    if format == "PPM":
        return b"P6 20000 20000 255\n" + bytes(100)
    if format == "PNG":
        return png_of(20000, 20000, bits=8, colour_type=2, rows=bytes(100))
    file = bytearray(encode(format, Image.new("RGB", SIZE)))
    if format == "JPEG":
        struct.pack_into(">HH", file, file.index(b"\xff\xc0") + 5, 60000, 60000)
    elif format == "GIF":
        struct.pack_into("<HH", file, 6, 60000, 60000)
    elif format == "BMP":
        struct.pack_into("<ii", file, 18, 20000, 20000)
    elif format == "TIFF":
        for tag in (256, 257):
            struct.pack_into("<I", file, file.index(struct.pack("<HHI", tag, 4, 1)) + 8, 20000)
    elif format == "WEBP":  # lossless: 14 bits of width - 1, 14 of height - 1
        struct.pack_into("<I", file, 21, 0x0FFFFFFF)
    elif format == "JPEG2000":
        struct.pack_into(">II", file, file.index(b"ihdr") + 4, 20000, 20000)
        struct.pack_into(">IIIIII", file, file.index(b"\xff\x51") + 6, 20000, 20000, 0, 0, 20000, 20000)
    elif format in ("AVIF", "HEIF"):
        struct.pack_into(">II", file, file.index(b"ispe") + 8, 16384, 16384)
        if format == "HEIF":  # "clap" crops what "ispe" declares
            struct.pack_into(">IIII", file, file.index(b"clap") + 4, 16384, 1, 16384, 1)
    return bytes(file)


def png_of(width: int, height: int, *, bits: int, colour_type: int, rows: bytes) -> bytes:
    """A PNG from its parts; each row of `rows` begins with its filter type, 0."""
    header = struct.pack(">IIBBBBB", width, height, bits, colour_type, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(rows)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(_png_chunk(kind, data) for kind, data in chunks)


def _png_chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def tiff_of(width: int, height: int, *, bits: int, rows: bytes, photometric: int = 1) -> bytes:
    """An uncompressed little-endian TIFF of one grey sample a pixel."""
    tags = {
        256: width,
        257: height,
        258: bits,
        259: 1,
        262: photometric,
        273: 0,
        277: 1,
        278: height,
        279: len(rows),
    }
    tags[273] = 8 + 2 + 12 * len(tags) + 4
    entries = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in tags.items())
    return b"II*\0" + struct.pack("<IH", 8, len(tags)) + entries + bytes(4) + rows


def with_exif(format: str, block: bytes) -> bytes:
    """A file that carries exactly these bytes as its EXIF block; Pillow would mend or refuse some of them."""
    if format == "PNG":
        file = encode("PNG")
        return file[:33] + _png_chunk(b"eXIf", block[6:]) + file[33:]
    if format == "JPEG":
        file = encode("JPEG")
        return file[:2] + b"\xff\xe1" + struct.pack(">H", len(block) + 2) + block + file[2:]
    placeholder = b"MM\0*\0\0\0\x08\0\0".ljust(len(block) - 6, b"P")
    return encode(format, exif=b"Exif\0\0" + placeholder).replace(placeholder, block[6:])


def with_tiff_tag(file: bytes, tag: int, value: int) -> bytes:
    """A little-endian TIFF whose one-value tag, whatever its type, is overwritten."""
    at = next(i for kind in (3, 4) if (i := file.find(struct.pack("<HHI", tag, kind, 1))) > 0)
    return file[: at + 8] + struct.pack("<I", value) + file[at + 12 :]


# Orientation -> `irot` quarter turns anticlockwise, and whether the file with `imir` (a flip) is used.
_HEIC_TURNS = {
    1: (0, False), 8: (1, False), 3: (2, False), 6: (3, False),
    2: (0, True), 7: (1, True), 4: (2, True), 5: (3, True),
}  # fmt: skip

_HEIC = (
    b"c-muNV30{GsVvAy%}izhg51nBLl8SRGck>Uf$>CcYDppk1Sn>t<P<^K3<a6VB@Af5Br_);Y>0~k0}}%yh{gB@LIc5UpcoJ^wZl"
    b"bffY>54GcOIy1Ida4IjLY}Ks6a<$%YI_f{Y*~t`(VJ<$ML1CAkbxm5l6}1w{ow_Or}_<a{7q2Gr}!$P5yi09GXTf#J{JA3qov_"
    b"?Z)cIwTwzc^Loy2Pt3%sbB^nxm`>Si9ks$Cq_mznFR`stkYgSS+;WrM}~m{P>2~sFeoMgm9x1p9xOi43A98wIX|Z;FFB_ID9X#"
    b"g)&LX|$t*5Ng?iTkiZzmR5(}VgP*4~^X>cI?|Ns93G%y4TGAlAcg3KHo96*XQvnam==pF{i%z|84q%bltvNbX>v$nJWIZ~NLsc"
    b"BFNzT}kRWN<Wq0!ThLB@q-~(=`~^3pYG9{Qm!Nul>vU{$KCRoV>!2`@iwy_k64Va~2(u?whCnRMGx^uKo479U2$(v!$-QzL~Xj"
    b"YvsBnXZLEz$}eeh`Li^l@9wp~y0QPu{QsUR<o~o>!+|9^NdM`92?gvwdi?B_#Z@%Ef1Ot;|HWiYUx(2peTBgJf68TxtpaDO>P_"
    b"Q}5-w|6_3m%>)~i>nLd=UV|9tZb<ajnn)cX1|XaRW~3@nWN;9y__Vmn3wFdGyME{sB;SOJAR14DZz0}C|xd_cbTP0UU$V(`sRN"
    b"zGA+0E$mw2I~_6;y94Jk%5t+m4UI9fr)~Fsg;45m4P_}0F~yh-v"
)
_HEIC_MIRRORED = (
    b"c-muNV30{GsVvAy%}izhg51nBLl8SRGck>Uf$>sqYDppk1Sn>t<P<^K3<a6VB@Af5Br_);Y>0~k0}}%yh{gB~LIc5UpcoJ^O@x"
    b"co0I@}8W?mYY2a**9a#F#{fNC<zk_{P<1Q|g}Tq`oc%J~X1OL7^YDj5Yc3yKPW?Dv@k$@xIK45-(ckr^a30jx;w1H+%cKYlPU@"
    b"G~a>bx1fc@-Y7Y4^qGkQo#&Da=Vxu5`mIhPK=CbG7A(MS*N{vvTWxLjtm0@pb#^NU{Fi~Dra+HJXn076KIKWa(+%xUUE(aP?VQ"
    b"}tpO+`l384k3iYl76l)~sBo;u~pr9~-(%?Y&|Ns97XkZ8wWL9K?1erNFIDiyqW>J0#GnkQ^Sp?D{m06GriycM=M)pP~X4aOrcC"
    b"buQY8q6AFFB<+85|*?ppwr`Nd(2*bPdM!!VOOizyCknYyWb-|JOS+C$BK%{%`#FJ>RPToJB{Z`{t=XRkXjKYkz%ihsFi{Y^f`+"
    b"Z)PpsTDfk?*}WRF@=Kar{w$5?yL;`gZtVXu|G%dS`9Ce!a9~Le(tmnjLIL}a9zT0!aTSg4U*}cIe=%9p*I{%?Um<Y*pK{q^tH9"
    b"Z+deb<ggv**%z5AQJ_39O?5cA^8Ki|A+13HZj63M>43|c@Q2LlTuKR7_xfY^>v0L%sjhzp|-D1Lz6Vr5`x&tzbM2BZ(j*S?9_s"
    b"YMLF`6;P63K2l@3Cv)9B0wAmk~cCiGPE)<wlXkLFfg?;Ftai+X8-{A{;^X"
)
