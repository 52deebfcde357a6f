from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor

from mien.arkit import ARKIT_NAMES, CHANNEL_NAMES, EXPR_NAMES
from mien.motion import Motion
from mien.tokenizer import FaceSpace, MotionTokenizer, QuantizerConfig, TokenizerConfig
from mien.tokenizer.augment import Curves, smooth_noise
from mien.tokenizer.vqvae import Codec

POINTS = 30


def linear_points(generator: torch.Generator) -> Callable[[Tensor, Tensor, Tensor], Tensor]:
    """A made-up face: every point moves linearly with every coefficient."""
    basis = 0.1 * torch.randn(len(EXPR_NAMES) + 9, 3 * POINTS, generator=generator)

    def points(expr: Tensor, jaw_pose: Tensor, eye_pose: Tensor) -> Tensor:
        inputs = torch.cat([expr, jaw_pose, eye_pose], dim=-1)
        moved: Tensor = inputs @ basis.to(inputs)
        return moved.reshape(*moved.shape[:-1], POINTS, 3)

    return points


@pytest.fixture
def space() -> FaceSpace:
    return FaceSpace(
        points=linear_points(torch.Generator().manual_seed(3)),
        weights=torch.linspace(0.5, 1.5, POINTS),
        regions={"lips": torch.arange(10), "lid_left": torch.arange(10, 14)},
        ipd_mm=62.0,
        num_expr=len(EXPR_NAMES),
    )


@pytest.fixture
def config() -> TokenizerConfig:
    return TokenizerConfig(
        basis_size=12,
        encoder_width=16,
        decoder_width=24,
        encoder_ahead=(1, 2),
        encoder_back=(2,),
        decoder_ahead=(1, 1),
        decoder_back=(2, 3),
        scheme="joint",
        quantizer=QuantizerConfig(dim=6, codebook_size=32),
    )


def made_up_curves(seed: int, frames: int) -> Curves:
    """Smooth random units and a turning head."""
    rng = np.random.default_rng(seed)
    curves = np.zeros((frames, len(CHANNEL_NAMES)), dtype=np.float32)
    curves[:, : len(ARKIT_NAMES)] = np.abs(smooth_noise(rng, frames, len(ARKIT_NAMES), 1.5)) * 0.3
    curves[:, len(ARKIT_NAMES) : len(ARKIT_NAMES) + 3] = 0.2 * smooth_noise(rng, frames, 3, 0.7)
    return curves.clip(-1.0, 1.0)


@pytest.fixture
def clips() -> list[Curves]:
    return [made_up_curves(seed, 40 + 7 * seed) for seed in range(6)]


@pytest.fixture
def motion() -> Motion:
    generator = torch.Generator().manual_seed(5)
    frames = 37
    ramp = torch.linspace(0.0, 6.0, frames)[:, None]

    def wave(channels: int) -> Tensor:
        return torch.sin(ramp + 6.0 * torch.rand(channels, generator=generator))

    return Motion.rest(frames).replace(
        expr=0.5 + 0.5 * wave(len(EXPR_NAMES)),
        jaw_pose=0.1 * wave(3),
        eye_pose=0.2 * wave(6),
        neck_pose=0.3 * wave(3),
    )


@pytest.fixture
def untrained(space: FaceSpace) -> Callable[[TokenizerConfig], MotionTokenizer]:
    """Makes an untrained joint tokenizer whose codes are random latents."""

    def make(config: TokenizerConfig) -> MotionTokenizer:
        torch.manual_seed(11)
        made = MotionTokenizer(config, space)
        assert isinstance(made.codec, Codec)
        made.codec.fit_normalization(torch.randn(300, 3 * POINTS + 6))
        made.train()
        made(torch.randn(8, 40, 3 * POINTS + 6))
        return made.eval()

    return make


@pytest.fixture
def tokenizer(
    config: TokenizerConfig, untrained: Callable[[TokenizerConfig], MotionTokenizer]
) -> MotionTokenizer:
    return untrained(config)
