"""The CPU renderer as a differentiable operation on tensors."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from mien.avatar.workspace import Scene, Workspace
from mien.camera import Camera

Drawn = tuple[Tensor, Tensor, Tensor | None]


def draw(
    parts: Sequence[Tensor],
    cameras: Sequence[Camera],
    background: tuple[float, float, float],
    with_depth: bool,
    num_threads: int,
) -> Drawn:
    """Draws means, quats, scales, opacities and colors `[C or 1, N, 3]` into every camera.

    Gradients flow to the five parts, not to the cameras.

    Returns:
        Image `[C, H, W, 3]`, alpha `[C, H, W]`, and depth `[C, H, W]` or None; float32.
    """
    how = tuple(cameras), background, with_depth, num_threads
    if torch.is_grad_enabled() and any(part.requires_grad for part in parts):
        image, alpha, depth = _Draw.apply(*parts, *how)  # type: ignore[no-untyped-call]
        return image, alpha, depth
    workspace = _free.pop() if _free else Workspace()
    drawn = workspace.draw(Scene.of(parts, cameras), *how[1:])
    _free.append(workspace)
    return _as_tensors(drawn)


_free: list[Workspace] = []  # those at rest; list.pop and list.append are atomic


def _as_tensors(drawn: tuple[Any, Any, Any]) -> Drawn:
    image, alpha, depth = drawn
    shown = None if depth is None else torch.from_numpy(depth)
    return torch.from_numpy(image), torch.from_numpy(alpha), shown


class _Draw(torch.autograd.Function):
    """Keeps the workspace of the way forth for the way back."""

    @staticmethod
    def forward(ctx: Any, *args: Any) -> Any:
        parts, (cameras, *how) = args[:5], args[5:]
        ctx.workspace, ctx.cameras, ctx.how = Workspace(), cameras, how
        drawn = _as_tensors(ctx.workspace.draw(Scene.of(parts, cameras), *how))
        ctx.save_for_backward(*parts, *drawn[1:])
        return drawn

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *of_drawn: Any) -> Any:
        *parts, alpha, depth = ctx.saved_tensors
        of_image, of_alpha, of_depth = of_drawn
        if depth is not None:  # depth is a quotient by alpha
            of_depth = of_depth / alpha.clamp(min=1e-10)
            of_alpha = of_alpha - of_depth * depth * (alpha > 0)
        background, _, threads = ctx.how
        of_pictures = tuple(
            None if of is None else of.float().contiguous().numpy()
            for of in (of_image, of_alpha, of_depth)
        )
        scene = Scene.of(parts, ctx.cameras)
        found = ctx.workspace.differentiate(scene, background, of_pictures, threads)
        of_parts = (torch.from_numpy(f).to(p) for f, p in zip(found, parts, strict=True))
        return *of_parts, *[None] * 4
