"""Five joints in place of the base mesh's muscle rig: where they are and what follows them."""

import numpy as np

from bake.assembly import Assembly
from bake.makehuman import Array, Ids
from bake.regress import regress_point
from mien.arkit import EXPR_NAMES

NECK_JOINT = (0.0, -0.083, -0.055)  # metres from the eyes' midpoint: third cervical vertebra
ROOT_JOINT = (0.0, -0.129, -0.062)  # the neck's foot

NECK_FRACTIONS = {"neck01": 0.25, "neck02": 0.5, "neck03": 0.75, "head": 1.0}


def is_under(bone: str, top: str, parents: dict[str, str]) -> bool:
    """Tell whether `bone` is `top` or hangs below it."""
    while bone:
        if bone == top:
            return True
        bone = parents.get(bone, "")
    return False


def subtree_weight(weights: dict[str, Array], top: str, parents: dict[str, str]) -> Array:
    """Sum the skin weights of a bone and everything below it, `[V]`."""
    members = [weights[bone] for bone in weights if is_under(bone, top, parents)]
    return np.asarray(np.sum(members, axis=0))


def collapse_weights(weights: dict[str, Array], parents: dict[str, str]) -> Array:
    """Collapse the rig to `[V, 5]`: global, neck, jaw, and the eyes, which get nothing here.

    The three neck bones and the head share the neck joint's turn by `NECK_FRACTIONS`.
    """
    head = subtree_weight(weights, "head", parents)
    jaw = subtree_weight(weights, "jaw", parents)
    neck = head - jaw
    for bone, fraction in NECK_FRACTIONS.items():
        if bone != "head":
            neck = neck + fraction * weights[bone]
    collapsed = np.stack(
        [np.zeros_like(jaw), neck, jaw, np.zeros_like(jaw), np.zeros_like(jaw)], 1
    )
    collapsed[:, 0] = 1 - collapsed.sum(1)
    return collapsed


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
