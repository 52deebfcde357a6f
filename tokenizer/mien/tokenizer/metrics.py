"""How well a tokenizer keeps motion: errors in millimetres and degrees, smoothness, code use."""

import statistics
import time
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from mien.motion import Motion
from mien.tokenizer.features import FaceSpace, HeadFrames, features_of, frames_of
from mien.tokenizer.tokenizer import MotionTokenizer


@dataclass(frozen=True)
class TokenizerFigures:
    """Figures over all frames of some motions; millimetres are at adult scale.

    Attributes:
        frames: Frames measured.
        mean_mm: Mean distance of a point from its true place.
        lips_mm: The same over the lips.
        lids_mm: The same over the lids.
        still_mm: Mean distance of a point from the neutral face: the error of coding nothing.
        rotation_deg: Mean angle between the head's rotation and the true one.
        blinks_kept: Mean of the lids' travel in a blink, over the true travel; nan without blinks.
        jerk_ratio: Mean size of the points' third difference, over the true one.
        code_use: Share of the codebook that occurs; of a chain, the mean over its codebooks.
        perplexity: Exponential of the entropy of the codes; of a chain, the geometric mean over
            its codebooks.
        encode_fps: Frames encoded a second, features included.
        decode_fps: Frames decoded a second, streamed one by one.
    """

    frames: int
    mean_mm: float
    lips_mm: float
    lids_mm: float
    still_mm: float
    rotation_deg: float
    blinks_kept: float
    jerk_ratio: float
    code_use: float
    perplexity: float
    encode_fps: float
    decode_fps: float

    def as_dict(self) -> dict[str, float]:
        """Give the figures by name."""
        return asdict(self)


def point_errors_mm(
    predicted: HeadFrames, target: HeadFrames, space: FaceSpace
) -> Float[Tensor, "t k"]:
    """Give the distance of each point from its true place, mm at adult scale."""
    error = space.displacements(predicted) - space.displacements(target)
    distances: Tensor = error.norm(dim=-1) * space.ipd_mm
    return distances


def jerk(points: Float[Tensor, "t k 3"]) -> Float[Tensor, " s"]:
    """Give the mean size of the points' third difference in time; none under four frames."""
    if len(points) < 4:
        return points.new_zeros(0)
    sizes: Tensor = points.diff(n=3, dim=0).norm(dim=-1).mean(-1)
    return sizes


def blink_travels(
    decoded: Float[Tensor, "t k 3"], true: Float[Tensor, "t k 3"]
) -> list[tuple[float, float]]:
    """Find blinks in the true lid points; give each one's travel, decoded and true.

    A blink is a peak of the lids' mean displacement, over half of the largest, that rises from
    and falls under half of itself within 8 frames. Travel is the peak (decoded: within 2
    frames of it) over the lowest value of those frames.
    """
    a, b = decoded.norm(dim=-1).mean(-1), true.norm(dim=-1).mean(-1)
    travels = []
    for t in range(1, len(b) - 1):
        low, high = max(t - 8, 0), t + 9
        peak, around = float(b[t]), b[low:high]
        is_top = peak == float(around.max()) and peak > 0.5 * float(b.max())
        sides = (b[low : t + 1].min(), b[t:high].min())
        if is_top and all(float(side) < 0.5 * peak for side in sides):
            top = float(a[max(t - 2, 0) : t + 3].max())
            travels.append((top - float(a[low:high].min()), peak - float(around.min())))
    return travels


def rotation_angle_deg(
    a: Float[Tensor, "*b 3 3"], b: Float[Tensor, "*b 3 3"]
) -> Float[Tensor, "*b"]:
    """Give the angle between rotations, degrees."""
    chord = (a - b).square().sum((-1, -2)).sqrt() / 8.0**0.5
    return torch.rad2deg(2.0 * torch.asin(chord.clamp(max=1.0)))


def perplexity(indices: Int[Tensor, " n"], size: int) -> float:
    """Give the exponential of the entropy of how often codes occur."""
    share = torch.bincount(indices.flatten(), minlength=size).double() / indices.numel()
    return float(torch.exp(-(share * share.clamp_min(1e-12).log()).sum()))


@torch.no_grad()
def evaluate(tokenizer: MotionTokenizer, motions: Sequence[Motion]) -> TokenizerFigures:
    """Encode and decode motions and measure what is lost.

    Raises:
        ValueError: If there is no motion.
    """
    if not motions:
        raise ValueError("Wanted at least one motion to measure, got none.")
    space = tokenizer.space
    motions = [m if m.fps == tokenizer.fps else m.resample(tokenizer.fps) for m in motions]
    start = time.perf_counter()
    tokens = [tokenizer.encode(motion) for motion in motions]
    encoded = time.perf_counter()
    decoded = [
        tokenizer.decode(indices, tokenizer.fps, motion.num_frames)
        for indices, motion in zip(tokens, motions, strict=True)
    ]
    finished = time.perf_counter()
    pairs = [(frames_of(a), frames_of(b)) for a, b in zip(decoded, motions, strict=True)]
    errors = torch.cat([point_errors_mm(a, b, space) for a, b in pairs])
    truth = [space.displacements(b) for _, b in pairs]
    angles = torch.cat([rotation_angle_deg(a.rotation, b.rotation) for a, b in pairs])
    jerks = [
        torch.cat([jerk(x) for x in side]).sum()
        for side in ([space.displacements(a) for a, _ in pairs], truth)
    ]
    lids = space.region("lid")
    blinks = [
        travel
        for (a, _), b in zip(pairs, truth, strict=True)
        for travel in blink_travels(space.displacements(a)[:, lids], b[:, lids])
    ]
    indices, size = torch.cat(tokens), tokenizer.codebook_size
    books = indices.reshape(len(indices), -1).unbind(1)
    return TokenizerFigures(
        frames=len(errors),
        mean_mm=float(errors.mean()),
        lips_mm=float(errors[:, space.region("lips")].mean()),
        lids_mm=float(errors[:, space.region("lid")].mean()),
        still_mm=float(torch.cat(truth).norm(dim=-1).mean()) * space.ipd_mm,
        rotation_deg=float(angles.mean()),
        blinks_kept=sum(a for a, _ in blinks) / sum(b for _, b in blinks)
        if blinks
        else float("nan"),
        jerk_ratio=float(jerks[0] / jerks[1]) if float(jerks[1]) > 0 else float("nan"),
        code_use=statistics.mean(len(torch.unique(book)) / size for book in books),
        perplexity=statistics.geometric_mean(perplexity(book, size) for book in books),
        encode_fps=len(errors) / max(encoded - start, 1e-9),
        decode_fps=len(errors) / max(finished - encoded, 1e-9),
    )


def weak_direction(space: FaceSpace, frames: HeadFrames, budget_mm: float) -> HeadFrames:
    """Change the coefficients of each frame while the face looks the same.

    Each frame moves along the expression directions that displace points least, as far as the
    region-weighted root mean square displacement stays under `budget_mm`.
    """
    units = torch.eye(space.num_expr).to(frames.expr)
    zeros = units.new_zeros(len(units), 9)
    basis = space.points(units, zeros[:, :3], zeros[:, 3:]) * space.ipd_mm
    basis = (basis * space.weights.to(basis)[:, None].sqrt()).flatten(1) / len(
        space.weights
    ) ** 0.5
    _, sizes, directions = torch.linalg.svd(basis.T, full_matrices=False)
    moved = frames.expr + directions[-1] * budget_mm / sizes[-1]
    return frames._replace(expr=moved)


@torch.no_grad()
def same_look_agreement(
    tokenizer: MotionTokenizer, motions: Sequence[Motion], budget_mm: float = 0.1
) -> float:
    """Give the share of tokens that stay when coefficients change and the face does not."""

    def tokens(frames: HeadFrames) -> Tensor:
        return tokenizer.encode(features_of(frames, tokenizer.space, tokenizer.kind))

    plain = [frames_of(motion.resample(tokenizer.fps)) for motion in motions]
    others = (weak_direction(tokenizer.space, frames, budget_mm) for frames in plain)
    return share_of_equal_tokens(
        (tokens(a), tokens(b)) for a, b in zip(plain, others, strict=True)
    )


def share_of_equal_tokens(
    pairs: Iterable[tuple[Int[Tensor, "..."], Int[Tensor, "..."]]],
) -> float:
    """Give the share of tokens that are the same in both of each pair; all integers count."""
    equal = [(a == b).flatten(1).all(1) if a.ndim > 1 else a == b for a, b in pairs]
    return float(torch.cat(equal).float().mean())
