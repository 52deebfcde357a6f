"""Photos of every make are read alike, or refused in one line before they are decoded."""

import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mien.avatar.photo_file import MIN_SIDE, read_photo


def wedge(height: int = 80, width: int = 100) -> np.ndarray:
    """Red grows to the right, green downward."""
    down, across = np.mgrid[0:height, 0:width]
    return np.stack([across * 2, down * 2, np.full_like(down, 60)], -1).astype(np.uint8)


def png_header(width: int, height: int) -> bytes:
    """A PNG that says how large it is and holds nothing."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return (
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        )

    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", b"") + chunk(b"IEND", b"")


def test_a_plain_photo_comes_back_bit_for_bit(tmp_path: Path) -> None:
    Image.fromarray(wedge()).save(tmp_path / "a.png")
    assert (read_photo(tmp_path / "a.png") == wedge()).all()


@pytest.mark.parametrize("suffix", ["jpg", "webp", "bmp", "tif"])
def test_other_formats_are_read(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"a.{suffix}"
    Image.fromarray(wedge()).save(path, quality=95)
    off = np.abs(read_photo(path).astype(int) - wedge()).mean()
    assert off < 4


def test_a_photo_is_known_by_its_content_not_its_name(tmp_path: Path) -> None:
    Image.fromarray(wedge()).save(tmp_path / "a.jpg", format="PNG")
    assert (read_photo(tmp_path / "a.jpg") == wedge()).all()


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_photo_is_turned_as_its_camera_says(tmp_path: Path, orientation: int) -> None:
    undo = {2: 0, 3: 3, 4: 1, 5: 5, 6: 2, 7: 6, 8: 4}  # Pillow's transposes
    stored = Image.fromarray(wedge())
    if orientation in undo:
        stored = stored.transpose(Image.Transpose(undo[orientation]))
    exif = Image.Exif()
    exif[0x0112] = orientation
    stored.save(tmp_path / "a.png", exif=exif)
    assert (read_photo(tmp_path / "a.png") == wedge()).all()


def test_what_shines_through_is_white(tmp_path: Path) -> None:
    alpha = np.full((80, 100, 1), 255, np.uint8)
    alpha[:, :50] = 0
    Image.fromarray(np.concatenate([wedge(), alpha], -1)).save(tmp_path / "a.png")
    read = read_photo(tmp_path / "a.png")
    assert (read[:, :50] == 255).all() and (read[:, 50:] == wedge()[:, 50:]).all()


def test_grey_palette_and_cmyk_become_rgb(tmp_path: Path) -> None:
    Image.fromarray(wedge()[..., 0]).save(tmp_path / "grey.png")
    assert (read_photo(tmp_path / "grey.png") == wedge()[..., :1]).all()
    Image.fromarray(wedge()).quantize(64).save(tmp_path / "palette.png")
    assert read_photo(tmp_path / "palette.png").shape == (80, 100, 3)
    Image.fromarray(wedge()).convert("CMYK").save(tmp_path / "cmyk.jpg", quality=95)
    off = np.abs(read_photo(tmp_path / "cmyk.jpg").astype(int) - wedge()).mean()
    assert off < 6


def test_sixteen_bits_and_floats_are_refused(tmp_path: Path) -> None:
    Image.fromarray(wedge()[..., 0].astype(np.uint16) * 256).save(tmp_path / "deep.png")
    with pytest.raises(ValueError, match="must have 8 bits a channel"):
        read_photo(tmp_path / "deep.png")
    Image.fromarray(wedge()[..., 0].astype(np.float32)).save(tmp_path / "float.tif")
    with pytest.raises(ValueError, match="must have 8 bits a channel"):
        read_photo(tmp_path / "float.tif")


def test_a_tiny_photo_is_refused(tmp_path: Path) -> None:
    Image.new("RGB", (10, 10)).save(tmp_path / "a.png")
    with pytest.raises(ValueError, match=f"at least {MIN_SIDE} pixels wide and high, got 10x10"):
        read_photo(tmp_path / "a.png")


@pytest.mark.parametrize("size", [(10_000, 10_000), (60_000, 60_000)])
def test_a_huge_photo_is_refused_before_it_is_decoded(
    tmp_path: Path, size: tuple[int, int]
) -> None:
    (tmp_path / "a.png").write_bytes(png_header(*size))  # decoding it would fail otherwise
    with pytest.raises(ValueError, match="at most 50 megapixels|exceeds limit") as refusal:
        read_photo(tmp_path / "a.png")
    assert "\n" not in str(refusal.value)


def test_what_is_no_photo_is_refused(tmp_path: Path) -> None:
    (tmp_path / "letter.jpg").write_text("dear diary")
    with pytest.raises(ValueError, match="letter.jpg' is not a photo that can be read"):
        read_photo(tmp_path / "letter.jpg")
    with pytest.raises(ValueError, match="There is no file"):
        read_photo(tmp_path / "missing.jpg")
    (tmp_path / "folder.jpg").mkdir()
    with pytest.raises(ValueError, match="must be a file"):
        read_photo(tmp_path / "folder.jpg")


def test_a_damaged_photo_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.jpg"
    Image.fromarray(wedge()).save(path)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(ValueError, match="not a photo that can be read"):
        read_photo(path)


def test_several_frames_are_refused(tmp_path: Path) -> None:
    frames = [Image.fromarray(wedge()), Image.fromarray(255 - wedge())]
    frames[0].save(tmp_path / "a.webp", save_all=True, append_images=frames[1:])
    with pytest.raises(ValueError, match="must be one picture, got 2 frames"):
        read_photo(tmp_path / "a.webp")
