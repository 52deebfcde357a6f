"""How well tracking does on films of known faces, as tables.

`python -m mien.data_synth.tracking_report face_landmarker.task [FILMS]` films random grown people
(random identities, cameras up to 30 degrees aside, 14 to 45 degrees of view) that rest for a
moment and then do what a clip of the corpus does. The films are none of the survey's.
"""

import dataclasses
import logging
import sys
import time
from pathlib import Path

import numpy as np
import torch

from mien.arkit import ARKIT_NAMES, CHANNEL_NAMES, motion_from_curves
from mien.data_synth.film import Film, random_film
from mien.motion import Motion
from mien.tracking import (
    Errors,
    MediaPipeLandmarker,
    Sightings,
    follow,
    measure,
    table,
    track_sightings,
)

__all__ = ["main", "report"]

FIRST_SEED = 30_000
NUM_FILMS = 10
SECONDS = 3.0
FPS = 25.0
_Found = list[tuple[Film, Sightings]]


def main() -> None:
    """Film, track, and print the tables."""
    logging.basicConfig(format="%(message)s")
    torch.set_num_threads(1)
    count = int(sys.argv[2]) if len(sys.argv) > 2 else NUM_FILMS
    sys.stdout.write(report(Path(sys.argv[1]), count) + "\n")


def report(model: Path, num_films: int = NUM_FILMS) -> str:
    """Measure the shipped way and the ways not taken; processor seconds for speed."""
    found: _Found = []
    looking, frames = 0.0, 0
    for seed in range(num_films):
        film = random_film(FIRST_SEED + seed, SECONDS)
        pictures = list(film.frames())
        with MediaPipeLandmarker(model) as landmarker:
            begun = time.process_time()
            found.append((film, follow(pictures, FPS, landmarker)))
            looking += time.process_time() - begun
        frames += len(pictures)
    begun = time.process_time()
    shipped = [_measured(film, track_sightings(seen, FPS).motion) for film, seen in found]
    fitting = time.process_time() - begun
    ways = {
        "landmarks and scores, smoothed (shipped)": shipped,
        "not smoothed": [
            _measured(film, track_sightings(seen, FPS, "none").motion) for film, seen in found
        ],
        "causal smoothing": [
            _measured(film, track_sightings(seen, FPS, "causal").motion) for film, seen in found
        ],
        "landmarks without scores": [
            _measured(film, track_sightings(_without_scores(seen), FPS).motion)
            for film, seen in found
        ],
        "scores as units, no landmarks": [
            _measured(film, _by_scores(seen)) for film, seen in found
        ],
    }
    speed = (
        f"{frames} frames of {num_films} films: looking {frames / looking:.0f} frames a processor "
        f"second, fitting {frames / fitting:.0f}."
    )
    return "\n\n".join([_compared(ways), table(shipped), speed])


def _compared(ways: dict[str, list[Errors]]) -> str:
    rows = [
        "| way | points, mm | lips, mm | lids, mm | about the mean, mm | jerk | correlation |",
        "|---|---|---|---|---|---|---|",
    ]
    for name, errors in ways.items():
        means = [
            *(np.mean([e.points_mm[part] for e in errors]) for part in ("all points", "lips")),
            np.mean([e.points_mm["lids"] for e in errors]),
            np.mean([e.about_mean_mm["all points"] for e in errors]),
            np.mean([e.jerk_ratio for e in errors]),
            np.mean([value for e in errors for value in e.correlations.values()]),
        ]
        rows.append(f"| {name} | " + " | ".join(f"{mean:.2f}" for mean in means) + " |")
    return "\n".join(rows)


def _measured(film: Film, tracked: Motion) -> Errors:
    flip = torch.diag(torch.tensor([1.0, -1.0, -1.0]))
    return measure(tracked, film.truth, flip @ film.camera.viewmat[:3, :3])


def _without_scores(seen: Sightings) -> Sightings:
    blank = np.zeros(len(ARKIT_NAMES))
    faces = [face and dataclasses.replace(face, scores=blank) for face in seen.faces]
    return Sightings(tuple(faces), seen.most_faces)


def _by_scores(seen: Sightings) -> Motion:
    """Scores taken for units, less those of the first frame, in which films rest."""
    faces = [face for face in seen.faces if face is not None]
    scores = np.stack([face.scores for face in faces])
    curves = np.zeros((len(faces), len(CHANNEL_NAMES)), np.float32)
    curves[:, : len(ARKIT_NAMES)] = (scores - scores[0]).clip(0, 1)
    return motion_from_curves(curves, FPS)


if __name__ == "__main__":
    main()
