import struct
from pathlib import Path

import pytest
import torch

from mien.avatar.gaussians import Gaussians
from mien.avatar.phantom import phantom
from mien.avatar.ply import SH_C0, read_ply, write_ply


def test_what_is_written_is_read_back(tmp_path: Path) -> None:
    shell = phantom(57)
    write_ply(tmp_path / "head.ply", shell)
    again = read_ply(tmp_path / "head.ply")
    for name, value in vars(shell).items():
        # float32 logits and logarithms; worst relative difference seen 4e-7
        torch.testing.assert_close(getattr(again, name), value, rtol=2e-6, atol=2e-6)


def test_the_bytes_are_those_of_the_layout(tmp_path: Path) -> None:
    one = Gaussians(
        means=torch.tensor([[1.0, 2.0, 3.0]]),
        quats=torch.tensor([[0.0, 2.0, 0.0, 0.0]]),
        scales=torch.tensor([[1.0, torch.e, 1.0]]),
        opacities=torch.tensor([0.5]),
        colors=torch.tensor([[0.5, 0.5 + SH_C0, 0.5]]),
    )
    write_ply(tmp_path / "one.ply", one)
    header, data = (tmp_path / "one.ply").read_bytes().split(b"end_header\n")
    assert header.startswith(b"ply\nformat binary_little_endian 1.0\nelement vertex 1\n")
    names = [line.split()[-1] for line in header.decode().splitlines()[3:]]
    values = dict(zip(names, struct.unpack("<17f", data), strict=True))
    expected = {"x": 1, "y": 2, "z": 3, "f_dc_1": 1, "scale_1": 1, "rot_1": 1}
    assert values == pytest.approx({name: expected.get(name, 0.0) for name in names}, abs=1e-6)


def test_limits_of_opacity_and_scale_stay_finite(tmp_path: Path) -> None:
    hard = Gaussians(
        torch.zeros(2, 3),
        torch.eye(2, 4),
        torch.zeros(2, 3),
        torch.tensor([0.0, 1.0]),
        torch.ones(2, 3),
    )
    write_ply(tmp_path / "hard.ply", hard)
    again = read_ply(tmp_path / "hard.ply")
    torch.testing.assert_close(again.opacities, hard.opacities, rtol=0, atol=2e-6)
    assert 0 < float(again.scales.max()) <= 1.1e-9


def test_properties_of_captured_scenes_are_passed_over(tmp_path: Path) -> None:
    names = ["x", "y", "z", "f_dc_0", "f_dc_1", "f_dc_2", "f_rest_0", "opacity"]
    names += ["scale_0", "scale_1", "scale_2", "rot_0", "rot_1", "rot_2", "rot_3"]
    lines = ["ply", "format binary_little_endian 1.0", "comment made elsewhere"]
    lines += ["element vertex 1", *(f"property float {n}" for n in names), "end_header", ""]
    row = struct.pack("<15f", 1, 2, 3, 0, 0, 0, 99, 0, 0, 0, 0, 1, 0, 0, 0)
    (tmp_path / "scene.ply").write_bytes("\n".join(lines).encode() + row)
    scene = read_ply(tmp_path / "scene.ply")
    assert scene.means.tolist() == [[1, 2, 3]] and scene.colors.tolist() == [[0.5, 0.5, 0.5]]


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (b"ply\n", b"plo\n", "first line is `ply`"),
        (b"binary_little_endian", b"ascii", "binary little-endian"),
        (b"element vertex 5", b"element vertex -5", "element vertex N"),
        (b"element vertex 5", b"element vertex", "broken header line"),
        (b"element vertex 5", b"element vertex 6", "cut short"),
        (b"property float rot_3", b"property float rot_2", "has no rot_3"),
        (b"property float nx", b"property float x", "broken list"),
        (b"property float nx", b"property list uchar int nx", "not read: property list"),
        (b"end_header", b"end_heade", "no `end_header`"),
    ],
)
def test_broken_files_are_refused(tmp_path: Path, old: bytes, new: bytes, message: str) -> None:
    path = tmp_path / "broken.ply"
    write_ply(path, phantom(5))
    data = path.read_bytes()
    assert old in data
    path.write_bytes(data.replace(old, new))
    with pytest.raises(ValueError, match=message):
        read_ply(path)


def test_a_missing_file_and_an_empty_one_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no file"):
        read_ply(tmp_path / "none.ply")
    (tmp_path / "empty.ply").touch()
    with pytest.raises(ValueError, match="first line is `ply`"):
        read_ply(tmp_path / "empty.ply")
