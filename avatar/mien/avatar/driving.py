"""`Driven`: what a motion does to one person's mesh, kept apart as expression and skinning."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from mien.head import Head
from mien.lbs import chain_transforms, joint_rotmats, pose_features, skin


@dataclass(frozen=True, eq=False)
class Driven:
    """A person's mesh in B frames, before and after its joints turn.

    Attributes:
        rest: With expression and pose correctives, joints straight, metres.
        canonical: With expression, jaw and eyes turned, head straight and in place, metres; what
            a decoder looks at, the same wherever the head turns.
        rotmats: Rotation of each joint's transform, posed from rest.
        offsets: Translation of each joint's transform, metres.
    """

    rest: Float[Tensor, "b v 3"]
    canonical: Float[Tensor, "b v 3"]
    rotmats: Float[Tensor, "b j 3 3"]
    offsets: Float[Tensor, "b j 3"]

    def __len__(self) -> int:
        return len(self.rest)

    def to(self, device: torch.device | str) -> Driven:
        """The same frames on another device."""
        return Driven(*(value.to(device) for value in vars(self).values()))

    def frames(self, start: int, stop: int) -> Driven:
        """Some of the frames."""
        return Driven(*(value[start:stop] for value in vars(self).values()))

    def posed(self, lbs_weights: Float[Tensor, "v j"]) -> Float[Tensor, "b v 3"]:
        """Posed vertices, metres: what the head itself gives."""
        return skin(self.rest, self.rotmats, self.offsets, lbs_weights)

    @staticmethod
    def concatenate(parts: list[Driven]) -> Driven:
        """All frames of `parts`, in order."""
        return Driven(*(torch.cat(values) for values in zip(*map(_values, parts), strict=True)))


def _values(driven: Driven) -> tuple[Tensor, ...]:
    return tuple(vars(driven).values())


def drive_person(
    person: Head,
    expr: Float[Tensor, "b e"],
    global_pose: Float[Tensor, "b 3"],
    neck_pose: Float[Tensor, "b 3"],
    jaw_pose: Float[Tensor, "b 3"],
    eye_pose: Float[Tensor, "b 6"],
    translation: Float[Tensor, "b 3"],
) -> Driven:
    """Pose a head whose identity is baked in; inputs as in `Head.forward`."""
    joined = torch.cat([global_pose, neck_pose, jaw_pose, eye_pose], -1)
    poses = torch.unflatten(joined, -1, (5, 3))
    rotmats = joint_rotmats(poses)
    correctives = torch.unflatten(pose_features(rotmats) @ person.posedirs, -1, (-1, 3))
    joints = person.joints(None, expr)
    chained, offsets = chain_transforms(rotmats, joints, person.parents)
    return Driven(
        person.v_template + person.offsets(expr) + correctives,
        person(expr=expr, jaw_pose=jaw_pose, eye_pose=eye_pose),
        chained,
        offsets + translation.unsqueeze(-2),
    )
