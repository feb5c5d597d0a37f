"""Finds and reads pictures: the only file that knows containers, EXIF and bit depth.

A picture comes out upright, as [H, W, 3] uint8 RGB. Colour profiles are not applied,
nor were they when the face networks were trained.
"""

import os
import pathlib
import stat
import warnings
from collections.abc import Iterable, Iterator
from typing import BinaryIO, NamedTuple, NoReturn

import numpy as np
from PIL import Image, TiffImagePlugin, UnidentifiedImageError

from facedirs_jax.errors import InputError

MAX_PIXELS = 64_000_000  # lets a 50-megapixel phone through

SUFFIXES = frozenset(
    ".jpg .jpeg .jpe .png .webp .bmp .tif .tiff .pgm .ppm .pnm .pbm".split()
)
# Tried too: the row that says why such a picture is refused beats a silent skip.
OTHER_SUFFIXES = frozenset(
    ".jfif .mpo .apng .dib .pfm .gif .heic .heif .hif .avif .jxl .jp2 .j2k .jpx .ico "
    ".tga .psd .xcf .exr .hdr .svg .dng .cr2 .cr3 .nef .arw .orf .rw2 .raf".split()
)

_FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "TIFF", "PPM")  # JPEG includes MPO
_MODES = frozenset("1 L LA La P PA RGB RGBA CMYK YCbCr I;16 I;16B".split())

# What Pillow 13 raised on 767 000 cut and altered files of these formats, beside
# DecompressionBombError; UserWarning is a warning that `read_image` makes an error.
_PILLOW_ERRORS = (OSError, SyntaxError, TypeError, ValueError, UserWarning)

_ACCEPTED = (b"\xff\xd8", b"\x89PNG", b"RIFF", b"BM", b"II*\0", b"MM\0*")
_FOREIGN = (  # offset, bytes there, what that is
    (0, b"GIF8", "a GIF"),
    (4, b"ftypavi", "an AVIF picture"),
    (4, b"ftyphe", "a HEIC picture"),
    (4, b"ftypm", "a HEIC picture or video"),
    (4, b"ftyp", "a video or camera raw file"),
    (8, b"AVI ", "a video"),
    (0, b"\xff\x0a", "a JPEG XL picture"),
    (4, b"JXL ", "a JPEG XL picture"),
    (4, b"jP  ", "a JPEG 2000 picture"),
    (0, b"8BPS", "a Photoshop file"),
)
_TOO_MANY = f"more than the {MAX_PIXELS // 10**6} megapixels allowed; shrink it"

_TRANSPOSE = {  # EXIF orientation -> what sets it upright
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


class SourceError(InputError):
    """A file or folder to take pictures from is missing, unreadable or empty."""


class ImageError(ValueError):
    """A picture cannot be read; the message gives reason and remedy, not the path."""


class FoundFile(NamedTuple):
    """A file of the sources, which is to be skipped unless `is_picture`."""

    path: pathlib.Path
    is_picture: bool  # named as a source itself, or looks like a picture


def looks_like_picture(path: str | os.PathLike[str]) -> bool:
    """Tells whether a file has a picture's suffix, in any case, and is not hidden."""
    path = pathlib.Path(path)
    known = path.suffix.lower() in SUFFIXES | OTHER_SUFFIXES
    return known and not path.name.startswith(".")


def find_images(
    sources: str | os.PathLike[str] | Iterable[str | os.PathLike[str]],
) -> list[FoundFile]:
    """Lists the files of files and folders, sorted by path.

    Folders are entered at any depth, through links too, unless their name starts with
    a dot. A file that several paths lead to is listed once, by the first of them.

    Args:
        sources: one file or folder, or several.

    Returns:
        Every regular file, and links that lead nowhere, so that none goes unnoticed.

    Raises:
        SourceError: if there is no source, a source is missing, is neither file nor
            folder, or is a folder without pictures, or any folder cannot be read.
    """
    if isinstance(sources, str | os.PathLike):
        sources = [sources]
    found = [file for source in sources for file in _files_of(os.fspath(source))]
    if not found:
        raise SourceError("no source was given; name a picture or a folder of pictures")
    first: dict[str, FoundFile] = {}
    for file in sorted(found, key=lambda file: (file.path, not file.is_picture)):
        first.setdefault(os.path.realpath(file.path), file)
    return list(first.values())


def _files_of(source: str) -> list[FoundFile]:
    try:
        kind = os.stat(source).st_mode
    except OSError as error:
        _refuse(error)
    if stat.S_ISREG(kind):
        return [FoundFile(pathlib.Path(source), is_picture=True)]
    if not stat.S_ISDIR(kind):
        raise SourceError(f"'{source}' is neither a file nor a folder; name one")
    paths = [pathlib.Path(path) for path in _walk(source) if _is_file(path)]
    files = [FoundFile(path, looks_like_picture(path)) for path in paths]
    if not any(file.is_picture for file in files):
        raise SourceError(
            f"no picture in the folder '{source}'; it needs files that end in one of "
            f"{' '.join(sorted(SUFFIXES))}"
        )
    return files


def _walk(top: str) -> Iterator[str]:
    entered = {os.path.realpath(top)}  # ends the walk where links lead in circles
    for parent, folders, names in os.walk(top, onerror=_refuse, followlinks=True):
        kept = []
        for name in sorted(folders):
            real = os.path.realpath(os.path.join(parent, name))
            if not name.startswith(".") and real not in entered:
                entered.add(real)
                kept.append(name)
        folders[:] = kept
        yield from (os.path.join(parent, name) for name in names)


def _is_file(path: str) -> bool:
    try:
        return stat.S_ISREG(os.stat(path).st_mode)
    except PermissionError as error:  # perhaps a link to a folder
        _refuse(error)
    except OSError:
        return True  # reading it will tell what is wrong


def _refuse(error: OSError) -> NoReturn:
    raise SourceError(
        f"cannot read '{error.filename}' ({error.strerror}); correct the path or its "
        "permissions, or leave it out"
    ) from error


def read_image(path: str | os.PathLike[str]) -> np.ndarray:
    """Reads a JPEG, PNG, WebP, BMP, TIFF or PNM picture.

    EXIF orientation is applied, transparent pixels are laid over white, deeper grey is
    scaled to 8 bits, and of a phone's picture with a preview or gain map behind it
    (MPO) the picture is taken.

    Args:
        path: the file; its content decides how it is read, its suffix does not.

    Returns:
        [H, W, 3] uint8 RGB in [0, 255], of 1 to `MAX_PIXELS` pixels.

    Raises:
        ImageError: if the file cannot be opened, is no such picture, is damaged or cut
            short, too big, or holds several frames or values of unknown range.
    """
    head = b""
    try:
        with open(path, "rb") as file, warnings.catch_warnings():
            head = file.read(16)
            # By module: with threads, catch_warnings may restore the wrong filters.
            warnings.filterwarnings("ignore", module="PIL")
            if head[:2] in (b"II", b"MM"):  # a TIFF cut in its tags is only warned of
                warnings.filterwarnings("error", "Truncated File", module="PIL")
            return _decoded(file)
    except ImageError:
        raise
    except Image.DecompressionBombError as error:
        raise ImageError(f"has {_TOO_MANY}") from error
    except _PILLOW_ERRORS as error:
        raise ImageError(_reason(error, head)) from error


def _decoded(file: BinaryIO) -> np.ndarray:
    image = Image.open(file, formats=_FORMATS)
    _check_header(image)
    image.load()
    # ImageOps.exif_transpose would also rewrite all EXIF, and stumble over odd tags.
    # After load, since Pillow itself turns TIFF there and PNG may have its EXIF last.
    method = _TRANSPOSE.get(image.getexif().get(0x0112, 1))
    rgb = _rgb(image)
    return np.array(rgb if method is None else rgb.transpose(method))


def _check_header(image: Image.Image) -> None:
    width, height = image.size
    if width * height > MAX_PIXELS:
        raise ImageError(f"has {width} x {height} pixels, {_TOO_MANY}")
    frames = getattr(image, "n_frames", 1)
    if frames > 1 and image.format != "MPO":
        raise ImageError(f"holds {frames} frames; save the one you want as PNG")
    if isinstance(image, TiffImagePlugin.TiffImageFile):
        if image.tag_v2.get(254, 0) & 1:  # NewSubfileType: a reduced image
            raise ImageError("holds a preview only (camera raw?); save it as PNG")
    # PGM comes scaled to 16 bits; no other 32-bit integers have a known range.
    scaled = image.mode == "I" and image.format in ("PPM", "PNG")
    if image.mode not in _MODES and not scaled:
        raise ImageError(
            f"holds values of unknown range or colour (mode {image.mode}); save it as "
            "8-bit or 16-bit PNG"
        )


def _rgb(image: Image.Image) -> Image.Image:
    if image.mode.startswith("I"):
        return Image.fromarray(_grey(image)).convert("RGB")
    if image.mode == "La":
        image = image.convert("LA")
    if not image.has_transparency_data:
        return image.convert("RGB")
    rgba = image.convert("RGBA")
    rgb = Image.new("RGB", image.size, "white")
    rgb.paste(rgba, mask=rgba.getchannel("A"))
    return rgb


def _grey(image: Image.Image) -> np.ndarray:
    """[H, W] uint8 of a 12-bit or 16-bit grey image, scaled by its full range."""
    tags = image.tag_v2 if isinstance(image, TiffImagePlugin.TiffImageFile) else {}
    white = 4095 if tags.get(258) == (12,) else 65535  # BitsPerSample
    table = np.round(np.linspace(0, 255, white + 1)).astype(np.uint8)
    if tags.get(262) == 0:  # PhotometricInterpretation: 0 is white
        table = table[::-1]
    if "transparency" in image.info:
        table[image.info["transparency"]] = 255
    return table[np.asarray(image)]


def _reason(error: Exception, head: bytes) -> str:
    if isinstance(error, OSError) and error.strerror:
        return f"cannot be read ({error.strerror}); check the file and its permissions"
    if not head:
        return "is empty (0 bytes); copy it anew"
    for offset, magic, name in _FOREIGN:
        if head[offset:].startswith(magic):
            return f"is {name}, which is not read here; save it as PNG or JPEG"
    unidentified = isinstance(error, UnidentifiedImageError)
    if unidentified and not head.startswith(_ACCEPTED):
        return f"is no picture; expected one of {', '.join(_FORMATS)}"
    detail = "" if unidentified else f" ({error})"
    return f"is damaged or cut short{detail}; restore it, or save it anew as PNG"
