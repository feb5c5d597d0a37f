import io
import os
import pathlib
import struct
import subprocess
import sys
import warnings
import zlib

import cv2
import numpy as np
import pytest
from PIL import Image, ImageFile

from facedirs_jax import images

HEIGHT, WIDTH = 24, 32
FACE = np.random.default_rng(0).integers(0, 256, (HEIGHT, WIDTH, 3), np.uint8)
FACE[-1, -1] = 7  # one digit, so that a plain PPM cannot lose part of its last number
GREY = FACE[..., 1]
DEEP = (GREY.astype(np.uint16) << 8) + FACE[..., 0]  # 16 bits

UPRIGHT_TO_STORED = {  # EXIF 2.32, tag 274: what the stored row 0 and column 0 show
    1: lambda a: a,
    2: lambda a: a[:, ::-1],
    3: lambda a: a[::-1, ::-1],
    4: lambda a: a[::-1],
    5: lambda a: a.transpose(1, 0, 2),
    6: lambda a: np.rot90(a),
    7: lambda a: a[::-1, ::-1].transpose(1, 0, 2),
    8: lambda a: np.rot90(a, -1),
}


def encoded(pixels: np.ndarray | Image.Image, container: str, **options) -> bytes:
    opened = pixels if isinstance(pixels, Image.Image) else Image.fromarray(pixels)
    target = io.BytesIO()
    opened.save(target, container, **options)
    return target.getvalue()


def oriented(orientation: int) -> Image.Exif:
    exif = Image.Exif()
    exif[274] = orientation
    exif[271] = "a maker whose name lies behind the tags"
    return exif


def chunk(kind: bytes, content: bytes) -> bytes:
    crc = zlib.crc32(kind + content)
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", crc)


def bomb(width: int, height: int) -> bytes:
    """A whole 1-bit PNG, black, of a few kilobytes."""
    rows = zlib.compress(bytes((1 + width // 8) * height))
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


def retagged(tiff: bytes, tag: int, old: int, new: int) -> bytes:
    """Changes the value of a SHORT tag in a little-endian TIFF."""
    before, after = (struct.pack("<HHIHH", tag, 3, 1, v, 0) for v in (old, new))
    assert tiff.count(before) == 1
    return tiff.replace(before, after)


def plain(magic: str, values: np.ndarray) -> bytes:
    numbers = "\n".join(" ".join(map(str, row.ravel())) for row in values)
    top = "" if magic == "P1" else "255\n"
    return f"{magic}\n# a comment\n{WIDTH} {HEIGHT}\n{top}{numbers}".encode()


def samples() -> dict[str, bytes]:
    """One whole file of each accepted kind, by name."""
    face = Image.fromarray(FACE)
    others = [face.rotate(180)]
    found = {
        "jpeg": encoded(face, "JPEG", exif=oriented(6)),
        "jpeg_progressive": encoded(face, "JPEG", progressive=True),
        "jpeg_cmyk": encoded(face.convert("CMYK"), "JPEG"),
        "jpeg_mpo": encoded(face, "MPO", save_all=True, append_images=others),
        "png_16": encoded(DEEP, "PNG"),
        "png_clear": encoded(face.quantize(9), "PNG", transparency=bytes(range(9))),
        "webp": encoded(face, "WEBP", exif=oriented(6)),
        "webp_lossless": encoded(face.convert("RGBA"), "WEBP", lossless=True),
        "tiff_16": encoded(DEEP, "TIFF"),
        "tiff_16_big_endian": encoded(DEEP.astype(">u2"), "TIFF"),
        "tiff_cmyk": encoded(face.convert("CMYK"), "TIFF"),
        "tiff_ycbcr": encoded(face.convert("YCbCr"), "TIFF"),
        "tiff_jpeg": encoded(face, "TIFF", compression="jpeg"),
        "tiff_lzw": encoded(face, "TIFF", compression="tiff_lzw", exif=oriented(6)),
        "tiff_fax": encoded(
            face.convert("1"), "TIFF", compression="group4", exif=oriented(6)
        ),
        "pgm_16": encoded(DEEP, "PPM"),
        "pbm_plain": plain("P1", GREY // 128),
        "pgm_plain": plain("P2", GREY),
        "ppm_plain": plain("P3", FACE),
    }
    for mode in ("1", "L", "P", "LA", "RGB", "RGBA"):
        found[f"png_{mode}"] = encoded(face.convert(mode), "PNG")
        found[f"tiff_{mode}"] = encoded(face.convert(mode), "TIFF")
    for mode in ("1", "L", "P", "RGB", "RGBA"):
        found[f"bmp_{mode}"] = encoded(face.convert(mode), "BMP")
    for mode in ("1", "L", "RGB"):
        found[f"pnm_{mode}"] = encoded(face.convert(mode), "PPM")
    return found


SAMPLES = samples()


@pytest.fixture
def read(tmp_path):
    """Writes bytes to a file and reads it as an image."""

    def write_and_read(content: bytes, name: str = "face.jpg") -> np.ndarray:
        (tmp_path / name).write_bytes(content)
        return images.read_image(tmp_path / name)

    return write_and_read


def grey_rgb(grey: np.ndarray) -> np.ndarray:
    return np.repeat(grey[..., None], 3, axis=-1).astype(np.uint8)


LOSSLESS = {  # sample -> what it shows
    "png_RGB": FACE,
    "png_RGBA": FACE,
    "png_L": grey_rgb(np.asarray(Image.fromarray(FACE).convert("L"))),
    "png_16": grey_rgb(np.round(DEEP / 257)),
    "webp_lossless": FACE,
    "bmp_RGB": FACE,
    "bmp_RGBA": FACE,
    "tiff_RGB": FACE,
    "tiff_RGBA": FACE,
    "tiff_16": grey_rgb(np.round(DEEP / 257)),
    "tiff_16_big_endian": grey_rgb(np.round(DEEP / 257)),
    "tiff_lzw": np.rot90(FACE, -1),
    "pnm_RGB": FACE,
    "ppm_plain": FACE,
    "pgm_plain": grey_rgb(GREY),
    "pgm_16": grey_rgb(np.round(DEEP / 257)),
    "pbm_plain": grey_rgb(255 * (GREY < 128)),
}


@pytest.mark.parametrize("name", LOSSLESS)
def test_lossless_pictures_come_out_exactly(read, name):
    found = read(SAMPLES[name])
    assert found.dtype == np.uint8 and found.flags.writeable
    np.testing.assert_array_equal(found, LOSSLESS[name])


# OpenCV drops alpha, and does not take the comment of a plain PGM or PPM.
@pytest.mark.parametrize(
    "name", sorted(SAMPLES.keys() - {"png_clear", "pgm_plain", "ppm_plain"})
)
def test_accepted_kinds_look_as_they_do_to_opencv(read, name):
    stored = np.frombuffer(SAMPLES[name], np.uint8)
    expected = cv2.imdecode(stored, cv2.IMREAD_COLOR_RGB)
    assert expected is not None
    # 1 for the rounding of 16 bits and of CMYK, 1 for another build of libjpeg
    np.testing.assert_allclose(read(SAMPLES[name]), expected, rtol=0, atol=2)


@pytest.mark.parametrize("orientation", UPRIGHT_TO_STORED)
@pytest.mark.parametrize(
    "container, options",
    [("PNG", {}), ("WEBP", {"lossless": True}), ("TIFF", {}), ("JPEG", {})],
)
def test_exif_orientation_is_applied(read, container, options, orientation):
    upright = FACE
    if container == "JPEG":  # flat blocks of 8 pixels, which it stores without loss
        upright = np.kron(GREY[:4, :3], np.ones((8, 8)))[..., None].astype(np.uint8)
        upright = upright.repeat(3, axis=-1)
    stored = np.ascontiguousarray(UPRIGHT_TO_STORED[orientation](upright))
    content = encoded(stored, container, exif=oriented(orientation), **options)
    np.testing.assert_allclose(read(content), upright, rtol=0, atol=3)


def test_an_odd_exif_tag_does_not_cost_the_picture(read):
    exif = oriented(6)
    exif[296] = 2
    content = encoded(FACE, "JPEG", exif=exif)
    short, text = struct.pack(">HH", 296, 3), struct.pack(">HH", 296, 2)
    assert content.count(short) == 1
    # ImageOps.exif_transpose of Pillow 13 fails to write such a tag back
    assert read(content.replace(short, text)).shape == (WIDTH, HEIGHT, 3)


def test_deep_grey_keeps_black_white_and_all_between(read):
    ramp = np.arange(65536, dtype=np.uint16).reshape(256, 256)
    expected = grey_rgb(np.round(ramp / 257))
    for container in ("PNG", "TIFF", "PPM"):
        np.testing.assert_array_equal(read(encoded(ramp, container)), expected)


def test_a_16_bit_tiff_may_store_white_as_zero(read):
    content = retagged(SAMPLES["tiff_16"], tag=262, old=1, new=0)
    expected = 255 - np.round(DEEP / 257)
    np.testing.assert_array_equal(read(content), grey_rgb(expected))


def test_a_12_bit_tiff_is_scaled_by_its_own_range(read):
    content = encoded(np.full((2, 2), 0xFFFF, np.uint16), "TIFF")
    found = read(retagged(content, tag=258, old=16, new=12))
    np.testing.assert_array_equal(found, 255)


def test_a_pgm_is_scaled_by_its_own_range(read):
    content = b"P5 3 1 1000\n" + np.array([0, 500, 1000], ">u2").tobytes()
    np.testing.assert_array_equal(read(content)[0, :, 0], [0, 128, 255])


@pytest.mark.parametrize("mode", ["LA", "RGBA"])
@pytest.mark.parametrize("container", ["PNG", "TIFF", "WEBP"])
def test_transparent_pixels_are_laid_over_white(read, mode, container):
    options = {"lossless": True, "exact": True} if container == "WEBP" else {}
    rgba = np.dstack([GREY, GREY, GREY, FACE[..., 2]])
    pixels = Image.fromarray(rgba).convert(mode)
    alpha = rgba[..., 3] / 255
    expected = grey_rgb(np.round(GREY * alpha + 255 * (1 - alpha)))
    found = read(encoded(pixels, container, **options))
    np.testing.assert_allclose(found, expected, rtol=0, atol=1)  # Pillow's rounding


def test_a_tiff_may_store_grey_already_multiplied_by_alpha(read):
    content = encoded(Image.new("LA", (2, 2), (50, 100)), "TIFF")
    found = read(retagged(content, tag=338, old=2, new=1))
    np.testing.assert_allclose(found, 50 + (255 - 100), rtol=0, atol=1)


def test_a_transparent_colour_turns_white(read):
    colours = Image.fromarray(np.array([[0, 1, 2]], np.uint8))
    colours.putpalette([10, 20, 30, 40, 50, 60, 70, 80, 90])
    expected = [[10, 20, 30], [255, 255, 255], [70, 80, 90]]
    found = read(encoded(colours, "PNG", transparency=1))
    np.testing.assert_array_equal(found[0], expected)
    deep = read(encoded(np.array([[0, 257, 514]], np.uint16), "PNG", transparency=257))
    np.testing.assert_array_equal(deep[0, :, 0], [0, 255, 2])


def test_a_phone_picture_with_a_second_one_behind_it_is_read(read, tmp_path):
    second = Image.fromarray(255 - FACE)
    content = encoded(FACE, "MPO", save_all=True, append_images=[second])
    with Image.open(io.BytesIO(content)) as opened:
        assert opened.format == "MPO"
    np.testing.assert_array_equal(read(content), read(encoded(FACE, "JPEG")))


def test_one_pixel_is_enough(read):
    assert read(encoded(FACE[:1, :1], "PNG")).shape == (1, 1, 3)


@pytest.mark.parametrize("container", ["PNG", "WEBP", "TIFF"])
def test_several_frames_are_refused(read, container):
    others = [Image.fromarray(FACE).rotate(angle) for angle in range(30, 360, 30)]
    content = encoded(FACE, container, save_all=True, append_images=others)
    with pytest.raises(images.ImageError, match="holds 12 frames; save the one you"):
        read(content)


@pytest.mark.parametrize(
    "content, reason",
    [
        (b"", "is empty"),
        (b"To whom it may concern", "is no picture; expected one of JPEG, PNG"),
        (encoded(FACE, "GIF"), "is a GIF, .* save it as PNG"),
        (encoded(FACE, "GIF", save_all=True, append_images=[]), "is a GIF"),
        (encoded(FACE, "AVIF"), "is an AVIF picture"),
        (encoded(FACE, "JPEG2000"), "is a JPEG 2000 picture"),
        (b"\0\0\0\x18ftypheic\0\0\0\0mif1heic", "is a HEIC picture, .* save it as"),
        (b"\0\0\0\x18ftypmif1\0\0\0\0mif1heic", "is a HEIC picture or video"),
        (b"\0\0\0\x18ftypisom\0\0\0\0isomavc1", "is a video or camera raw file"),
        (b"\xff\x0a\xfa\x1f\x41", "is a JPEG XL picture"),
        (b"\xff\xd8\xff\xe0 and no more", "is damaged or cut short.*; restore it"),
        (SAMPLES["webp"].replace(b"MM\0*", b"MM\0?"), "is damaged.*not a TIFF"),
        (encoded(GREY.astype(np.float32), "TIFF"), "values of unknown range.*mode F"),
        (encoded(GREY.astype(np.int32), "TIFF"), "values of unknown range.*mode I"),
        (encoded(GREY.astype(np.float32), "PPM"), "values of unknown range.*mode F"),
        (encoded(Image.new("LAB", (9, 9)), "TIFF"), "range or colour .mode LAB"),
        (encoded(FACE, "TIFF", tiffinfo={254: 1}), "holds a preview only"),
    ],
)
def test_the_reason_of_a_refusal_is_told(read, content, reason):
    with pytest.raises(images.ImageError, match=reason):
        read(content)


def test_a_missing_file_and_a_folder_are_refused(tmp_path):
    with pytest.raises(images.ImageError, match=r"No such file.*check the"):
        images.read_image(tmp_path / "gone.jpg")
    with pytest.raises(images.ImageError, match="Is a directory"):
        images.read_image(tmp_path)


def test_the_pixel_cap_is_exact(read, monkeypatch):
    monkeypatch.setattr(images, "MAX_PIXELS", WIDTH * HEIGHT)
    assert read(encoded(FACE, "PNG")).shape == FACE.shape
    with pytest.raises(images.ImageError, match=r"33 x 24 pixels, more than.*shrink"):
        read(encoded(np.zeros((HEIGHT, WIDTH + 1), np.uint8), "PNG"))


def test_a_50_megapixel_phone_passes(read):
    assert read(bomb(8160, 6120)).shape == (6120, 8160, 3)


def test_bombs_are_refused_without_warning_or_memory(tmp_path):
    # Pillow says nothing of the first, warns of the second and raises on the third.
    for height in (7000, 10000, 20000):
        (tmp_path / f"{height}.png").write_bytes(bomb(10000, height))
    script = """
import resource, sys, warnings
from facedirs_jax import images
warnings.simplefilter("error")
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
for path in sys.argv[1:]:
    try:
        images.read_image(path)
    except images.ImageError as error:
        print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / before, error)
"""
    files = sorted(tmp_path.iterdir())
    command = [sys.executable, "-c", script, *files]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    refusals = done.stdout.splitlines()
    assert len(refusals) == 3 and not done.stderr
    for refusal in refusals:
        growth, reason = refusal.split(maxsplit=1)
        assert float(growth) < 1.5  # decoded, the least of them would take 490 MB
        assert "more than the 64 megapixels allowed; shrink it" in reason


@pytest.mark.parametrize("name", SAMPLES)
def test_a_cut_file_is_refused_or_still_whole(read, name):
    content = SAMPLES[name]
    whole = read(content)
    ends = {*range(40), *range(40, len(content), 101)}
    for end in sorted(ends | set(range(max(len(content) - 40, 0), len(content)))):
        try:
            found = read(content[:end])
        except images.ImageError as error:
            assert ";" in str(error)  # reason; remedy
        else:
            np.testing.assert_array_equal(found, whole)


@pytest.mark.parametrize("name", SAMPLES)
def test_an_altered_file_is_refused_or_read(read, name, monkeypatch):
    monkeypatch.setattr(images, "MAX_PIXELS", 100 * WIDTH * HEIGHT)
    rng = np.random.default_rng(zlib.crc32(name.encode()))
    for _ in range(60):
        content = bytearray(SAMPLES[name])
        for place in rng.integers(min(len(content), rng.choice([200, 9999])), size=3):
            content[place] = rng.integers(256)
        try:
            found = read(bytes(content))
        except images.ImageError:
            continue
        assert found.ndim == 3 and found.shape[2] == 3 and found.dtype == np.uint8


def test_reading_leaves_pillow_and_warnings_as_they_were(read):
    before = warnings.filters[:]
    read(SAMPLES["jpeg"])
    assert warnings.filters == before
    assert not ImageFile.LOAD_TRUNCATED_IMAGES


@pytest.fixture
def folder(tmp_path) -> pathlib.Path:
    for name in ("b.PNG", "a/c.jpg", "a/d/e.tif", "labels.csv", ".hidden.jpg"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / ".thumbnails").mkdir()
    (tmp_path / ".thumbnails" / "f.jpg").touch()
    return tmp_path


def names(found: list[images.FoundFile], folder: pathlib.Path) -> list[str]:
    return [file.path.relative_to(folder).as_posix() for file in found]


def test_folders_are_searched_at_any_depth_in_order(folder):
    found = images.find_images(folder)
    expected = [".hidden.jpg", "a/c.jpg", "a/d/e.tif", "b.PNG", "labels.csv"]
    assert names(found, folder) == expected
    assert [file.is_picture for file in found] == [False, True, True, True, False]
    assert images.find_images(str(folder)) == found


def test_a_file_named_as_a_source_is_a_picture_whatever_its_name(folder):
    sources = [folder / "labels.csv", folder]
    for order in (sources, sources[::-1]):
        found = images.find_images(order)
        assert names(found, folder)[-1] == "labels.csv" and found[-1].is_picture


def test_a_file_named_twice_is_listed_once(folder, monkeypatch):
    once = images.find_images([folder / "b.PNG", folder / "a"])
    assert names(once, folder) == ["a/c.jpg", "a/d/e.tif", "b.PNG"]
    (folder / "again.png").symlink_to("b.PNG")
    (folder / "same").symlink_to("a")
    monkeypatch.chdir(folder)
    sources = [folder / "b.PNG", folder / "a", folder / "again.png", folder / "same"]
    assert len(images.find_images([*sources, "b.PNG", "./a/../b.PNG"])) == 3


def test_circles_of_links_end(folder):
    (folder / "a" / "up").symlink_to(folder)
    (folder / "a" / "round").symlink_to("../a")
    (folder / "a" / "self.jpg").symlink_to("self.jpg")
    (folder / "a" / "gone.jpg").symlink_to("nowhere.jpg")
    found = names(images.find_images(folder), folder)
    links = ["a/gone.jpg", "a/self.jpg"]
    expected = [".hidden.jpg", "a/c.jpg", "a/d/e.tif", *links, "b.PNG", "labels.csv"]
    assert found == expected
    with pytest.raises(images.ImageError, match="cannot be read"):
        images.read_image(folder / "a" / "self.jpg")


def test_linked_folders_are_entered(folder, tmp_path_factory):
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    (elsewhere / "g.webp").touch()
    (folder / "link").symlink_to(elsewhere)
    assert "link/g.webp" in names(images.find_images(folder), folder)


def test_what_is_no_regular_file_is_left_out(folder):
    os.mkfifo(folder / "pipe.jpg")
    assert "pipe.jpg" not in names(images.find_images(folder), folder)
    with pytest.raises(images.SourceError, match=r"pipe.jpg' is neither a file nor"):
        images.find_images(folder / "pipe.jpg")


@pytest.mark.parametrize("name", ["x.JPG", "x.heic", "x.gif", "x.pbm", "a.b/x.tiff"])
def test_suffixes_of_pictures_are_known(name):
    assert images.looks_like_picture(name)


@pytest.mark.parametrize("name", ["labels.csv", "Thumbs.db", ".x.jpg", "jpg", "x.jpg~"])
def test_other_files_do_not_look_like_pictures(name):
    assert not images.looks_like_picture(name)


def test_missing_and_empty_sources_are_refused(folder):
    with pytest.raises(images.SourceError, match=r"gone' .No such file.*correct the"):
        images.find_images([folder, folder / "gone"])
    (folder / "empty").mkdir()
    (folder / "empty" / "labels.csv").touch()
    with pytest.raises(images.SourceError, match=r"empty'; it needs .* \.jpg "):
        images.find_images([folder, folder / "empty"])
    with pytest.raises(images.SourceError, match="no source was given"):
        images.find_images([])


# Tests may run as root, whom no permission stops: so the system call is made to fail.
@pytest.mark.parametrize("call", ["scandir", "stat"])
def test_a_folder_that_cannot_be_read_is_never_skipped(folder, monkeypatch, call):
    locked, untouched = str(folder / "a" / "d"), getattr(os, call)
    if call == "stat":  # a link to what lies in a locked folder
        locked = str(folder / "a" / "link")
        os.symlink("nowhere", locked)

    def refuse(path, *args, **kwargs):
        if os.fspath(path) == locked:
            raise PermissionError(13, "Permission denied", locked)
        return untouched(path, *args, **kwargs)

    monkeypatch.setattr(os, call, refuse)
    with pytest.raises(images.SourceError, match=r"'.*' .Permission denied.*leave it"):
        images.find_images(folder)
