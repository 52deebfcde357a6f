import pytest
import torch

from mien.avatar.gaussians import Gaussians
from mien.avatar.phantom import phantom


def make(count: int, dtype: torch.dtype = torch.float64) -> Gaussians:
    ramp = torch.linspace(0.1, 0.9, count, dtype=dtype)
    return Gaussians(
        means=torch.stack([ramp.sin(), ramp.cos(), ramp], -1),
        quats=torch.stack([ramp, 1 - ramp, ramp * 0.3, -ramp], -1),
        scales=torch.stack([ramp, ramp * 2, ramp * 3], -1) * 0.01,
        opacities=ramp,
        colors=torch.stack([ramp, ramp**2, ramp**3], -1),
    )


def test_subset_takes_ids_in_their_order_and_masks() -> None:
    whole = make(7)
    picked = whole.subset(torch.tensor([5, 0]))
    torch.testing.assert_close(picked.means, whole.means[[5, 0]], rtol=0, atol=0)
    assert len(whole.subset(whole.opacities > 0.5)) == 3


def test_concatenate_undoes_cutting_in_two() -> None:
    whole = make(7)
    again = Gaussians.concatenate(
        [whole.subset(torch.arange(3)), whole.subset(torch.arange(3, 7))]
    )
    for name, value in vars(whole).items():
        torch.testing.assert_close(getattr(again, name), value, rtol=0, atol=0)


def test_no_gaussians_are_a_valid_set() -> None:
    assert len(make(0)) == 0
    assert len(Gaussians.concatenate([make(0), make(2)])) == 2


def test_to_changes_the_dtype_of_all_and_leaves_the_original() -> None:
    whole = make(3)
    single = whole.to(dtype=torch.float32)
    assert all(value.dtype == torch.float32 for value in vars(single).values())
    assert whole.means.dtype == torch.float64


@pytest.mark.parametrize("name", ["means", "quats", "scales", "opacities", "colors"])
def test_a_wrong_length_is_refused_by_name(name: str) -> None:
    parts = dict(vars(make(4)))
    parts[name] = parts[name][:3]
    wrong = "quats" if name == "means" else name
    with pytest.raises(ValueError, match=f"`{wrong}` must be"):
        Gaussians(**parts)


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("scales", -0.1, r"`scales` must lie in \[0, 1e\+06\]"),
        ("scales", float("nan"), "`scales` must lie in"),
        ("opacities", 1.5, r"`opacities` must lie in \[0, 1\], got 0.1 to 1.5"),
        ("means", float("inf"), "`means` must be finite"),
        ("colors", float("nan"), "`colors` must be finite"),
        ("quats", float("-inf"), "`quats` must be finite"),
    ],
)
def test_values_that_cannot_be_drawn_are_refused(name: str, value: float, message: str) -> None:
    parts = {key: tensor.clone() for key, tensor in vars(make(4)).items()}
    parts[name].view(-1)[-1] = value
    with pytest.raises(ValueError, match=message):
        Gaussians(**parts)


def test_mixed_and_integer_dtypes_are_refused() -> None:
    parts = dict(vars(make(4)))
    with pytest.raises(ValueError, match="`colors` must be floating point like `means`"):
        Gaussians(**{**parts, "colors": parts["colors"].float()})
    with pytest.raises(ValueError, match="must be floating point"):
        Gaussians(**{name: torch.ones_like(t, dtype=torch.int64) for name, t in parts.items()})


def test_concatenate_refuses_nothing() -> None:
    with pytest.raises(ValueError, match="at least one"):
        Gaussians.concatenate([])


def test_the_phantom_is_the_same_each_time_and_faces_outward() -> None:
    one, two = phantom(501), phantom(501)
    torch.testing.assert_close(one.colors, two.colors, rtol=0, atol=0)
    assert float(one.means.norm(dim=-1).max()) < 0.13
    assert not torch.equal(one.opacities, phantom(501, seed=1).opacities)
    with pytest.raises(ValueError, match="`count` must be at least 1, got 0"):
        phantom(0)


def test_the_flat_side_of_each_phantom_splat_lies_along_the_surface() -> None:
    from mien.avatar.reference import quat_to_rotmat

    shell = phantom(400)
    normals = quat_to_rotmat(shell.quats)[:, :, 2]
    assert float((normals * shell.means).sum(-1).min()) > 0
