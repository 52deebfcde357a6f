"""The face points on FLAME's mesh: what lets motion go between FLAME and every other head."""

import logging
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from mien.face_points import PointSet
from mien.files import read_npz
from mien.head import Head

__all__ = ["NUM_VERTICES", "FlameCorrespondence", "correspondence", "flame_points"]

NUM_VERTICES = 5023
PATH = Path(__file__).parent / "assets" / "flame_points.npz"
_FARTHEST = 0.2  # of the eye distance, RMS; the mean head is at 0.05, a caricature at 0.12

_LOGGER = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class FlameCorrespondence:
    """Which places on FLAME's mesh and on the default head are the same.

    Attributes:
        vertex_ids: FLAME vertices that each face point hangs on.
        weights: Barycentric.
        is_observed: Whether FLAME has the point; it has no tongue.
        default_vertex_ids: Vertices of the default head that each FLAME vertex lies between.
        default_weights: Barycentric.
    """

    vertex_ids: Int[Tensor, "k 3"]
    weights: Float[Tensor, "k 3"]
    is_observed: Bool[Tensor, " k"]
    default_vertex_ids: Int[Tensor, "v 3"]
    default_weights: Float[Tensor, "v 3"]


@cache
def correspondence() -> FlameCorrespondence:
    """Give the shipped correspondence.

    Source:
        `core/bake/register_flame.py`, from the mean head of FLAME 2023 Open (CC BY 4.0).
    """
    arrays = read_npz(PATH)
    own = Head.default().require_points().vertex_ids[:, 0].numpy()
    if not np.array_equal(arrays["default_points"], own):
        raise ValueError(
            f"{PATH.name} was made for another default head; run core/bake/register_flame.py."
        )

    def whole(name: str) -> Tensor:
        return torch.from_numpy(arrays[name].astype(np.int64))

    def real(name: str) -> Tensor:
        return torch.from_numpy(arrays[name].astype(np.float32))

    return FlameCorrespondence(
        whole("vertex_ids"),
        real("weights"),
        torch.from_numpy(arrays["is_observed"].astype(np.bool_)),
        whole("default_vertex_ids"),
        real("default_weights"),
    )


def flame_points(v_template: Float[Tensor, "v 3"]) -> PointSet | None:
    """Give the face points of a head with FLAME's mesh; None if the mesh is another.

    Points that FLAME lacks, the tongue's, keep their place in the order with a weight of zero.
    A mesh with as many vertices as FLAME's that do not lie as FLAME's do, whatever its size, place
    and turn, is another: that is logged.
    """
    if len(v_template) != NUM_VERTICES:
        return None
    found, own = correspondence(), Head.default().require_points()
    weights = own.loss_weights * found.is_observed
    regions = {
        name: ids for name, ids in own.regions.items() if bool(found.is_observed[ids].all())
    }
    points = PointSet(
        found.vertex_ids, found.weights, regions, own.mirror, weights / weights.mean()
    )
    apart = _distance_to_default(points.gather(v_template), found.is_observed)
    if apart > _FARTHEST:
        _LOGGER.warning(
            "This head has %d vertices, but they do not lie as FLAME's do (%.2f eye distances "
            "off), so where its face points are is not known.",
            NUM_VERTICES,
            apart,
        )
        return None
    return points


def _distance_to_default(positions: Tensor, is_observed: Tensor) -> float:
    """How far points are from the default head's after the best similarity, eye distances."""
    head = Head.default()
    own = head.require_points().gather(head.v_template)[is_observed].double()
    given = positions[is_observed].double()
    own, given = own - own.mean(0), given - given.mean(0)
    left, values, right = torch.linalg.svd(given.T @ own)
    signs = values.new_tensor([1.0, 1.0, float(torch.sign(torch.det(left @ right)))])
    scale = (values * signs).sum() / given.square().sum().clamp(min=1e-12)
    moved = scale * given @ (left * signs) @ right
    return float((moved - own).square().sum(1).mean().sqrt()) / head.ipd
