"""What a token may be: each form trained alike, and measured on the same faces."""

import json
import math
import statistics
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal

import torch

from mien.apps.benchmark.geometry import Deviation, FaceMotion, deviation
from mien.apps.reporting import markdown_table
from mien.fit import fit
from mien.head import Head
from mien.identity import semantic
from mien.motion import Motion
from mien.tokenizer import MotionTokenizer, QuantizerConfig, TokenizerConfig
from mien.tokenizer.features import FaceSpace, Kind, frames_of
from mien.tokenizer.metrics import (
    evaluate,
    point_errors_mm,
    same_look_agreement,
    share_of_equal_tokens,
)

SHIPPED = "shipped"
CHAIN = 4  # codebooks of a residual quantizer
PERSON_CLIPS = 20  # performances that are played by other people
_PEOPLE = ((1 / 3, 0), (1.0, 3))  # age from infant 0 to old 1, seed: a child and an old one


@dataclass(frozen=True)
class Variant:
    """A form of token.

    Attributes:
        kind: What is quantized.
        quantizer: "parts" has codebooks of parts of the face; the others one for the whole.
        frames_per_token: Frames that a token stands for.
    """

    kind: Kind
    quantizer: Literal["parts", "vq", "fsq", "rvq"]
    frames_per_token: int = 1

    @property
    def name(self) -> str:
        """How it is asked for."""
        return f"{self.kind}-{self.quantizer}-{self.frames_per_token}"

    def sizes(self) -> TokenizerConfig:
        """Its tokenizer: the sizes of the shipped one, 1024 codes in each learned codebook."""
        if self.quantizer == "parts":
            return TokenizerConfig(self.kind)
        return TokenizerConfig(
            self.kind,
            scheme="joint",
            quantizer=QuantizerConfig(self.quantizer, num_quantizers=CHAIN),
            frames_per_token=self.frames_per_token,
        )


VARIANTS = (
    *(Variant("geometry", quantizer) for quantizer in ("parts", "vq", "fsq", "rvq")),
    *(Variant("geometry", quantizer, 2) for quantizer in ("vq", "fsq", "rvq")),
    *(Variant("geometry", quantizer, 4) for quantizer in ("vq", "fsq", "rvq")),
    *(Variant("coefficients", quantizer) for quantizer in ("parts", "vq", "fsq", "rvq")),
)


@dataclass(frozen=True)
class Faces:
    """What every variant is measured on.

    Attributes:
        motions: Held-out performances.
        played: Some of them, each beside what is found when another person plays it.
        take: A real recording, or None.
    """

    motions: Sequence[Motion]
    played: Sequence[tuple[Motion, Motion]]
    take: Motion | None

    def apart_mm(self, space: FaceSpace) -> float:
        """Mean distance of points between a performance and what was found again, mm."""
        pairs = ((frames_of(a), frames_of(b)) for a, b in self.played)
        return statistics.mean(float(point_errors_mm(b, a, space).mean()) for a, b in pairs)


@dataclass(frozen=True)
class Row:
    """The figures of a variant; see `TokenizerFigures` and `Deviation` for what each is.

    Attributes:
        name: Of the variant.
        codes: Different integers, in each place of a token that has several.
        integers: Integers a token; 0 for a face at rest.
        frames_per_token: Frames a token.
        bits_per_second: What the tokens of a second can tell.
        figures: On the held-out performances; empty for a face at rest.
        deviation: The same frames as the field measures them, mean over performances.
        same_coefficients: Share of tokens that stay when coefficients change and points do not.
        same_person: Share of tokens that stay when another person plays the performance.
        take: Of the real recording: figures and deviation; None where there is none.
        steps: Optimizer steps; None where they are not of this table.
        training_seconds: Of the last run of the training.
    """

    name: str
    codes: int
    integers: int
    frames_per_token: int
    bits_per_second: float
    figures: dict[str, float]
    deviation: dict[str, float]
    same_coefficients: float | None
    same_person: float | None
    take: dict[str, float] | None
    steps: int | None = None
    training_seconds: float | None = None


def played_by_others(motions: Sequence[Motion]) -> list[tuple[Motion, Motion]]:
    """Let other people play performances, and find the motion again from their points alone.

    A person's points move as a scan of that person would show; `fit` takes them for the mean
    person's, since nobody said whose they are.
    """
    head, pairs = Head.default(), []
    people = [semantic(age=age, seed=seed).shape for age, seed in _PEOPLE]
    for motion in motions:
        for shape in people:
            with torch.no_grad():
                scan = head.face_points(motion.replace(shape=shape), own=True)
                found = fit(head, scan, fps=motion.fps).motion
            turn = {"neck_pose": motion.neck_pose, "global_pose": motion.global_pose}
            pairs.append((motion, found.replace(**turn)))
    return pairs


@torch.no_grad()
def measure(name: str, tokenizer: MotionTokenizer, faces: Faces) -> Row:
    """Measure a tokenizer on all faces."""
    played = [(tokenizer.encode(a), tokenizer.encode(b)) for a, b in faces.played]
    take = None
    if faces.take is not None:
        figures, deviations = _kept(tokenizer, [faces.take])
        take = figures | deviations
    figures, deviations = _kept(tokenizer, faces.motions)
    return Row(
        name=name,
        codes=tokenizer.codebook_size,
        integers=tokenizer.index_shape[0] if tokenizer.index_shape else 1,
        frames_per_token=tokenizer.frames_per_token,
        bits_per_second=tokenizer.bits_per_second,
        figures=figures,
        deviation=deviations,
        same_coefficients=same_look_agreement(tokenizer, faces.motions),
        same_person=share_of_equal_tokens(played),
        take=take,
    )


def _kept(
    tokenizer: MotionTokenizer, motions: Sequence[Motion]
) -> tuple[dict[str, float], dict[str, float]]:
    """Figures of coding motions, and how the result deviates by the field's measures.

    A figure that these motions do not have (blinks where there is none) is left out.
    """
    space, found = tokenizer.space, []
    for motion in motions:
        features = tokenizer.features(motion)
        decoded = tokenizer.codec.decode(tokenizer.encode(features)[None])
        points = space.displacements(decoded)[0] * space.ipd_mm
        true = _faces(motion.resample(tokenizer.fps), space)
        found.append(deviation(FaceMotion(points, decoded.rotation[0]), true, space))
    figures = evaluate(tokenizer, motions).as_dict()
    return {name: x for name, x in figures.items() if math.isfinite(x)}, _mean(found)


def _faces(motion: Motion, space: FaceSpace) -> FaceMotion:
    frames = frames_of(motion)
    return FaceMotion(space.displacements(frames) * space.ipd_mm, frames.rotation)


def _mean(found: Sequence[Deviation]) -> dict[str, float]:
    rows = [asdict(each) for each in found]
    return {name: statistics.mean(row[name] for row in rows) for name in rows[0]}


@torch.no_grad()
def measure_rest(faces: Faces, space: FaceSpace) -> Row:
    """Measure a face that never moves: what any figure must beat."""

    def resting(motions: Sequence[Motion]) -> dict[str, float]:
        true = [_faces(motion, space) for motion in motions]
        rest = [_faces(Motion.rest(motion.num_frames), space) for motion in motions]
        return _mean([deviation(a, b, space) for a, b in zip(rest, true, strict=True)])

    def lips(motions: Sequence[Motion]) -> dict[str, float]:
        points = torch.cat([_faces(motion, space).points for motion in motions])
        lengths = points.norm(dim=-1)
        lips_mm = float(lengths[:, space.region("lips")].mean())
        return {"mean_mm": float(lengths.mean()), "lips_mm": lips_mm, "jerk_ratio": 0.0}

    take = None if faces.take is None else resting([faces.take]) | lips([faces.take])
    kept = (lips(faces.motions), resting(faces.motions))
    return Row("a face at rest", 1, 0, 1, 0.0, *kept, None, None, take)


def saved_row(folder: Path, made: dict[str, Any]) -> Row | None:
    """The row that lies in a folder, where it was measured on the same; None where not."""
    path = folder / "row.json"
    if not path.is_file():
        return None
    found = json.loads(path.read_text(encoding="utf-8"))
    return Row(**found["row"]) if found["measured_on"] == made else None


def measured_row(
    folder: Path, variant: Variant, steps: int, faces: Faces, made: dict[str, Any]
) -> tuple[Row, float]:
    """Measure a trained variant and keep the row beside it; give the seconds it took, too."""
    start = time.perf_counter()
    tokenizer = MotionTokenizer.load(folder)
    row = replace(
        measure(variant.name, tokenizer, faces),
        steps=steps,
        training_seconds=float(tokenizer.card["training_seconds"]),
    )
    text = json.dumps({"measured_on": made, "row": asdict(row)}, indent=1)
    (folder / "row.json").write_text(text + "\n", encoding="utf-8")
    return row, time.perf_counter() - start


_HEADER = (
    "token",
    "a token is",
    "bits a second",
    "points, mm",
    "lips, mm",
    "worst lip, mm",
    "upper-face dynamics, mm",
    "jerk ratio",
    "codes used",
    "perplexity",
    "same look",
    "another person",
)


def table(rows: Sequence[Row], is_take: bool = False) -> str:
    """Rows as Markdown: on the held-out performances, or on the take."""
    if is_take:
        rows = [_on_take(row) for row in rows if row.take is not None]
    return markdown_table(_HEADER, map(_cells, rows))


def _on_take(row: Row) -> Row:
    kept = row.take or {}
    return replace(row, figures=kept, deviation=kept, same_coefficients=None, same_person=None)


def _cells(row: Row) -> tuple[str, ...]:
    kept, off = row.figures, row.deviation
    frames = "1 frame" if row.frames_per_token == 1 else f"{row.frames_per_token} frames"
    size = f"{row.integers} x {row.codes}" if row.integers > 1 else f"{row.codes}"
    is_coded = row.integers > 0
    return (
        row.name,
        f"{size} codes, {frames}" if is_coded else "none",
        f"{row.bits_per_second:.4g}",
        f"{kept['mean_mm']:.2f}",
        f"{kept['lips_mm']:.2f}",
        f"{off['lve_mm']:.2f}",
        f"{off['fdd_paper_mm']:+.3f}",
        f"{kept.get('jerk_ratio', math.nan):.2f}",
        f"{kept['code_use']:.0%}" if is_coded else "",
        f"{kept['perplexity']:.0f}" if is_coded else "",
        "" if row.same_coefficients is None else f"{row.same_coefficients:.1%}",
        "" if row.same_person is None else f"{row.same_person:.1%}",
    )
