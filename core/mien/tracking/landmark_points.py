"""Where MediaPipe's 478 landmarks lie on the default head, and how surely."""

from dataclasses import dataclass
from functools import cache
from pathlib import Path

import torch
from jaxtyping import Float, Int
from safetensors.torch import load_file
from torch import Tensor

from mien.face_points import PointSet
from mien.head import Head

__all__ = ["ASSET", "LandmarkPoints"]

ASSET = Path(__file__).resolve().parents[1] / "assets" / "landmarks.safetensors"


@dataclass(frozen=True, eq=False)
class LandmarkPoints:
    """The landmarks on the default head, as `mien.data_synth.landmark_survey` measured them.

    Attributes:
        vertex_ids: Corners of the triangle each landmark lies in.
        weights: Barycentric.
        spread: How far a landmark typically lies from its point, interpupillary distances.
        shape_mean: Identity coefficients of the mean of random people.
        shape_spread: Their standard deviations.
        score_rest: The landmarker's scores of resting faces, the third quartile.
        score_gain: What a score above rest means for the unit of that name.
        score_spread: How far the unit lies from that.
    """

    vertex_ids: Int[Tensor, "478 3"]
    weights: Float[Tensor, "478 3"]
    spread: Float[Tensor, " 478"]
    shape_mean: Float[Tensor, " s"]
    shape_spread: Float[Tensor, " s"]
    score_rest: Float[Tensor, "52"]
    score_gain: Float[Tensor, "52"]
    score_spread: Float[Tensor, "52"]

    @staticmethod
    def shipped() -> "LandmarkPoints":
        """Give the shipped ones."""
        return _shipped()

    def gather(self, vertices: Float[Tensor, "*b v d"]) -> Float[Tensor, "*b 478 d"]:
        """Read the landmarks off a mesh, or off anything that has a row a vertex."""
        return torch.einsum(
            "...kcd,kc->...kd", vertices[..., self.vertex_ids, :], self.weights.to(vertices)
        )

    def on_head(self) -> Head:
        """Give the default head with the landmarks in place of its own face points."""
        default = Head.default()
        corners = torch.unique(self.vertex_ids)
        part = default.subset(corners)
        ids = torch.arange(len(self.spread))
        local = torch.searchsorted(corners, self.vertex_ids)
        part.points = PointSet(local, self.weights, {}, ids, torch.ones(len(ids)))
        return part


@cache
def _shipped() -> LandmarkPoints:
    return LandmarkPoints(**_read())


def _read() -> dict[str, Tensor]:
    arrays = load_file(ASSET)
    arrays["vertex_ids"] = arrays["vertex_ids"].long()
    return arrays
