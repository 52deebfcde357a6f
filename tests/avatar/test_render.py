import inspect
import warnings
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import torch
from torch import Tensor

from mien.avatar import reference
from mien.avatar.gaussians import Gaussians
from mien.avatar.phantom import phantom
from mien.avatar.render import Image, _render_gsplat, render, render_cameras, render_frames
from mien.camera import Camera

CAMERA = Camera.portrait(70, 55, yaw=-0.3)


def assert_same(one: Image, two: Image) -> None:
    torch.testing.assert_close(one.image, two.image, rtol=0, atol=0)
    torch.testing.assert_close(one.alpha, two.alpha, rtol=0, atol=0)


def test_the_background_shows_through_by_what_alpha_leaves() -> None:
    shell, color = phantom(500), (0.2, 0.5, 0.9)
    black, drawn = render(shell, CAMERA), render(shell, CAMERA, color)
    expected = black.image + (1 - black.alpha)[..., None] * torch.tensor(color)
    torch.testing.assert_close(drawn.image, expected, rtol=1e-5, atol=1e-6)
    assert float(drawn.alpha[0, 0]) == 0 and drawn.image[0, 0].tolist() == pytest.approx(color)


def test_depth_is_that_of_the_reference() -> None:
    shell = phantom(500)
    exact = shell.to(dtype=torch.float64)
    depths = reference.project(exact, CAMERA).depths
    weighted, alpha = reference.rasterize(exact, CAMERA, depths[:, None])
    depth = render(shell, CAMERA, with_depth=True).depth
    assert depth is not None and float(depth[0, 0]) == 0
    solid = alpha > 0.1  # elsewhere one threshold decided by rounding weighs too much
    torch.testing.assert_close(
        depth.double()[solid], (weighted[..., 0] / alpha)[solid], rtol=1e-4, atol=0
    )


def test_asking_for_depth_changes_no_color() -> None:
    shell = phantom(500)
    assert_same(render(shell, CAMERA, with_depth=True), render(shell, CAMERA))
    assert render(shell, CAMERA).depth is None


def test_nothing_to_draw_is_the_background() -> None:
    image = render(phantom(3).subset(torch.arange(0)), CAMERA, (0.1, 0.2, 0.3))
    assert float(image.alpha.max()) == 0
    torch.testing.assert_close(image.image, torch.tensor([0.1, 0.2, 0.3]).expand(55, 70, 3))


def moving(count: int) -> Iterator[Gaussians]:
    shell = phantom(400)
    for i in range(count):
        ids = torch.arange(400 - 20 * i)  # the count changes: buffers are used again
        yield shell.subset(ids)


@pytest.mark.parametrize("num_threads", [1, 2, 3])
def test_many_frames_are_the_frames_one_by_one(num_threads: int) -> None:
    together = list(render_frames(moving(8), CAMERA, num_threads=num_threads))
    assert len(together) == 8
    for image, gaussians in zip(together, moving(8), strict=True):
        assert_same(image, render(gaussians, CAMERA))


def test_frames_are_taken_as_they_are_needed() -> None:
    taken = []

    def watched() -> Iterator[Gaussians]:
        for i, gaussians in enumerate(moving(9)):
            taken.append(i)
            yield gaussians

    frames = render_frames(watched(), CAMERA, num_threads=2)
    assert taken == []
    next(frames)
    assert len(taken) <= 3


def test_an_error_in_the_frames_reaches_the_caller() -> None:
    def broken() -> Iterator[Gaussians]:
        yield phantom(10)
        raise RuntimeError("no more")

    with pytest.raises(RuntimeError, match="no more"):
        list(render_frames(broken(), CAMERA, num_threads=2))


def test_threads_can_render_at_the_same_time() -> None:
    shells = [phantom(300, seed) for seed in range(6)]
    with ThreadPoolExecutor(3) as pool:
        images = list(pool.map(lambda shell: render(shell, CAMERA, num_threads=2), shells))
    for image, shell in zip(images, shells, strict=True):
        assert_same(image, render(shell, CAMERA))


def test_inputs_may_be_views_and_doubles_and_stay_unchanged() -> None:
    shell = phantom(600)
    every_second = shell.subset(torch.arange(0, 600, 2))
    strided = Gaussians(*(value[::2] for value in vars(shell).values()))
    before = shell.means.clone()
    assert not strided.means.is_contiguous()
    assert_same(render(strided, CAMERA), render(every_second, CAMERA))
    assert_same(render(every_second.to(dtype=torch.float64), CAMERA), render(every_second, CAMERA))
    torch.testing.assert_close(shell.means, before, rtol=0, atol=0)


def around(count: int) -> list[Camera]:
    return [Camera.portrait(50, 37, yaw=0.4 * k - 0.5, pitch=0.1 * k) for k in range(count)]


@pytest.mark.parametrize("num_threads", [1, 2])
def test_many_cameras_are_the_cameras_one_by_one(num_threads: int) -> None:
    shell, cameras, color = phantom(500), around(3), (0.2, 0.5, 0.9)
    together = render_cameras(shell, cameras, color, with_depth=True, num_threads=num_threads)
    assert together.depth is not None and together.image.shape == (3, 37, 50, 3)
    for k, camera in enumerate(cameras):
        one = render(shell, camera, color, with_depth=True)
        assert_same(Image(together.image[k], together.alpha[k]), one)
        torch.testing.assert_close(together.depth[k], one.depth, rtol=0, atol=0)


def test_harmonics_of_many_cameras_are_those_of_each() -> None:
    shell, cameras = phantom(200), around(2)
    harmonics = torch.linspace(-3, 3, 200 * 9 * 3).sin().reshape(200, 9, 3)
    together = render_cameras(shell, cameras, harmonics=harmonics)
    for k, camera in enumerate(cameras):
        exact = reference.draw(shell, camera, harmonics=harmonics)
        torch.testing.assert_close(together.image[k], exact[0], rtol=0, atol=1e-5)
        one = render(shell, camera, harmonics=harmonics)
        assert_same(Image(together.image[k], together.alpha[k]), one)


def test_cameras_of_no_or_several_sizes_are_refused() -> None:
    with pytest.raises(ValueError, match="one or more of one size, got none"):
        render_cameras(phantom(5), [])
    with pytest.raises(ValueError, match="of one size, got 50x37, 70x55"):
        render_cameras(phantom(5), [CAMERA, *around(1)])


def test_harmonics_of_no_degree_are_refused(refuses: Any) -> None:
    with refuses("`harmonics` must be .5, K, 3. with K = 1, 4, 9 or 16"):
        render(phantom(5), CAMERA, harmonics=torch.zeros(5, 5, 3))
    with refuses("got .4, 4, 3."):
        render(phantom(5), CAMERA, harmonics=torch.zeros(4, 4, 3))


def test_frames_keep_the_mode_of_gradients_of_who_asks() -> None:
    shell = phantom(10)
    shell.colors.requires_grad_()
    for mode in (True, False):
        with torch.set_grad_enabled(mode):
            drawn = list(render_frames([shell] * 2, CAMERA, num_threads=2))
        assert [image.image.requires_grad for image in drawn] == [mode, mode]


def test_no_threads_and_other_devices_are_refused() -> None:
    with pytest.raises(ValueError, match="`num_threads` must be at least 1, got 0"):
        render(phantom(5), CAMERA, num_threads=0)
    meta = Gaussians.__new__(Gaussians)  # `meta` tensors have no values to validate
    for name, value in vars(phantom(5)).items():
        object.__setattr__(meta, name, value.to("meta"))
    with pytest.raises(ValueError, match="CPU or a CUDA device, got meta"):
        render(meta, CAMERA)


def test_gsplat_is_called_for_the_same_picture(monkeypatch: pytest.MonkeyPatch) -> None:
    """The reference in gsplat's place: what would run on CUDA, save gsplat's own kernels."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a missing CUDA toolkit
        gsplat = pytest.importorskip("gsplat")
    signature = inspect.signature(gsplat.rasterization)

    def rasterization(*args: Any, **kwargs: Any) -> tuple[Tensor, Tensor, dict[str, Any]]:
        call = signature.bind(*args, **kwargs)
        call.apply_defaults()
        given = call.arguments
        assert given["rasterize_mode"] == "classic" and given["render_mode"] == "RGB+ED"
        assert (given["eps2d"], given["near_plane"]) == (reference.BLUR, reference.NEAR)
        parts = [given[name] for name in ("means", "quats", "scales", "opacities")]
        shell = Gaussians(*[*parts, given["means" if given["sh_degree"] else "colors"]])
        views = zip(given["viewmats"], given["Ks"], given["backgrounds"], strict=True)
        drawn = []
        for view, intrinsics, background in views:
            camera = Camera(view, intrinsics, given["width"], given["height"])
            degree = given["sh_degree"]
            assert degree is None or given["colors"].shape[1] == (degree + 1) ** 2
            harmonics = None if degree is None else given["colors"]
            drawn.append(reference.draw(shell, camera, tuple(background.tolist()), harmonics))
        image, alpha, depth = (torch.stack(parts) for parts in zip(*drawn, strict=True))
        return torch.cat([image, depth[..., None]], -1), alpha[..., None], {}

    monkeypatch.setattr(gsplat, "rasterization", rasterization)
    shell, color, cameras = phantom(150), (0.2, 0.5, 0.9), around(2)
    for harmonics in (None, torch.linspace(-3, 3, 150 * 4 * 3).sin().reshape(150, 4, 3)):
        theirs = _render_gsplat(shell, cameras, color, harmonics, True)
        ours = render_cameras(shell, cameras, color, harmonics=harmonics, with_depth=True)
        torch.testing.assert_close(theirs.image, ours.image, rtol=0, atol=1e-4)
        torch.testing.assert_close(theirs.alpha, ours.alpha, rtol=0, atol=1e-4)
        assert theirs.depth is not None and ours.depth is not None
        solid = ours.alpha > 0.1
        torch.testing.assert_close(theirs.depth[solid], ours.depth[solid], rtol=1e-3, atol=0)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_gsplat_draws_what_the_kernels_draw() -> None:
    shell, color = phantom(2000), (0.2, 0.5, 0.9)
    ours = render(shell, CAMERA, color, with_depth=True)
    theirs = render(shell.to("cuda"), CAMERA, color, with_depth=True)
    assert ours.depth is not None and theirs.depth is not None
    # gsplat's __expf is good to about 2e-6; a threshold decided otherwise moves ALPHA_MIN.
    for one, two in ((ours.image, theirs.image), (ours.alpha, theirs.alpha)):
        difference = (one - two.cpu()).abs()
        assert float(difference.max()) <= 1 / 255
        assert float(difference.mean()) <= 1e-5
    solid = ours.alpha > 0.5
    torch.testing.assert_close(ours.depth[solid], theirs.depth.cpu()[solid], rtol=1e-3, atol=0)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_gsplat_gives_the_gradients_that_the_kernels_give() -> None:
    found = []
    for device in ("cpu", "cuda"):
        shell = phantom(500).to(device)
        leaves = [value.requires_grad_() for value in vars(shell).values()]
        cameras = [camera.to(device) for camera in around(2)]
        drawn = render_cameras(shell, cameras, (0.2, 0.5, 0.9))
        weights = torch.linspace(0, 9, drawn.image.numel()).sin().view_as(drawn.image)
        (drawn.image * weights.to(device)).sum().backward()  # type: ignore[no-untyped-call]
        found.append([leaf.grad.cpu() for leaf in leaves if leaf.grad is not None])
    for ours, theirs in zip(*found, strict=True):
        difference = (ours - theirs).abs().max() / ours.abs().max()
        assert float(difference) < 1e-2
