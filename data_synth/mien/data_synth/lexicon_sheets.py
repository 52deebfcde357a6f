"""Every entry of the lexicon as a face and its curves, on labeled sheets to look through.

`python -m mien.data_synth.lexicon_sheets -o docs` draws each entry, on each side of its own, as a
performer without chance or habits does it: still looks where they are strongest, movements where
they are farthest from rest and again where they are farthest from that. With
`--recipes NEW.toml` only the entries of that file are drawn, as they are and as the file says.
"""

import math
import tomllib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
import torch
import tyro
from jaxtyping import Float, UInt8
from numpy import ndarray
from PIL import Image, ImageDraw, ImageFont

from mien.arkit import ARKIT_NAMES, CHANNEL_NAMES, motion_from_curves
from mien.avatar import Avatar, render_frames
from mien.camera import Camera
from mien.data_synth.clip import FPS
from mien.data_synth.idle import add_idle
from mien.data_synth.lexicon import KINDS, TRACKS, Entry, Lexicon, Side, read_entries
from mien.data_synth.performance import Action, shaped_action
from mien.data_synth.performer import action_tracks, to_curves
from mien.data_synth.programs import run_program
from mien.data_synth.style import Style
from mien.files import whole_file

__all__ = ["Act", "acts_of", "curves_of", "draw_sheet", "main", "moments", "tried"]

MOST_ENTRIES = 45  # on a sheet
INTENSITY = 0.8
LEAD_S = 0.2  # of rest before and after
COLUMNS, MARGIN, LABEL, STRIP = 10, 3, 13, 26  # pixels
HEIGHT_M, CENTER_M, FOV_DEG = 0.27, (0.0, -0.012, 0.0), 20.0
PAPER, INK, GRAY = (250, 249, 247), (30, 30, 34), (205, 203, 199)
REGIONS = {
    "brow": (47, 107, 196),
    "eye": (36, 140, 90),
    "gaze": (150, 70, 180),
    "mouth": (204, 60, 50),
    "head": (20, 20, 20),
}
_FULL_TURN = 0.45  # radians of the head that count as much as a unit at full strength
_STILL = 0.08
_UNLIKE = 0.25  # of a unit, all channels together


@dataclass(frozen=True, eq=False)
class Act:
    """One entry done on one side.

    Attributes:
        label: What the sheet calls it.
        entry: What is done.
        side: Where.
    """

    label: str
    entry: Entry
    side: Side


def main() -> None:
    """Draw the sheets and say where they are."""
    run_program(Options)


def acts_of(entries: Iterable[Entry], mark: str = "") -> list[Act]:
    """Every side of every entry; the usual side has no mark of its own."""
    short = {"both": "", "left": " L", "right": " R"}
    return [Act(e.id + short[s] + mark, e, s) for e in entries for s in e.sides]


def tried(path: Path, lexicon: Lexicon) -> list[Act]:
    """Entries as they are, each before what a file of recipes would make of it.

    Raises:
        ValueError: If the file is no TOML, or changes no entry of the lexicon.
    """
    try:
        tables = tomllib.loads(path.read_text("utf-8"))
    except tomllib.TOMLDecodeError as error:
        raise ValueError(f"{path}: wanted recipes in TOML ({error}).") from error
    acts = []
    for name, table in tables.items():
        old = lexicon[name]
        new = read_entries(old.kind, {name: table}, {})[name]
        for before, after in zip(acts_of([old]), acts_of([new], " new"), strict=False):
            acts += [before, after]
    if not acts:
        raise ValueError(f"{path}: wanted at least one recipe, got none.")
    return acts


def curves_of(act: Act, intensity: float = INTENSITY) -> Float[ndarray, "t 61"]:
    """Curves of an act, at the middle of its usual pace and length, without chance."""
    action = _timed(act, intensity)
    times = np.arange(round((action.end_s + LEAD_S) * FPS)) / FPS
    style, rng = _plain(), np.random.default_rng(0)
    _, tracks = action_tracks(action, act.entry.on_side(act.side), times, style, rng)
    nothing = np.zeros(len(times))
    add_idle(tracks, times, style, rng, nothing, nothing)  # lids follow the gaze
    return to_curves(tracks)


def _timed(act: Act, intensity: float = INTENSITY) -> Action:
    low, high = act.entry.intensity
    strength = float(np.clip(intensity, low, high))
    end = LEAD_S + sum(act.entry.seconds) / 2
    return shaped_action(act.entry, act.side, strength, LEAD_S, end, False)


def _plain() -> Style:
    ones = np.ones(len(TRACKS))
    return Style(ones, 0 * ones, tempo_share=0.5, looseness=0.0, blink_hz=0.0, alertness=1.0)


def moments(act: Act, curves: Float[ndarray, "t 61"]) -> list[int]:
    """Frames to look at: the farthest from rest, and of a movement the farthest from that.

    Where a look is held, the second is of the time in which it is held, if it differs enough.
    """
    scaled = curves.copy()
    scaled[:, len(ARKIT_NAMES) :] /= _FULL_TURN
    first = int(np.linalg.norm(scaled, axis=1).argmax())
    if not (act.entry.wave or act.entry.steps):
        return [first]
    action = _timed(act)
    held = (action.apex_s, action.release_s) if act.entry.units else (LEAD_S, action.end_s)
    start, stop = (round(time * FPS) for time in held)
    away = np.linalg.norm(scaled - scaled[first], axis=1)[start:stop]
    if not len(away) or away.max() < _UNLIKE:
        return [first]
    return sorted({first, start + int(away.argmax())})


def draw_sheet(
    acts: Sequence[Act], avatar: Avatar, tile: int, title: str, columns: int = COLUMNS
) -> Image.Image:
    """Lay acts out in rows: the face, its curves with a tick at the moment shown, its name."""
    tiles = []
    for act in acts:
        curves = curves_of(act)
        frames = moments(act, curves)
        pictures = faces(curves[frames], avatar, tile)
        for frame, picture in zip(frames, pictures, strict=True):
            tiles.append(_tile(picture, curves, frame, act.label))
    return _lay_out(tiles, title, min(columns, len(tiles)))


def faces(
    curves: Float[ndarray, "n 61"], avatar: Avatar, size: int
) -> Iterator[UInt8[ndarray, "h w 3"]]:
    """Draw one face for each row of curves, sRGB."""
    distance = HEIGHT_M / 2 / math.tan(math.radians(FOV_DEG) / 2)
    x, y, z = CENTER_M
    camera = Camera.look_at(
        (x, y, z + distance), CENTER_M, fov_deg=FOV_DEG, width=size, height=size
    )
    paper = (PAPER[0] / 255, PAPER[1] / 255, PAPER[2] / 255)
    with torch.no_grad():
        driven = avatar.drive(motion_from_curves(curves, FPS), camera)
        for drawn in render_frames(driven, camera, paper, num_threads=1):
            yield (drawn.image.clamp(0, 1) * 255).round().byte().numpy()


def _tile(
    picture: UInt8[ndarray, "h w 3"], curves: Float[ndarray, "t 61"], frame: int, label: str
) -> Image.Image:
    size = picture.shape[1]
    tile = Image.new("RGB", (size, size + STRIP + LABEL), PAPER)
    tile.paste(Image.fromarray(picture), (0, 0))
    draw = ImageDraw.Draw(tile)
    top = size + 1
    draw.rectangle((0, top, size - 1, top + STRIP - 2), outline=GRAY)
    at = round(frame / (len(curves) - 1) * (size - 1))
    draw.line((at, top, at, top + STRIP - 2), fill=GRAY, width=2)
    for color, values in _lines(curves):
        steps = enumerate(values)
        places = [
            (i / (len(values) - 1) * (size - 1), top + (STRIP - 3) * (1 - v)) for i, v in steps
        ]
        draw.line(places, fill=color, width=1)
    draw.text((1, size + STRIP), label, INK, ImageFont.load_default(size=11))
    return tile


def _lines(curves: Float[ndarray, "t 61"]) -> Iterator[tuple[tuple[int, int, int], ndarray]]:
    """A color and values of 0 to 1 for each channel that moves; one half of a pair that agrees."""
    for column, name in enumerate(CHANNEL_NAMES):
        values = curves[:, column]
        twin = name.removesuffix("Right") + "Left"
        if name.endswith("Right") and twin in CHANNEL_NAMES:
            other = curves[:, CHANNEL_NAMES.index(twin)]
            values = values if np.abs(values - other).max() > _STILL else 0 * values
        if name.startswith("head"):
            values = 0.5 - values / (4 * _FULL_TURN)
        if np.ptp(values) > _STILL / (3 if name.startswith("head") else 1):
            yield REGIONS[_region(name)], np.clip(values, 0, 1)


def _region(channel: str) -> str:
    if channel.startswith("eyeLook"):
        return "gaze"
    return next((r for r in ("brow", "eye", "head") if channel.startswith(r)), "mouth")


def _lay_out(tiles: Sequence[Image.Image], title: str, columns: int) -> Image.Image:
    width, height = tiles[0].size
    rows, top = -(-len(tiles) // columns), LABEL + 3 * MARGIN
    size = (columns * (width + MARGIN) + MARGIN, top + rows * (height + MARGIN))
    sheet = Image.new("RGB", size, PAPER)
    for i, tile in enumerate(tiles):
        across, down = i % columns, i // columns
        sheet.paste(tile, (MARGIN + across * (width + MARGIN), top + down * (height + MARGIN)))
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(size=13)
    draw.text((MARGIN, MARGIN), title, INK, font)
    x = MARGIN + draw.textlength(title + "    ", font)
    for region, color in REGIONS.items():
        draw.text((x, MARGIN), region, color, font)
        x += draw.textlength(region + "  ", font)
    return sheet


def sheets(lexicon: Lexicon) -> Iterator[tuple[str, list[Act]]]:
    """Names and acts of the sheets: by kind, none with more than `MOST_ENTRIES` entries."""
    for kind in KINDS:
        entries = lexicon.of_kind(kind)
        parts = -(-len(entries) // MOST_ENTRIES)
        for part in range(parts):
            low, high = (round(len(entries) * p / parts) for p in (part, part + 1))
            name = f"lexicon_{kind}" + (f"_{part + 1}" if parts > 1 else "")
            yield name, acts_of(entries[low:high])


@dataclass(frozen=True)
class Options:
    """Draw every entry of the lexicon on labeled sheets."""

    out: Annotated[Path, tyro.conf.arg(aliases=["-o"], metavar="FOLDER")] = Path("docs")
    """Where the sheets go, as lexicon_KIND.jpg."""
    recipes: Path | None = None
    """Draw the entries of a file of recipes alone, old beside new: lexicon_tried.jpg."""
    only: tuple[str, ...] = ()
    """Draw these entries alone: lexicon_chosen.jpg."""
    avatar: str = "adult"
    """Whose face."""
    tile: int = 112
    """Width and height of a face, pixels."""
    quality: int = 60
    """Of the JPEG files."""

    def run(self) -> Iterator[Path]:
        """Draw one sheet after the other."""
        lexicon, avatar = Lexicon.default(), Avatar.load(self.avatar)
        self.out.mkdir(parents=True, exist_ok=True)
        for name, acts in self._sheets(lexicon):
            title = name.replace("_", " ")
            sheet = draw_sheet(acts, avatar, self.tile, title)
            path = self.out / f"{name}.jpg"
            with whole_file(path) as temporary:
                sheet.save(temporary, quality=self.quality, optimize=True, progressive=True)
            yield path

    def _sheets(self, lexicon: Lexicon) -> Iterable[tuple[str, list[Act]]]:
        if self.recipes is not None:
            return [("lexicon_tried", tried(self.recipes, lexicon))]
        if self.only:
            return [("lexicon_chosen", acts_of(lexicon[name] for name in self.only))]
        return sheets(lexicon)


if __name__ == "__main__":
    main()
