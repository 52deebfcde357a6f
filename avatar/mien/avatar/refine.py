"""Fit one person's maps to the photos that they were made from, in a few steps.

After FlexAvatar (Peng et al.), section 3.4: the network that moves the face stays as it is, and
what is seen inside the mouth teaches nothing, since its shadows are the photo's own. The paper
changes the encoder's weights; here it is what the encoder gave, the maps, so that a step costs
one picture and no encoding.
"""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from mien.avatar.avatar import Avatar
from mien.avatar.learned import LearnedHead
from mien.avatar.losses import LossWeights, l1_loss, ssim, weighted
from mien.avatar.perceptual import Perceptual, PerceptualKind, make_perceptual
from mien.avatar.pictures import PosedPicture
from mien.avatar.posed_view import PosedView
from mien.avatar.render import Color, render_cameras
from mien.avatar.static_maps import WIDTHS

RATES = {"position": 1e-2, "opacity": 2e-2, "scale": 1e-2, "color": 4e-2, "rotation": 1e-2}
FEATURE_RATE = 1e-3
PICTURES_A_STEP = 4
_LOSS = LossWeights()  # those of whole pictures are used
_FAINT = 1e-7  # gradient below which a texel hardly moves; one that is seen has 1e-6 and more


def refine(
    avatar: Avatar,
    pictures: Sequence[PosedPicture],
    steps: int = 20,
    perceptual: PerceptualKind = "steerable",
    seed: int = 0,
    kept: Sequence[str] = (),
) -> Avatar:
    """Give the avatar maps that show the pictures better; the avatar itself is not changed.

    A step moves a map by its rate in `RATES` at most, so 20 of them stay near what the encoder
    gave: a color by 0.8 before its sigmoid, a center by 2 mm.

    Args:
        avatar: With a learned head.
        pictures: Of this person; 4 at a step, in turn.
        steps: Optimizer steps.
        perceptual: Which perceptual difference.
        seed: Of the colors behind pictures and drawings.
        kept: Names of maps that stay as they are, of those in `RATES`.

    Raises:
        ValueError: If the avatar is not learned, there is no picture or no step, or a name of
            `kept` is unknown.
    """
    if avatar.learned is None:
        raise ValueError(
            f"Only a learned avatar can be refined; {avatar.name!r} is painted. "
            "`mien.avatar.starts.start_from` gives it a learned head."
        )
    if not pictures or steps < 1:
        raise ValueError(
            f"Refining takes one picture and one step or more, got {len(pictures)} and {steps}."
        )
    if not set(kept) <= set(RATES):
        raise ValueError(f"`kept` must be of {sorted(RATES)}, got {sorted(kept)}.")
    learned = copy.deepcopy(avatar.learned).eval().requires_grad_(False)
    views = [PosedView.of(picture, avatar) for picture in pictures]
    rates = {name: 0.0 if name in kept else rate for name, rate in RATES.items()}
    _optimize(learned, views, steps, make_perceptual(perceptual), seed, rates)
    said = f"refined on {len(pictures)} pictures by {steps} steps"
    made_by = f"{avatar.made_by}; {said}" if avatar.made_by else said
    return dataclasses.replace(avatar, learned=learned, made_by=made_by)


def _optimize(
    learned: LearnedHead,
    views: list[PosedView],
    steps: int,
    perceptual: Perceptual,
    seed: int,
    map_rates: Mapping[str, float],
) -> None:
    """Change the maps in place."""
    learned.maps.requires_grad_(True)
    rates = {name: map_rates[name] for name in WIDTHS} | {"features": FEATURE_RATE}
    groups = [{"params": [getattr(learned.maps, name)], "lr": r} for name, r in rates.items()]
    optimizer = torch.optim.Adam(groups, eps=_FAINT)
    for step in range(steps):
        taken = [
            views[(step * PICTURES_A_STEP + i) % len(views)]
            for i in range(min(PICTURES_A_STEP, len(views)))
        ]
        red, green, blue = np.random.default_rng([seed, step]).random(3)
        behind = (float(red), float(green), float(blue))
        losses = [view_loss(learned, view, perceptual, behind) for view in taken]
        optimizer.zero_grad()
        torch.stack(losses).mean().backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    learned.requires_grad_(False)


def view_loss(
    learned: LearnedHead, view: PosedView, perceptual: Perceptual, behind: Color
) -> Float[Tensor, ""]:
    """How far a learned head is from a picture, the mouth left out."""
    decoded = learned(view.driven)
    drawn = render_cameras(decoded.gaussians(0), [view.camera], behind).image[0]
    return picture_loss(drawn, view.image, view.mask, view.mouth, perceptual, behind)


def picture_loss(
    drawn: Float[Tensor, "h w 3"],
    image: Float[Tensor, "h w 3"],
    mask: Float[Tensor, "h w"],
    mouth: Float[Tensor, "h w"],
    perceptual: Perceptual,
    behind: Color,
) -> Float[Tensor, ""]:
    """How far a drawing is from a picture over the same background; the mouth does not count.

    The mouth is cut out of both: nothing there gives a gradient, and what the picture shows there
    changes nothing outside.
    """
    covered, inside = mask.unsqueeze(-1), mouth.unsqueeze(-1) > 0
    background = image.new_tensor(behind)
    wanted = torch.where(inside, background, image * covered + background * (1 - covered))[None]
    judged = torch.where(inside, background, drawn)[None]
    terms = {
        "l1": l1_loss(judged, wanted),
        "ssim": 1.0 - ssim(judged, wanted),
        "perceptual": perceptual(judged, wanted),
    }
    return weighted(terms, _LOSS)[0]
