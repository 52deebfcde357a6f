"""What the irises' landmarks say of gaze, measured on films of known faces.

`python -m mien.data_synth.gaze_survey face_landmarker.task [FILMS]` makes three kinds of film of
random people: stills that look about with lids more or less closed, from which come the lines by
which `mien.tracking.gaze` reads yaw and pitch; clips of the corpus, which say how far these
mislead; and clips of other people, by which nothing was chosen: on them what ships, what this run
found and looking straight ahead are compared. What gaze usually does is counted on the corpus
without films. None of the films is the report's.
"""

import dataclasses
import itertools
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from numpy import ndarray
from torch import Tensor

from mien.arkit import ARKIT_NAMES, motion_from_curves
from mien.data_synth.clip import FPS, make_clip
from mien.data_synth.film import Film, random_film
from mien.data_synth.lexicon import Lexicon
from mien.head import Head
from mien.motion import Motion
from mien.tracking import Face, FaceLandmarker, MediaPipeLandmarker
from mien.tracking.gaze import ENOUGH_SEEN, SHIPPED, EyeCues, Reading, settle_gaze, split_gaze
from mien.tracking.tracker import read_landmarks

__all__ = [
    "Watched",
    "fit_lines",
    "format_checks",
    "gazing_faces",
    "looks_of_the_corpus",
    "main",
    "measure_misread",
    "usual_gaze",
]

STILLS_SEED, CLIPS_SEED, CHECKS_SEED = 40_000, 42_000, 44_000
NUM_FILMS, STILLS, NUM_CORPUS = 6, 12, 300
CLIP_S, CLIP_FPS = 3.0, 6.25  # few frames: drawing them takes longest
RESTING = 3  # of the stills, so that the person can be told from the gaze
MOST_YAW, MOST_PITCH = 0.45, 0.3  # radians
_OPEN = 0.35  # blink score up to which eyes count as open
_RIDGE = 1e-3
_STEPS = 200  # of expectation and maximization
_APART_S = 10.0  # between pictures, so that none is taken to follow on the last
_BLINKS = [ARKIT_NAMES.index(f"eyeBlink{side}") for side in ("Left", "Right")]


@dataclass(frozen=True, eq=False)
class Watched:
    """A film as the landmarker saw it, in the frames in which it found a face.

    Attributes:
        cues: What the eyes showed.
        gaze: Where they really looked, yaw and pitch, radians.
        lids: Blink scores, the mean of both eyes.
        fps: Frames a second.
    """

    cues: EyeCues
    gaze: Float[Tensor, "t 2"]
    lids: Float[Tensor, " t"]
    fps: float


def main() -> None:
    """Film, look, and print what to expect."""
    torch.set_num_threads(1)
    count = int(sys.argv[2]) if len(sys.argv) > 2 else NUM_FILMS
    stills, clips, checks = (
        _watch_all(sys.argv[1], kind, range(seed, seed + count))
        for kind, seed in ((_stills, STILLS_SEED), (_clip, CLIPS_SEED), (_clip, CHECKS_SEED))
    )
    found = survey(stills, clips)
    ways = {"as shipped": SHIPPED, "as found here": found}
    sys.stdout.write(f"{found}\n\n{format_checks(checks, ways)}\n")


def survey(stills: Sequence[Watched], clips: Sequence[Watched]) -> Reading:
    """All that `Reading` holds, from films and from the corpus."""
    cues = torch.cat([_columns(film.cues) for film in stills])
    gaze = torch.cat([film.gaze for film in stills])
    is_open = torch.cat([film.lids for film in stills]) < _OPEN
    yaw, pitch = fit_lines(cues[is_open], gaze[is_open])
    middles, about = looks_of_the_corpus(NUM_CORPUS)
    lively, still_spread, lively_spread = usual_gaze(np.concatenate([middles, about]))
    lines = Reading(
        yaw=(float(yaw[0]), float(yaw[1])),
        pitch=(float(pitch[0]), float(pitch[1]), float(pitch[2])),
        lively=lively,
        still_spread=still_spread,
        lively_spread=lively_spread,
    )
    always, otherwise = measure_misread(clips, lines)
    return dataclasses.replace(lines, always=always, otherwise=otherwise)


def gazing_faces(seed: int) -> Motion:
    """Stills of a face at rest that looks somewhere, some with lids half closed, tight or wide."""
    rng = np.random.default_rng(seed)
    motion, names = Motion.rest(STILLS), Head.default().expr_names
    yaw = rng.uniform(-MOST_YAW, MOST_YAW, STILLS)
    pitch = rng.uniform(-MOST_PITCH, MOST_PITCH, STILLS)
    shut, squint, wide = (
        rng.uniform(0, most, STILLS) * (rng.uniform(size=STILLS) < often)
        for most, often in ((1.0, 0.4), (0.8, 0.25), (0.8, 0.25))
    )
    for values in (yaw, pitch, shut, squint, wide):
        values[:RESTING] = 0
    for side in ("Left", "Right"):
        units = (("eyeBlink", shut), ("eyeSquint", squint), ("eyeWide", wide * (shut == 0)))
        for name, values in units:
            motion.expr[:, names.index(name + side)] = torch.from_numpy(values).float()
    for eye in (0, 3):
        motion.eye_pose[:, eye] = torch.from_numpy(pitch).float()
        motion.eye_pose[:, eye + 1] = torch.from_numpy(yaw).float()
    return motion


def fit_lines(
    cues: Float[Tensor, "i 3"], gaze: Float[Tensor, "i 2"]
) -> tuple[Float[Tensor, "2"], Float[Tensor, "3"]]:
    """Least squares: yaw of `across`, pitch of `up` and `opening`; the constant is last."""
    ones = torch.ones(len(cues), 1)
    yaw, pitch = (
        torch.linalg.solve(x.T @ x + _RIDGE * torch.eye(x.shape[1]), x.T @ y)
        for x, y in (
            (torch.cat([cues[:, :1], ones], 1), gaze[:, 0]),
            (torch.cat([cues[:, 1:], ones], 1), gaze[:, 1]),
        )
    )
    return yaw, pitch


def measure_misread(
    films: Sequence[Watched], lines: Reading
) -> tuple[tuple[float, float], tuple[float, float]]:
    """How far gaze is misread all through a film, and about that: root mean squares, radians.

    Films that never show the irises are left out.
    """
    middles, about = [], []
    for film in films:
        if not bool((film.cues.seen > ENOUGH_SEEN).any()):
            continue
        seeming, truth = film.cues.angles(lines), film.gaze
        middle, rest = split_gaze(seeming, film.cues.seen, film.fps)
        middles.append(middle - truth.median(0).values)
        about.append(rest - (truth - truth.median(0).values))
    always, otherwise = _rms(torch.stack(middles)), _rms(torch.cat(about))
    return (float(always[0]), float(always[1])), (float(otherwise[0]), float(otherwise[1]))


def looks_of_the_corpus(count: int) -> tuple[Float[ndarray, " c"], Float[ndarray, " f"]]:
    """Gaze in clips: each clip's median yaw and pitch, and all frames about these, radians."""
    middles, about = [], []
    for index in range(count):
        eyes = motion_from_curves(make_clip(0, index, Lexicon.default()).curves, FPS).eye_pose
        gaze = eyes[:, [1, 0]].double().numpy()
        middles.append(np.median(gaze, axis=0))
        about.append((gaze - middles[-1]).ravel())
    return np.concatenate(middles), np.concatenate(about)


def usual_gaze(looks: Float[ndarray, " n"]) -> tuple[float, float, float]:
    """Looks as a mixture of two normal spreads about zero: share of the wide one, both spreads."""
    squares = looks**2
    size = float(np.sqrt(squares.mean()))
    share, spreads = 0.3, np.array([0.1, 1.5]) * size
    for _ in range(_STEPS):
        parts = np.array([1 - share, share]) / spreads
        odds = parts * np.exp(-squares[:, None] / (2 * spreads**2)) + 1e-300
        odds /= odds.sum(1, keepdims=True)
        share = float(odds[:, 1].mean())
        spreads = np.sqrt((odds * squares[:, None]).sum(0) / odds.sum(0)).clip(1e-3)
    return share, float(spreads[0]), float(spreads[1])


def format_checks(films: Sequence[Watched], ways: Mapping[str, Reading]) -> str:
    """How far gaze is off by each way, and how it goes with the truth within films: a table."""
    truth = torch.cat([film.gaze for film in films])
    rows = [
        "| gaze | yaw off, rad | pitch off, rad | yaw goes with truth | pitch |",
        "|---|---|---|---|---|",
        _row("straight ahead", _rms(truth), None),
    ]
    for name, way in ways.items():
        found = [settle_gaze(f.cues.angles(way), f.cues.seen, f.fps, way) for f in films]
        off = torch.cat(found) - truth
        both = [_about_means(side) for side in (found, [film.gaze for film in films])]
        top, sizes = (both[0] * both[1]).sum(0), (_rms(both[0]) * _rms(both[1])) * len(truth)
        rows.append(_row(name, _rms(off), top / sizes.clamp(min=1e-12)))
    return "\n".join([*rows, "", f"{len(truth)} frames of {len(films)} films."])


def watch(films: Iterable[Film], landmarker: FaceLandmarker) -> Iterator[Watched]:
    """Films as the landmarker sees them; those in which it finds no face are left out."""
    times = itertools.count(step=_APART_S)
    for film in films:
        found = [_largest(landmarker, each, next(times)) for each in film.frames()]
        kept = [index for index, face in enumerate(found) if face is not None]
        sys.stderr.write(f"film {film.seed}: a face in {len(kept)} of {len(found)} pictures\n")
        if kept:
            yield _watched(film, [face for face in found if face is not None], kept)


def _watch_all(model: str, make: Callable[[int], Film], seeds: range) -> list[Watched]:
    with MediaPipeLandmarker(model) as landmarker:
        return list(watch(map(make, seeds), landmarker))


def _watched(film: Film, faces: list[Face], kept: list[int]) -> Watched:
    landmarks, weights, scores, person = read_landmarks(faces)
    cues = EyeCues.of(landmarks, weights, person, scores)
    eyes = film.truth.eye_pose[kept].reshape(-1, 2, 3).mean(1)
    return Watched(cues, eyes[:, [1, 0]], scores[:, _BLINKS].mean(1), film.motion.fps)


def _stills(seed: int) -> Film:
    return random_film(seed, motion=gazing_faces(seed))


def _clip(seed: int) -> Film:
    film = random_film(seed, CLIP_S)
    return dataclasses.replace(film, motion=film.motion.resample(CLIP_FPS))


def _largest(landmarker: FaceLandmarker, picture: ndarray, time_s: float) -> Face | None:
    found = landmarker.find(picture, time_s)
    return max(found, key=lambda face: face.area) if found else None


def _columns(cues: EyeCues) -> Float[Tensor, "t 3"]:
    return torch.stack([cues.across, cues.up, cues.opening], 1)


def _about_means(films: Sequence[Tensor]) -> Tensor:
    return torch.cat([each - each.mean(0) for each in films])


def _rms(values: Float[Tensor, "n 2"]) -> Float[Tensor, "2"]:
    root: Tensor = values.square().mean(0).sqrt()
    return root


def _row(name: str, off: Tensor, goes: Tensor | None) -> str:
    cells = [f"{value:.3f}" for value in off.tolist()]
    cells += ["", ""] if goes is None else [f"{value:.2f}" for value in goes.tolist()]
    return f"| {name} | " + " | ".join(cells) + " |"


if __name__ == "__main__":
    main()
