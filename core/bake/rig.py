"""Five joints in place of the base mesh's muscle rig: where they are and what follows them."""

import numpy as np

from bake.makehuman import Array, Ids

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
    collapsed = np.stack([np.zeros_like(jaw), neck, jaw, np.zeros_like(jaw), np.zeros_like(jaw)], 1)
    collapsed[:, 0] = 1 - collapsed.sum(1)
    return collapsed


def regress_point(vertices: Array, candidates: Ids, point: Array, width: float) -> Array:
    """Give weights over all vertices, summing to one, that reproduce `point` on this mesh.

    Nearby candidates count more (a Gaussian of `width` metres); the least change to these weights
    makes the result exact.
    """
    near = vertices[candidates]
    falloff = np.exp(-((near - point) ** 2).sum(1) / (2 * width**2))
    falloff /= falloff.sum()
    system = np.concatenate([near.T, np.ones((1, len(near)))])
    wanted = np.array([*point, 1.0])
    scaled = system * falloff
    fix = falloff * (system.T @ np.linalg.solve(scaled @ system.T, wanted - system @ falloff))
    row = np.zeros(len(vertices))
    row[candidates] = falloff + fix
    return row
