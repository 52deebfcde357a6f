"""The figures of `mien eval avatar` as tables."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from mien.apps.avatar_evaluation import ASIDE_DEG, METRICS, Shot, mean_of

GROUPS = ("same expression", "other expression", "held-out expression")
_HEADS = {"psnr": "PSNR, dB", "ssim": "SSIM", "perceptual": "perceptual", "identity": "identity"}
_FORMATS = {"psnr": "{:.2f}", "ssim": "{:.3f}", "perceptual": "{:.4f}", "identity": "{:.3f}"}


@dataclass(frozen=True)
class Ablation:
    """One encoder among others.

    Attributes:
        name: Of its folder.
        changes: Settings that differ from the usual ones, from its card.
        shots: From one photo.
        moving: See `AvatarReport`.
    """

    name: str
    changes: dict[str, Any]
    shots: tuple[Shot, ...]
    moving: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class AvatarReport:
    """All figures.

    Attributes:
        made: What was measured: cards, counts, seeds, the machine.
        shots: Every picture from each number of photos; empty without a main encoder.
        floor: From one photo of somebody else.
        ceiling: From what the people were painted as; empty where that is not known.
        moving: How far what the network adds is from how people's colors change, see
            `change_errors`; empty where that is not known.
        judge: How well the judge of identity tells held-out people apart.
        ablations: Encoders to compare.
        speed: Seconds a stage of a frame, by size and device.
        making: Seconds of encoding and refinement.
    """

    made: dict[str, Any]
    shots: tuple[Shot, ...] = ()
    floor: tuple[Shot, ...] = ()
    ceiling: tuple[Shot, ...] = ()
    moving: dict[str, float] = field(default_factory=dict)
    judge: dict[str, float] = field(default_factory=dict)
    ablations: tuple[Ablation, ...] = ()
    speed: tuple[dict[str, Any], ...] = ()
    making: dict[str, float] = field(default_factory=dict)

    def as_markdown(self) -> str:
        """All tables."""
        parts = [
            *(self._quality(), self._ablations(), self._moving()),
            *(self._speed(), self._making()),
        ]
        return "\n\n".join(part for part in parts if part) + "\n"

    def as_json(self) -> dict[str, Any]:
        """Everything, as JSON can say it."""
        return asdict(self)

    def _quality(self) -> str:
        if not self.shots:
            return ""
        counts = sorted({shot.photos for shot in self.shots})
        rows: list[tuple[str, Mapping[str, float]]] = []
        for count in counts:
            name = f"{count} photo" + ("s" if count > 1 else "")
            rows.append((f"{name}: all pictures", mean_of(self.shots, photos=count)))
        one = counts[0]
        rows += [
            (f"{one} photo: {group}", mean_of(self.shots, photos=one, group=group))
            for group in GROUPS
        ]
        aside = mean_of(self.shots, photos=one, aside=True)
        rows.append((f"{one} photo: {ASIDE_DEG:g} degrees or more aside of the photo", aside))
        rows.append(("floor: from a photo of another person", mean_of(self.floor)))
        if self.ceiling:
            rows.append(("their own paintings as such maps, unmoved", mean_of(self.ceiling)))
        told = (
            f"{self.made['people']} people of the test split, none of whom training saw. Identity "
            "is the cosine of our own judge; on true pictures of these people: "
            f"{_judged(self.judge)}."
        )
        return told + "\n\n" + _table("avatars from photos", rows)

    def _ablations(self) -> str:
        if not self.ablations:
            return ""
        rows: list[tuple[str, Mapping[str, float]]] = []
        for each in self.ablations:
            rows.append((f"{_named(each)}: all", mean_of(each.shots)))
            rows.append((f"{_named(each)}: aside", mean_of(each.shots, aside=True)))
        told = (
            f"Encoders to compare, from one photo; aside: {ASIDE_DEG:g} degrees or more from the "
            "photo's camera."
        )
        return told + "\n\n" + _table("trained", rows)

    def _moving(self) -> str:
        rows = [("the encoder's network", self.moving)]
        rows += [(_named(each), each.moving) for each in self.ablations]
        rows = [(name, moving) for name, moving in rows if moving]
        if not rows:
            return ""
        first = rows[0][1]
        told = (
            "How colors change with expressions, known from the paintings, over the texels that "
            f"move, at {first['instants']:.0f} instants: root mean squares, sRGB."
        )
        lines = [
            "| what moves | rms |",
            "|---|---|",
            f"| the change itself | {first['known']:.4f} |",
        ]
        lines += [f"| left by {name} | {moving['left']:.4f} |" for name, moving in rows]
        return told + "\n\n" + "\n".join(lines)

    def _speed(self) -> str:
        if not self.speed:
            return ""
        lines = [
            "| size | Gaussians | device | picture | drive | decode | draw | frame | frames/s |",
            "|---|---|---|---|---|---|---|---|---|",
        ]
        for row in self.speed:
            stages = " | ".join(
                f"{1000 * row[name]:.1f} ms" for name in ("drive", "decode", "draw", "frame")
            )
            lines.append(
                f"| {row['size']} | {row['gaussians']:,} | {row['device']} | {row['side']} "
                f"| {stages} | {1 / row['frame']:.1f} |"
            )
        machine = self.made.get("machine", {})
        about = ", ".join(f"{name} {value}" for name, value in machine.items())
        return f"One frame; medians. {about}.\n\n" + "\n".join(lines)

    def _making(self) -> str:
        if not self.making:
            return ""
        lines = ["| making an avatar, one thread | seconds |", "|---|---|"]
        lines += [f"| {name} | {value:.2f} |" for name, value in self.making.items()]
        return "\n".join(lines)


def _judged(judge: Mapping[str, float]) -> str:
    return (
        f"one person {judge['same']:.3f}, two people {judge['other']:.3f}, "
        f"told apart {judge['auc']:.1%}"
    )


def _named(each: Ablation) -> str:
    changes = ", ".join(f"{name} {value}" for name, value in each.changes.items())
    return f"{each.name} ({changes})" if changes else each.name


def _table(title: str, rows: Sequence[tuple[str, Mapping[str, float]]]) -> str:
    lines = [
        "| " + " | ".join([title, "pictures", *(_HEADS[name] for name in METRICS)]) + " |",
        "|" + "---|" * (len(METRICS) + 2),
    ]
    for name, means in rows:
        cells = [
            "" if math.isnan(means[metric]) else _FORMATS[metric].format(means[metric])
            for metric in METRICS
        ]
        lines.append(f"| {name} | {means['count']:.0f} | " + " | ".join(cells) + " |")
    return "\n".join(lines)
