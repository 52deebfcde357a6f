import warnings
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from mien.avatar import reference
from mien.avatar.gaussians import Gaussians
from mien.avatar.phantom import phantom
from mien.avatar.render import Image, render, render_cameras
from mien.camera import Camera

NAMES = ("means", "quats", "scales", "opacities", "colors")
BACKGROUND = (0.2, 0.5, 0.9)
CAMERA = Camera.portrait(37, 33, yaw=0.3, pitch=-0.1)

Pictures = tuple[Tensor, ...]


def changed(shell: Gaussians, **factors: Any) -> Gaussians:
    return Gaussians(*(value * factors.get(name, 1.0) for name, value in vars(shell).items()))


def scene(name: str) -> tuple[Gaussians, Camera]:
    """Dozens of Gaussians on several tiles; quaternions are no units."""
    shell = changed(phantom(60), quats=1.7)
    close = Camera.look_at((0.01, 0.0, 0.04), (0.0, 0.02, -0.1), fov_deg=60, width=32, height=32)
    solid = torch.tensor([1.0, 0.0]).repeat(30)
    opaque = Gaussians(
        shell.means, shell.quats, shell.scales * 3, shell.opacities.clamp(min=solid), shell.colors
    )
    return {
        "a head": (shell, CAMERA),
        "glass": (changed(shell, opacities=0.1, scales=2.0), CAMERA),
        "needles": (changed(shell, scales=torch.tensor([4.0, 0.15, 1.0])), CAMERA),
        "dust and what no one sees": (changed(shell, scales=0.05, opacities=solid), CAMERA),
        "opaque: full pixels, alpha at its limit": (opaque, CAMERA),
        "inside the head: behind and beside the camera": (changed(shell, scales=1.5), close),
        "one pixel": (shell, Camera.portrait(1, 1)),
    }[name]


SCENES = [
    "a head",
    "glass",
    "needles",
    "dust and what no one sees",
    "opaque: full pixels, alpha at its limit",
    "inside the head: behind and beside the camera",
    "one pixel",
]


def weigh(drawn: Pictures, mask: Tensor) -> Tensor:
    """Gives a loss to which every pixel and channel adds with another weight."""
    total = drawn[0].new_zeros(())
    for k, picture in enumerate(drawn):
        weights = torch.linspace(-5, 7 + k, picture.numel()).sin().view_as(picture)
        kept = mask if picture.ndim == mask.ndim else mask[..., None]
        total = total + (picture * (weights * kept).to(picture)).sum()
    return total


def pictures(drawn: Image) -> Pictures:
    assert drawn.depth is not None
    return drawn.image, drawn.alpha, drawn.depth


def gradients(
    shell: Gaussians, draw: Callable[[Gaussians], Pictures], mask: Tensor
) -> list[Tensor]:
    leaves = [value.detach().clone().requires_grad_() for value in vars(shell).values()]
    return list(torch.autograd.grad(weigh(draw(Gaussians(*leaves)), mask), leaves))


def assert_near(ours: list[Tensor], exact: list[Tensor], share: float = 1e-4) -> None:
    """Compares against the greatest gradient of a kind; seen: 2e-5 at most (Zen 4)."""
    for one, two in zip(ours, exact, strict=True):
        assert torch.isfinite(one).all()
        scale = float(two.abs().max())
        torch.testing.assert_close(one.double(), two, rtol=1e-3, atol=share * scale + 1e-7)


def clear_of_thresholds(shell: Gaussians, camera: Camera) -> Tensor:
    """Finds pixels that float32 draws as float64 does; elsewhere one threshold fell otherwise."""
    image, alpha, _ = reference.draw(shell.to(dtype=torch.float64), camera, BACKGROUND)
    drawn = render(shell, camera, BACKGROUND)
    same = (drawn.image - image).abs().amax(-1) < 1e-5
    assert float(same.float().mean()) > 0.95
    return (same & (alpha > 0.02)).float()


@pytest.mark.parametrize("name", SCENES)
def test_the_kernels_give_the_gradients_of_the_reference(name: str) -> None:
    shell, camera = scene(name)
    mask = clear_of_thresholds(shell, camera)
    assert float(mask.sum()) > 0
    ours = gradients(
        shell,
        lambda g: pictures(render(g, camera, BACKGROUND, with_depth=True, num_threads=2)),
        mask,
    )
    exact = gradients(
        shell.to(dtype=torch.float64), lambda g: reference.draw(g, camera, BACKGROUND), mask
    )
    assert all(float(g.abs().max()) > 0 for g in exact)
    assert_near(ours, exact)


def test_the_scenes_are_what_their_names_say() -> None:
    shell, camera = scene("opaque: full pixels, alpha at its limit")
    _, alpha = reference.rasterize(shell.to(dtype=torch.float64), camera, shell.colors.double())
    assert float(alpha.max()) > 0.999  # the next would fall below the limit
    shell, camera = scene("inside the head: behind and beside the camera")
    seen = reference.project(shell, camera)
    assert int((seen.depths < 0).sum()) > 3
    beside = (seen.means2d - 16).abs().amax(-1) > 1.3 * 16
    assert int((beside & (seen.depths > 0.01)).sum()) > 3  # the linearized ray is held there


def test_image_alone_needs_no_depth() -> None:
    shell, camera = scene("a head")
    mask = torch.ones(camera.height, camera.width)

    def ours(g: Gaussians) -> Pictures:
        drawn = render(g, camera, BACKGROUND)
        return drawn.image, drawn.alpha

    def exact(g: Gaussians) -> Pictures:
        return reference.draw(g, camera, BACKGROUND)[:2]

    assert_near(
        gradients(shell, ours, mask), gradients(shell.to(dtype=torch.float64), exact, mask)
    )


def mist(count: int) -> Gaussians:
    """Gives Gaussians so wide that no alpha is cut anywhere: the pictures are smooth in them."""
    shell = phantom(count)
    scales = torch.tensor([0.15, 0.2, 0.18]).expand(count, 3)
    return Gaussians(shell.means, shell.quats, scales, 0.2 * shell.opacities, shell.colors)


@pytest.mark.parametrize("name", NAMES)
def test_gradients_agree_with_finite_differences_of_the_kernels(name: str) -> None:
    shell, camera = mist(12), CAMERA
    base = vars(shell)
    way = torch.linspace(0, 20, base[name].numel()).sin().view_as(base[name])
    if name == "means":  # one step in depth for all, so that their order stays
        view = camera.viewmat[:3, :3]
        way = way @ view[:2].T @ view[:2] + 0.5 * view[2]
    step = 0.02 * float(base[name].abs().mean()) * way

    def loss(value: Tensor) -> Tensor:
        drawn = render(Gaussians(**{**base, name: value}), camera, BACKGROUND)
        return weigh((drawn.image.double(), drawn.alpha.double()), torch.ones_like(drawn.alpha))

    value = base[name].clone().requires_grad_()
    (gradient,) = torch.autograd.grad(loss(value), value)
    expected = float(loss(base[name] + step) - loss(base[name] - step)) / 2
    assert float((gradient * step).sum()) == pytest.approx(expected, rel=1e-2, abs=1e-5)
    assert abs(expected) > 1e-4


def test_the_number_of_threads_changes_no_bit_of_the_gradients() -> None:
    shell, mask = phantom(900), torch.ones(2, 60, 70)
    cameras = [Camera.portrait(70, 60, yaw=yaw) for yaw in (0.4, -0.3)]

    def draw(threads: int) -> Callable[[Gaussians], Pictures]:
        return lambda g: pictures(
            render_cameras(g, cameras, BACKGROUND, with_depth=True, num_threads=threads)
        )

    one, three = (gradients(shell, draw(threads), mask) for threads in (1, 3))
    torch.testing.assert_close(one, three, rtol=0, atol=0)


def test_the_gradients_of_many_cameras_are_the_sum_of_those_of_each() -> None:
    shell, mask = scene("a head")[0], torch.ones(3, 33, 37)
    cameras = [Camera.portrait(37, 33, yaw=0.5 * k, pitch=0.2 * k) for k in range(3)]

    def together(g: Gaussians) -> Pictures:
        return pictures(render_cameras(g, cameras, BACKGROUND, with_depth=True))

    def apart(g: Gaussians) -> Pictures:
        each = [pictures(render(g, c, BACKGROUND, with_depth=True)) for c in cameras]
        return tuple(torch.stack(parts) for parts in zip(*each, strict=True))

    ours, expected = gradients(shell, together, mask), gradients(shell, apart, mask)
    assert_near(ours, [g.double() for g in expected], share=1e-6)


def test_harmonics_pass_gradients_to_coefficients_and_centers() -> None:
    shell, camera = scene("a head")
    harmonics = torch.linspace(-30, 30, 60 * 16 * 3).sin().reshape(60, 16, 3) / 4
    found = []
    for kind in (torch.float32, torch.float64):
        leaves = [t.to(kind).requires_grad_() for t in (harmonics, shell.means.clone())]
        given = Gaussians(leaves[1], *(v.to(kind) for v in list(vars(shell).values())[1:]))
        if kind == torch.float32:
            image = render(given, camera, BACKGROUND, harmonics=leaves[0]).image
        else:
            image = reference.draw(given, camera, BACKGROUND, leaves[0])[0]
        loss = weigh((image,), torch.ones(33, 37))
        found.append(list(torch.autograd.grad(loss, leaves)))
    assert_near(found[0], found[1])


def test_a_background_shines_through_to_opacity() -> None:
    dot = Gaussians(
        torch.zeros(1, 3), torch.eye(1, 4), torch.full((1, 3), 0.05), torch.tensor([0.5]),
        torch.zeros(1, 3),
    )  # fmt: skip
    dot.opacities.requires_grad_()
    drawn = render(dot, Camera.portrait(9, 9), (1.0, 1.0, 1.0))
    (gradient,) = torch.autograd.grad(drawn.image.sum(), dot.opacities)
    assert float(gradient) == pytest.approx(-3 * float(drawn.alpha.detach().sum()) / 0.5, rel=1e-5)


def test_nothing_to_draw_has_no_gradient() -> None:
    parts = [value[:0].requires_grad_() for value in vars(phantom(3)).values()]
    drawn = render(Gaussians(*parts), CAMERA)
    drawn.image.sum().backward()  # type: ignore[no-untyped-call]
    assert all(part.grad is not None and not part.grad.numel() for part in parts)


def test_doubles_get_gradients_in_doubles() -> None:
    shell = phantom(20).to(dtype=torch.float64)
    shell.means.requires_grad_()
    render(shell, CAMERA).image.sum().backward()  # type: ignore[no-untyped-call]
    assert shell.means.grad is not None and shell.means.grad.dtype == torch.float64


def test_values_changed_between_forth_and_back_are_noticed() -> None:
    shell = phantom(20)
    shell.means.requires_grad_()
    loss = render(shell, CAMERA).image.sum()
    with torch.no_grad():
        shell.means.mul_(1.1)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        loss.backward()  # type: ignore[no-untyped-call]


def test_descent_brings_back_what_was_moved() -> None:
    camera, target = Camera.portrait(32, 32), phantom(60)
    wanted = render(target, camera).image
    means = (target.means + 0.004).requires_grad_()
    descent, losses = torch.optim.Adam([means], 5e-4), []
    for _ in range(12):
        moved = Gaussians(means, *list(vars(target).values())[1:])
        loss = (render(moved, camera).image - wanted).square().mean()
        descent.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        descent.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < 0.3 * losses[0]


@pytest.mark.parity
@pytest.mark.parametrize("name", ["a head", "inside the head: behind and beside the camera"])
def test_values_and_gradients_are_those_of_gsplats_projection_and_harmonics(name: str) -> None:
    """gsplat's torch code up to the image plane; its blending needs CUDA, so ours there."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a missing CUDA toolkit
        gsplat = pytest.importorskip("gsplat.cuda._torch_impl")
    shell, camera = scene(name)
    mask = clear_of_thresholds(shell, camera)
    harmonics = torch.linspace(-30, 30, 60 * 16 * 3).sin().reshape(60, 16, 3) / 4

    def theirs(means: Tensor, quats: Tensor, scales: Tensor, opacities: Tensor, sh: Tensor) -> Any:
        view, size = camera.viewmat.double(), (camera.width, camera.height)
        covariances, _ = gsplat._quat_scale_to_covar_preci(quats, scales, compute_preci=False)
        _, means2d, depths, conics, _ = gsplat._fully_fused_projection(
            means, covariances, view[None], camera.K.double()[None], *size
        )
        directions = means - torch.linalg.inv(view)[:3, 3]
        colors = (gsplat._spherical_harmonics(3, directions, sh) + 0.5).clamp_min(0)
        full = conics[0][:, [0, 1, 1, 2]].reshape(-1, 2, 2)
        projected = reference.Projected(means2d[0], full, depths[0])
        features = torch.cat([colors, depths[0][:, None]], -1)
        blended, alpha = reference.blend(projected, opacities, features, *size)
        image = blended[..., :3] + (1 - alpha)[..., None] * blended.new_tensor(BACKGROUND)
        return image, alpha, blended[..., 3] / alpha.clamp(min=1e-10)

    def ours(means: Tensor, quats: Tensor, scales: Tensor, opacities: Tensor, sh: Tensor) -> Any:
        given = Gaussians(means, quats, scales, opacities, shell.colors)
        return pictures(render(given, camera, BACKGROUND, harmonics=sh, with_depth=True))

    found = []
    for draw, kind in ((ours, torch.float32), (theirs, torch.float64)):
        parts = [*list(vars(shell).values())[:4], harmonics]
        leaves = [part.to(kind, copy=True).requires_grad_() for part in parts]
        drawn = draw(*leaves)
        found.append(([p * mask if p.ndim == 2 else p * mask[..., None] for p in drawn],
                      list(torch.autograd.grad(weigh(drawn, mask), leaves))))  # fmt: skip
    for one, two in zip(found[0][0], found[1][0], strict=True):
        torch.testing.assert_close(one.double(), two, rtol=1e-4, atol=1e-4)
    assert_near(found[0][1], found[1][1])
