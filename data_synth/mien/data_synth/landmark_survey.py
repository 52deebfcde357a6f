"""Where MediaPipe's landmarks lie on the default head, measured on renders of known faces.

`python -m mien.data_synth.landmark_survey face_landmarker.task` films random people with open
mouths and eyes, asks the landmarker, and looks up which point of the skin (or eyeball) lies under
every landmark. The median over all pictures, made symmetric, is what `mien.tracking` ships.
"""

import dataclasses
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from numpy import ndarray
from safetensors.numpy import save_file

from mien.arkit import ARKIT_NAMES, JAW_OPEN_RADIANS, curves_from_motion
from mien.camera import Camera
from mien.data_synth.film import Film, random_film
from mien.files import whole_file
from mien.head import Head
from mien.identity import sample
from mien.motion import Motion
from mien.tracking.landmark_points import ASSET
from mien.tracking.landmarker import NUM_LANDMARKS, FaceLandmarker, MediaPipeLandmarker

NUM_FILMS, STILLS, SCORED_STILLS = 100, 5, 12
NUM_SKIN = 468  # the landmarks after these are on the irises
NUM_PEOPLE = 400
RIDGE, MOST_GAIN = 5e-4, 2.0
_MOVED = {
    "browInnerUp": 0.4,
    "browOuterUpLeft": 0.3,
    "browOuterUpRight": 0.3,
    "mouthSmileLeft": 0.5,
    "mouthSmileRight": 0.5,
    "mouthFunnel": 0.4,
    "mouthLowerDownLeft": 0.4,
    "mouthLowerDownRight": 0.4,
    "mouthUpperUpLeft": 0.3,
    "mouthUpperUpRight": 0.3,
    "eyeWideLeft": 0.6,
    "eyeWideRight": 0.6,
}
_GRAZING = 0.35  # cosine to the viewer under which a surface says little


def main() -> None:
    """Survey and write the asset."""
    torch.set_num_threads(1)
    model = Path(sys.argv[1])
    arrays = survey_places(model) | survey_scores(model) | survey_people()
    with whole_file(ASSET) as temporary:
        card = {"made_by": "python -m mien.data_synth.landmark_survey"}
        save_file(arrays, temporary, metadata=card)
    ASSET.chmod(0o644)


def survey_places(model: Path) -> dict[str, ndarray]:
    """Where the landmarks lie."""
    hits = []
    for seed in _counted(NUM_FILMS, "places"):
        film = random_film(10_000 + seed, motion=open_faces(seed))
        with MediaPipeLandmarker(model) as landmarker:
            hits += list(survey(film, landmarker))
    where, spread = settle(np.stack(hits))
    vertex_ids, weights = snap(where)
    return {
        "vertex_ids": vertex_ids.astype(np.int32),
        "weights": weights.astype(np.float32),
        "spread": (spread / Head.default().ipd).astype(np.float32),
    }


def survey_people() -> dict[str, ndarray]:
    """How identities lie about their mean."""
    people = torch.stack([sample(seed).shape for seed in range(NUM_PEOPLE)]).numpy()
    return {"shape_mean": people.mean(0), "shape_spread": people.std(0)}


def survey_scores(model: Path) -> dict[str, ndarray]:
    """What the landmarker's scores are at rest, and what they say of units beyond that."""
    resting, moving, units = [], [], []
    for seed in _counted(NUM_FILMS, "scores"):
        film = random_film(20_000 + seed, seconds=6.0)
        rng = np.random.default_rng(seed)
        picked = np.r_[0, rng.integers(15, film.motion.num_frames, SCORED_STILLS)]
        film = dataclasses.replace(film, motion=film.motion.sample(torch.from_numpy(picked)))
        with MediaPipeLandmarker(model) as landmarker:
            found = [landmarker.find(frame, i * 10.0) for i, frame in enumerate(film.frames())]
        scores = [max(faces, key=lambda f: f.area).scores if faces else None for faces in found]
        if scores[0] is None:
            continue
        seen = [i for i, each in enumerate(scores) if i and each is not None]
        resting.append(scores[0])
        moving += [(scores[i] - scores[0]).clip(0) for i in seen]
        units.append(curves_from_motion(film.truth)[seen, : len(ARKIT_NAMES)].numpy())
    return regress(np.stack(resting), np.stack(moving), np.concatenate(units))


def regress(
    resting: Float[ndarray, "n 52"], moving: Float[ndarray, "i 52"], units: Float[ndarray, "i 52"]
) -> dict[str, ndarray]:
    """A line through zero for each score, and how far units lie from it."""
    gain = (moving * units).sum(0) / ((moving**2).sum(0) + RIDGE * len(moving))
    gain = gain.clip(0, MOST_GAIN)
    spread = np.sqrt(((units - gain * moving) ** 2).mean(0))
    rest = np.quantile(resting, 0.75, axis=0)
    found = {"score_rest": rest, "score_gain": gain, "score_spread": spread}
    return {name: each.astype(np.float32) for name, each in found.items()}


def _counted(count: int, what: str) -> Iterator[int]:
    for index in range(count):
        sys.stderr.write(f"\r{what}: {index + 1} of {count} people ")
        yield index


def open_faces(seed: int) -> Motion:
    """A few stills with open mouth and eyes, so that no two lips or lids lie on each other."""
    rng = np.random.default_rng(seed)
    motion = Motion.rest(STILLS)
    names = Head.default().expr_names
    for name, most in _MOVED.items():
        amount = rng.uniform(0, most, STILLS) * (rng.uniform(size=STILLS) < 0.4)
        motion.expr[:, names.index(name)] = torch.from_numpy(amount).float()
    motion.jaw_pose[:, 0] = torch.from_numpy(rng.uniform(0.2, 0.7, STILLS) * JAW_OPEN_RADIANS)
    return motion


def open_template() -> Float[ndarray, "v 3"]:
    """The head's mean with an open mouth, where hits are averaged: its lips lie apart."""
    posed: Float[ndarray, "v 3"] = Head.default()(jaw_pose=torch.tensor([0.2, 0, 0])).numpy()
    return posed


def survey(film: Film, landmarker: FaceLandmarker) -> Iterator[Float[ndarray, "478 3"]]:
    """What lies under each landmark in every frame, on `open_template`; NaN where unsure."""
    meshes = film.avatar.vertices(film.motion).double().numpy()
    for index, (frame, mesh) in enumerate(zip(film.frames(), meshes, strict=True)):
        found = landmarker.find(frame, index * 10.0)  # far apart: none follows from the last
        if found:
            face = max(found, key=lambda each: each.area)
            yield look_up(face.landmarks[:, :2], mesh, film.camera)


def look_up(
    pixels: Float[ndarray, "478 2"], mesh: Float[ndarray, "v 3"], camera: Camera
) -> Float[ndarray, "478 3"]:
    """The points of a mesh that are seen at some pixels, carried to `open_template`."""
    head = Head.default()
    faces = head.faces.numpy()
    viewmat, intrinsics = camera.viewmat.double().numpy(), camera.K.double().numpy()
    seen = mesh @ viewmat[:3, :3].T + viewmat[:3, 3]
    flat = (seen @ intrinsics.T)[:, :2] / seen[:, 2:]
    corners = seen[faces]
    normals = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    sight = corners.mean(1)
    cosine = -(normals * sight).sum(1) / (
        np.linalg.norm(normals, axis=1) * np.linalg.norm(sight, axis=1) + 1e-12
    )
    template = open_template()
    found = np.full((NUM_LANDMARKS, 3), np.nan)
    for ids, parts in (
        (slice(0, NUM_SKIN), ("skin",)),
        (slice(NUM_SKIN, NUM_LANDMARKS), ("eye_left", "eye_right")),
    ):
        usable = faces[_of_parts(head, parts) & (cosine > _GRAZING)]
        found[ids] = _hits(pixels[ids], flat, seen[:, 2], usable, template)
    return found


def _of_parts(head: Head, parts: tuple[str, ...]) -> Bool[ndarray, " f"]:
    chosen = np.zeros(head.num_vertices, dtype=bool)
    for part in parts:
        chosen[head.parts[part].numpy()] = True
    return np.asarray(chosen[head.faces.numpy()].all(1), dtype=np.bool_)


def _hits(
    pixels: Float[ndarray, "n 2"],
    flat: Float[ndarray, "v 2"],
    depth: Float[ndarray, " v"],
    faces: Int[ndarray, "f 3"],
    template: Float[ndarray, "v 3"],
) -> Float[ndarray, "n 3"]:
    """The nearest triangle over each pixel; else the nearest corner, if it is close."""
    first, second, third = (flat[faces[:, i]] for i in range(3))
    one, two = second - first, third - first
    area = one[:, 0] * two[:, 1] - one[:, 1] * two[:, 0]
    off = pixels[:, None] - first
    b = (off[..., 0] * two[:, 1] - off[..., 1] * two[:, 0]) / area
    c = (one[:, 0] * off[..., 1] - one[:, 1] * off[..., 0]) / area
    shares = np.stack([1 - b - c, b, c], -1)
    is_inside = (shares >= 0).all(-1)
    far = np.where(is_inside, (shares * depth[faces]).sum(-1), np.inf)
    best = far.argmin(1)
    rows = np.arange(len(pixels))
    carried = (shares[rows, best][..., None] * template[faces[best]]).sum(1)
    corners = np.unique(faces)
    away = np.linalg.norm(pixels[:, None] - flat[corners], axis=-1)
    nearest = away.argmin(1)
    close = away[rows, nearest] < 0.02 * np.ptp(flat[corners], axis=0).max()
    beside = np.where(close[:, None], template[corners[nearest]], np.nan)
    is_hit = np.isfinite(far[rows, best])
    hit: Float[ndarray, "n 3"] = np.where(is_hit[:, None], carried, beside)
    return hit


def settle(
    hits: Float[ndarray, "i 478 3"],
) -> tuple[Float[ndarray, "478 3"], Float[ndarray, " 478"]]:
    """The symmetric median of all hits, and how far single hits lie from it, metres."""
    where = np.nanmedian(hits, axis=0)
    flip = np.array([-1.0, 1.0, 1.0])
    mirror = np.linalg.norm(where[:, None] - where * flip, axis=-1).argmin(1)
    where = (where + where[mirror] * flip) / 2
    spread = np.sqrt(np.nanmedian(((hits - where) ** 2).sum(-1), axis=0))
    spread = (spread + spread[mirror]) / 2
    return where, spread


def snap(
    where: Float[ndarray, "478 3"],
) -> tuple[Int[ndarray, "478 3"], Float[ndarray, "478 3"]]:
    """The nearest points on the skin or the eyeballs: corners and barycentric weights."""
    head, template = Head.default(), open_template().astype(np.float64)
    faces = head.faces.numpy()
    ids = np.zeros((NUM_LANDMARKS, 3), dtype=np.int64)
    weights = np.zeros((NUM_LANDMARKS, 3))
    skin, eyes = _of_parts(head, ("skin",)), _of_parts(head, ("eye_left", "eye_right"))
    for index, point in enumerate(where):
        usable = faces[skin if index < NUM_SKIN else eyes]
        shares = closest_on_triangles(point, template[usable])
        off = np.linalg.norm((shares[..., None] * template[usable]).sum(1) - point, axis=1)
        ids[index], weights[index] = usable[off.argmin()], shares[off.argmin()]
    return ids, weights


def closest_on_triangles(
    point: Float[ndarray, "3"], triangles: Float[ndarray, "f 3 3"]
) -> Float[ndarray, "f 3"]:
    """Barycentric weights of each triangle's point that is nearest to `point`."""
    corners = [triangles[:, i] for i in range(3)]
    one, two = corners[1] - corners[0], corners[2] - corners[0]
    normal = np.cross(one, two)
    square = (normal**2).sum(1) + 1e-18
    off = point - corners[0]
    b = (np.cross(off, two) * normal).sum(1) / square
    c = (np.cross(one, off) * normal).sum(1) / square
    best = np.stack([1 - b - c, b, c], 1)
    is_inside = (best >= 0).all(1)
    least = np.where(is_inside, 0.0, np.inf)
    for start in range(3):
        stop = (start + 1) % 3
        edge = corners[stop] - corners[start]
        along = ((point - corners[start]) * edge).sum(1) / ((edge**2).sum(1) + 1e-18)
        along = along.clip(0, 1)
        away = ((corners[start] + along[:, None] * edge - point) ** 2).sum(1)
        is_better = away < least
        shares = np.zeros_like(best)
        shares[:, start], shares[:, stop] = 1 - along, along
        best = np.where(is_better[:, None], shares, best)
        least = np.where(is_better, away, least)
    return best


if __name__ == "__main__":
    main()
