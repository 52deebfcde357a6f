import pytest
import torch
from torch import Tensor

from mien.arkit import CHANNEL_NAMES, EXPR_NAMES, motion_from_curves
from mien.motion import Motion
from mien.tokenizer import MotionTokenizer
from mien.tokenizer.features import frames_of
from mien.tokenizer.metrics import point_errors_mm

# Tokens of `everything_moving()` by the shipped weights. Language models know what they mean, so
# they change with the weights alone, and are then written anew.
# fmt: off
STORED = [
    979, 244, 430, 896, 88, 382, 877, 188, 517, 939, 394, 1006, 287, 71, 401,
    907, 809, 511, 271, 153, 867, 502, 925, 250, 357, 906, 341, 114, 802, 373,
    905, 73, 46, 912, 271, 651, 994, 239, 402, 920, 648, 223, 1013, 198, 454,
    813, 177, 409, 684, 166, 424, 893, 87, 450, 912, 185, 475, 905, 16, 415,
]
# fmt: on


def everything_moving(frames: int = 60) -> Motion:
    """Every coefficient in waves of its own rate."""
    time = torch.arange(frames)[:, None] / 25.0

    def wave(channels: int, hz: float) -> Tensor:
        rates = hz + 0.37 * torch.arange(channels) % 1.3
        return torch.sin(time * rates * 6.0 + torch.arange(channels) * 2.4)

    return Motion.rest(frames).replace(
        expr=(0.7 * wave(len(EXPR_NAMES), 0.2) - 0.2).clamp(0.0, 1.0),
        jaw_pose=torch.tensor([0.1, 0.02, 0.01]) * wave(3, 0.5).abs(),
        eye_pose=0.15 * wave(2, 0.3).repeat(1, 3),
        neck_pose=0.2 * wave(3, 0.15),
    )


@pytest.fixture(scope="module")
def shipped() -> MotionTokenizer:
    return MotionTokenizer.load()


def rising(names: tuple[str, ...], frames: int = 60, height: float = 0.7) -> Motion:
    """Units rise over half a second, stay, and fall."""
    curves = torch.zeros(frames, len(CHANNEL_NAMES))
    shape = torch.ones(frames) * height
    shape[:20], shape[-20:] = 0.0, 0.0
    shape[20:32] *= torch.linspace(0.0, 1.0, 12)
    for name in names:
        curves[:, CHANNEL_NAMES.index(name)] = shape
    return motion_from_curves(curves, 25.0)


def test_the_shipped_weights_are_small_and_say_what_made_them(shipped: MotionTokenizer) -> None:
    assert shipped.kind == "geometry" and shipped.codebook_size <= 2048
    assert {"command", "seed", "corpus", "held_out"} <= set(shipped.card)


def test_the_shipped_tokens_are_what_they_were(shipped: MotionTokenizer) -> None:
    assert shipped.encode(everything_moving()).tolist() == STORED
    shipped.require_one_token_a_frame()


@pytest.mark.parametrize(
    "names",
    [
        ("mouthSmileLeft", "mouthSmileRight"),
        ("jawOpen",),
        ("browInnerUp", "browOuterUpLeft"),
    ],
)
def test_a_clear_action_survives_the_tokens(
    shipped: MotionTokenizer, names: tuple[str, ...]
) -> None:
    motion = rising(names)
    decoded = shipped.decode(shipped.encode(motion))
    space, truth = shipped.space, frames_of(motion)
    errors = point_errors_mm(frames_of(decoded), truth, space)
    sizes = space.displacements(truth).norm(dim=-1) * space.ipd_mm
    moved = sizes > 0.5 * sizes.max()
    assert float(errors[moved].mean()) < 0.6 * float(sizes[moved].mean())


def test_every_unit_survives_alone(shipped: MotionTokenizer) -> None:
    """Seven of ten units at least keep half their height; none but a few are lost."""
    names = [n for n in EXPR_NAMES if n != "mouthClose"]  # closing nothing shows nothing
    motions = [rising((name,)) for name in names]
    decoded = [shipped.decode(shipped.encode(motion)) for motion in motions]
    kept = [
        float(after.expr[34:38, EXPR_NAMES.index(name)].mean()) / 0.7
        for name, after in zip(names, decoded, strict=True)
    ]
    assert sum(k > 0.5 for k in kept) >= 0.7 * len(kept), dict(zip(names, kept, strict=True))
    assert sum(k < 0.2 for k in kept) <= 3, dict(zip(names, kept, strict=True))


def test_a_blink_survives_the_tokens(shipped: MotionTokenizer) -> None:
    curves = torch.zeros(50, len(CHANNEL_NAMES))
    blink = torch.tensor([0.15, 0.7, 0.95, 0.8, 0.45, 0.2, 0.05])
    for side in ("Left", "Right"):
        curves[20:27, CHANNEL_NAMES.index(f"eyeBlink{side}")] = blink
    decoded = shipped.decode(shipped.encode(motion_from_curves(curves, 25.0)))
    lids = decoded.expr[:, [EXPR_NAMES.index("eyeBlinkLeft"), EXPR_NAMES.index("eyeBlinkRight")]]
    closed = lids.mean(-1)
    assert float(closed[20:27].max()) > 0.45
    assert float(closed[:15].max()) < 0.3 and float(closed[35:].max()) < 0.3


def test_a_turned_head_comes_back_within_degrees(shipped: MotionTokenizer) -> None:
    motion = Motion.rest(50).replace(neck_pose=torch.tensor([0.0, 0.3, 0.0]).expand(50, 3))
    turned = shipped.decode(shipped.encode(motion)).neck_pose[10:40]
    assert float((turned - motion.neck_pose[10:40]).norm(dim=-1).mean()) < 0.07


def test_streaming_the_shipped_model_gives_the_bits_of_decoding(
    shipped: MotionTokenizer,
) -> None:
    indices = shipped.encode(rising(("mouthPucker",)))
    whole = shipped.decode(indices)
    parts = Motion.concatenate(list(shipped.stream(torch.split(indices, 7))))
    for field in ("expr", "jaw_pose", "eye_pose", "neck_pose"):
        torch.testing.assert_close(getattr(parts, field), getattr(whole, field), rtol=0, atol=0)
