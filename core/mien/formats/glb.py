"""Write a head and its motion as glTF 2.0 (`.glb`), for Blender, three.js and game engines.

A file holds a rig in one of two forms:

- *Skinned*, the default, exact: expressions are morph targets by name, while head, jaw and eyes
  are the five joints of a skin. What the joints do beyond skinning is in morph targets named
  `corrective_*`, which the animation drives. jawOpen and eyeLook* are there as morph targets too,
  at rest in the animation, so that an engine that drives all of ARKit's 52 by name finds them:
  drive either them or the joints.
- *Baked*, for what reads morph targets only: all 52 are morph targets and all are animated; the
  head's turn is the mesh node's. It is as approximate as ARKit's own blend shapes: a jaw that
  moves on a straight line, a neck that turns with the skull.

Units are metres, Y up, +Z where the face looks: glTF's own axes.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, UInt8
from numpy.typing import NDArray
from torch import Tensor

from mien.formats.gltf_rig import (
    JointTracks,
    correctives,
    double_head,
    expression_targets,
    expression_weights,
    joint_tracks,
    rigid_track,
    scaled_head,
)
from mien.formats.gltf_writer import RigWriter
from mien.head import Head
from mien.motion import Motion

__all__ = ["write_glb"]

MAX_FRAMES = 100_000  # over an hour at 25 frames a second; times are float32
MAX_SECONDS = 1e6
MAX_COEFFICIENT = 1e4  # of expression, identity, poses and translation; far beyond any face
MAX_SCALE = 1e4
MAX_GAIN = 100.0
_TRACKS = ("expr", "jaw_pose", "neck_pose", "global_pose", "eye_pose", "translation", "shape")


def write_glb(
    path: str | Path,
    head: Head,
    motion: Motion | None = None,
    *,
    shape: Float[Tensor, " s"] | None = None,
    scale: float = 1.0,
    colors: Float[NDArray[Any], "v 3"] | None = None,
    texture: UInt8[NDArray[np.uint8], "h w 3"] | None = None,
    gains: Mapping[str, float] | None = None,
    bake_joints: bool = False,
    sparse: bool = True,
) -> None:
    """Write a head, and a motion if there is one, as binary glTF; the whole file or none.

    Args:
        path: Ends in `.glb`.
        head: The rig.
        motion: Becomes the animation; None writes the rig at rest.
        shape: Identity; None takes the motion's, or the mean.
        scale: Multiplies all lengths, as `Identity.scale` does.
        colors: Of the head's vertices, sRGB in 0..1; in place of the plain materials.
        texture: Image in the head's texture chart, sRGB, first row on top (v = 1); in place of
            the plain materials.
        gains: Factors on units by name, as `Identity.gains`; they are in the morph targets, and
            what the motion says of the jaw is multiplied, too.
        bake_joints: Write all as morph targets, without skin (see the module).
        sparse: Leave zeros out of morph targets; False is larger, for the few loaders that
            lack sparse accessors.

    Raises:
        ValueError: If the motion is for another head or too long, or another argument is off.
        OSError: If the file cannot be written.
    """
    _check(path, head, motion, scale, colors, texture)
    _check_sizes(motion, shape)
    gains = _checked_gains(head, gains)
    head = scaled_head(double_head(head), gains)
    motion = None if motion is None else motion.to("cpu", head.v_template.dtype)
    if motion is not None:
        motion = motion.replace(jaw_pose=motion.jaw_pose * gains.get("jawOpen", 1.0))
    if shape is None and motion is not None:
        shape = motion.shape
    shape = None if shape is None else shape.detach().to("cpu", head.v_template.dtype)
    writer = RigWriter(head, shape, scale, sparse)
    units = expression_targets(head, shape, gains.get("jawOpen", 1.0))
    extra = correctives(head, motion) if motion is not None and not bake_joints else None
    writer.add_mesh(units + (extra.targets if extra else ()), colors, texture, not bake_joints)
    tracks = _add_nodes(writer, motion, bake_joints)
    if motion is not None and tracks is not None:
        names = tuple(unit.name for unit in units)
        weights = expression_weights(head, motion, names, bake_joints)
        if extra:
            weights = np.concatenate([weights, extra.weights], 1)
        writer.add_animation(motion, weights, tracks)
    writer.document.save(path)


def _check(
    path: str | Path,
    head: Head,
    motion: Motion | None,
    scale: float,
    colors: NDArray[Any] | None,
    texture: NDArray[Any] | None,
) -> None:
    if Path(path).suffix.lower() != ".glb":
        raise ValueError(f"Binary glTF is written to a file that ends in .glb, got {str(path)!r}.")
    if not 1 / MAX_SCALE <= scale <= MAX_SCALE:
        raise ValueError(
            f"`scale` must be from {1 / MAX_SCALE:g} to {MAX_SCALE:g}, got {scale:g}."
        )
    if motion is not None and (motion.head != head.name or motion.num_expr > head.num_expr):
        raise ValueError(
            f"The head {head.name!r} has {head.num_expr} expression components, got a motion for "
            f"{motion.head!r} with {motion.num_expr}; convert it first."
        )
    if motion is not None and motion.num_frames > MAX_FRAMES:
        raise ValueError(
            f"An animation has at most {MAX_FRAMES} frames, got {motion.num_frames}; slice it."
        )
    if colors is not None and not (
        colors.shape == (head.num_vertices, 3) and bool(((colors >= 0) & (colors <= 1)).all())
    ):
        raise ValueError(
            f"`colors` must be [{head.num_vertices}, 3] in 0..1, got {list(colors.shape)}."
        )
    if texture is None:
        return
    if not len(head.uv_faces):
        raise ValueError(f"The head {head.name!r} has no texture chart; give `colors` instead.")
    if texture.ndim != 3 or texture.shape[2] != 3 or texture.dtype != np.uint8:
        raise ValueError(
            f"`texture` must be [H, W, 3] of uint8, got {list(texture.shape)} of {texture.dtype}."
        )


def _check_sizes(motion: Motion | None, shape: Tensor | None) -> None:
    """Refuse what is finite but overflows a file of 32-bit floats."""
    found = {"shape": shape}
    if motion is not None:
        if motion.seconds > MAX_SECONDS:
            raise ValueError(
                f"An animation lasts at most {MAX_SECONDS:g} s, got {motion.seconds:g} s."
            )
        found |= {name: getattr(motion, name) for name in _TRACKS}
    for name, track in found.items():
        if track is None or not track.numel():
            continue
        if not bool(torch.isfinite(track).all()) or float(track.abs().max()) > MAX_COEFFICIENT:
            raise ValueError(
                f"`{name}` must be finite and at most {MAX_COEFFICIENT:g}, got "
                f"{float(track.abs().max()):g}."
            )


def _checked_gains(head: Head, gains: Mapping[str, float] | None) -> dict[str, float]:
    found = dict(gains or {})
    unknown = sorted(set(found) - {*head.expr_names, "jawOpen"})
    if unknown:
        raise ValueError(f"`gains` names units that the head {head.name!r} lacks: {unknown[:5]}.")
    if not all(0 <= gain <= MAX_GAIN for gain in found.values()):
        raise ValueError(f"`gains` must be from 0 to {MAX_GAIN:g}.")
    return found


def _add_nodes(writer: RigWriter, motion: Motion | None, bake_joints: bool) -> JointTracks | None:
    """Add joints or the one rigid node; give their tracks if there is a motion."""
    head, shape = writer.head, writer.shape
    if bake_joints:
        writer.add_rigid_node()
        return None if motion is None else rigid_track(head, motion, shape)
    still = motion or Motion.rest(1, head.num_expr).to("cpu", head.v_template.dtype)
    rest, tracks = joint_tracks(head, still, shape)
    writer.add_skin(rest)
    return None if motion is None else tracks
