"""One person's face through a clip: which of the faces it is, and where it is lost."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, UInt8
from numpy import ndarray

from mien.tracking.landmarker import Face, FaceLandmarker

__all__ = ["Sightings", "follow"]

_NEAR = 0.5  # of a face's size: how far it may move from one frame to the next


@dataclass(frozen=True, eq=False)
class Sightings:
    """The face of every frame.

    Attributes:
        faces: None where it was lost.
        most_faces: How many were seen at once, at most.
    """

    faces: tuple[Face | None, ...]
    most_faces: int

    @property
    def seen(self) -> Bool[ndarray, " t"]:
        """In which frames it was found."""
        return np.array([face is not None for face in self.faces])

    def gaps(self) -> list[tuple[int, int]]:
        """Runs of frames without it: the first, and the one after the last."""
        edges = np.flatnonzero(np.diff(np.r_[True, self.seen, True].astype(int)))
        return [(int(start), int(stop)) for start, stop in edges.reshape(-1, 2)]

    def longest(self, most_frames: int) -> tuple[int, int]:
        """The longest stretch between gaps of more than `most_frames`, without gaps at its ends.

        Raises:
            ValueError: If no frame shows a face.
        """
        if not self.seen.any():
            raise ValueError(f"No face was found in any of {len(self.faces)} frames.")
        ends = [(0, 0), *self.gaps(), (len(self.faces), len(self.faces))]
        long = [
            (start, stop)
            for start, stop in ends
            if stop - start > most_frames or start == 0 or stop == len(self.faces)
        ]
        pairs = zip(long, long[1:], strict=False)
        stretches = [(before[1], after[0]) for before, after in pairs]
        return max(stretches, key=lambda each: each[1] - each[0])


def follow(
    frames: Iterable[UInt8[ndarray, "h w 3"]], fps: float, landmarker: FaceLandmarker
) -> Sightings:
    """Find the largest face of the first frame that has one, and the same one from then on."""
    faces: list[Face | None] = []
    last: Face | None = None
    most = 0
    for index, frame in enumerate(frames):
        found = landmarker.find(frame, index / fps)
        most = max(most, len(found))
        face = _same(found, last)
        faces.append(face)
        last = face or last
    return Sightings(tuple(faces), most)


def _same(found: list[Face], last: Face | None) -> Face | None:
    """The face that was seen last, else the largest."""
    if not found:
        return None
    if last is not None:
        nearest = min(found, key=lambda each: float(np.linalg.norm(each.center - last.center)))
        if np.linalg.norm(nearest.center - last.center) < _NEAR * np.sqrt(last.area):
            return nearest
    return max(found, key=lambda each: each.area)
