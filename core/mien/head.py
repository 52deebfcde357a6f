"""The head: a mesh with identity, expression and five joints, in FLAME's form."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from jaxtyping import Float, Int
from safetensors import safe_open
from torch import Tensor, nn

from mien.face_points import PointModel, PointSet
from mien.lbs import chain_transforms, joint_rotmats, pose_features, skin

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import ArrayLike

    from mien.motion import Motion

PARENTS = (-1, 0, 1, 1, 1)
JOINT_NAMES = ("global", "neck", "jaw", "eye_left", "eye_right")
DEFAULT_PATH = Path(__file__).parent / "assets" / "head.safetensors"


class Head(nn.Module):
    """A head in FLAME's form: linear identity and expression, pose correctives, skinning.

    Lengths are metres; Y is up, +Z is where the face looks, +X is the subject's left. Poses are
    rotation vectors in radians.

    Args:
        v_template: Neutral mean head.
        shapedirs: Identity directions, then expression directions.
        posedirs: Corrective offsets by pose feature (`R - I` of neck, jaw, left and right eye).
        J_regressor: Joints from rest vertices.
        lbs_weights: Skinning weights; each row sums to one.
        faces: Triangles.
        num_shape: How many of `shapedirs` are identity.
        name: What motions and tokens made for this head call it.
        expr_names: Names of the expression directions.
        uv: Texture coordinates in [0, 1], v up.
        uv_faces: The triangles' corners in `uv`.
        parts: Vertex ids by part.
        points: Where the face points lie, if known.
    """

    v_template: Tensor
    shapedirs: Tensor
    posedirs: Tensor
    J_regressor: Tensor
    lbs_weights: Tensor
    faces: Tensor
    uv: Tensor
    uv_faces: Tensor
    joint_template: Tensor
    joint_dirs: Tensor

    def __init__(
        self,
        v_template: Float[Tensor, "v 3"],
        shapedirs: Float[Tensor, "v 3 c"],
        posedirs: Float[Tensor, "p v3"],
        J_regressor: Float[Tensor, "j v"],
        lbs_weights: Float[Tensor, "v j"],
        faces: Int[Tensor, "f 3"],
        *,
        num_shape: int,
        name: str = "flame",
        expr_names: tuple[str, ...] = (),
        uv: Float[Tensor, "u 2"] | None = None,
        uv_faces: Int[Tensor, "f 3"] | None = None,
        parts: dict[str, Tensor] | None = None,
        points: PointSet | None = None,
    ) -> None:
        super().__init__()
        _check_shapes(v_template, shapedirs, posedirs, J_regressor, lbs_weights)
        self.name = name
        self.parents = PARENTS
        self.num_shape = num_shape
        self.num_expr = shapedirs.shape[2] - num_shape
        self.expr_names = expr_names or tuple(f"expr_{i}" for i in range(self.num_expr))
        self.parts = dict(parts or {})
        self.points = points
        self.register_buffer("v_template", v_template)
        self.register_buffer("shapedirs", _by_component(shapedirs))
        self.register_buffer("posedirs", posedirs)
        self.register_buffer("J_regressor", J_regressor)
        self.register_buffer("lbs_weights", lbs_weights)
        self.register_buffer("faces", faces.long())
        self.register_buffer("uv", v_template.new_zeros(0, 2) if uv is None else uv)
        empty = faces.new_zeros(0, 3).long()
        self.register_buffer("uv_faces", empty if uv_faces is None else uv_faces.long())
        self.register_buffer("joint_template", J_regressor @ v_template)
        self.register_buffer("joint_dirs", torch.einsum("jv,vkc->jkc", J_regressor, shapedirs))

    @property
    def num_vertices(self) -> int:
        """How many vertices the mesh has."""
        return len(self.v_template)

    @property
    def ipd(self) -> float:
        """Interpupillary distance of the mean head, metres."""
        return float((self.joint_template[3] - self.joint_template[4]).norm())

    @staticmethod
    def default() -> Head:
        """Give the shipped head; every call returns the same object, so do not change it.

        Example:
            >>> head = Head.default()
            >>> head(expr=torch.zeros(2, head.num_expr)).shape == (2, head.num_vertices, 3)
            True
        """
        return _default()

    @staticmethod
    def load(path: str | Path) -> Head:
        """Load a head: our own `.safetensors`, or FLAME's `.pkl` or `.npz`.

        Raises:
            ValueError: If the suffix is none of these, or the file does not hold a head.
        """
        path = Path(path)
        if path.suffix == ".safetensors":
            return _load_safetensors(path)
        if path.suffix in (".pkl", ".npz"):
            from mien.flame import read_flame

            return head_from_flame(read_flame(path))
        raise ValueError(
            f"A head is a .safetensors, .pkl or .npz file, got {path.name!r}. "
            "FLAME downloads are .pkl; unpack an archive first."
        )

    @staticmethod
    def from_shapes(
        neutral: ArrayLike,
        faces: ArrayLike,
        deltas: Mapping[str, ArrayLike],
        landmarks: Mapping[int, int] | None = None,
        **options: Any,
    ) -> Head:
        """A head of any neutral mesh and named shapes; see `mien.shapes_head.head_from_shapes`."""
        from mien.shapes_head import head_from_shapes

        return head_from_shapes(neutral, faces, deltas, landmarks, **options)

    def forward(
        self,
        shape: Float[Tensor, "*#b s"] | None = None,
        expr: Float[Tensor, "*#b e"] | None = None,
        global_pose: Float[Tensor, "*#b 3"] | None = None,
        neck_pose: Float[Tensor, "*#b 3"] | None = None,
        jaw_pose: Float[Tensor, "*#b 3"] | None = None,
        eye_pose: Float[Tensor, "*#b 6"] | None = None,
        translation: Float[Tensor, "*#b 3"] | None = None,
    ) -> Float[Tensor, "*b v 3"]:
        """Pose the head; every input is optional, None meaning zero.

        Args:
            shape: Identity coefficients; fewer than `num_shape` leave the rest zero.
            expr: Expression coefficients; fewer than `num_expr` leave the rest zero.
            global_pose: Turn of everything.
            neck_pose: Turn of the head on the neck.
            jaw_pose: Turn of the jaw; +x opens.
            eye_pose: Turns of the left and right eye.
            translation: Shift of everything, metres.

        Returns:
            Vertices, metres; `[V, 3]` with no leading dimension if no input had one.

        Raises:
            ValueError: If an input has the wrong width.
        """
        rest = self._blend(shape, expr)
        joints = self.joints(shape, expr)
        poses = self._stack_poses(global_pose, neck_pose, jaw_pose, eye_pose)
        if poses is not None:
            rotmats = joint_rotmats(poses)
            rest = rest + _points(pose_features(rotmats) @ self.posedirs)
            joints = joints.expand(*rest.shape[:-2], -1, -1)
            chained, offsets = chain_transforms(rotmats, joints, self.parents)
            rest = skin(rest, chained, offsets, self.lbs_weights)
        return rest if translation is None else rest + translation.unsqueeze(-2)

    def identity(self, shape: Float[Tensor, "*b s"] | None = None) -> Float[Tensor, "*b v 3"]:
        """Give a person's neutral face, metres."""
        return self._blend(shape, None)

    def joints(
        self, shape: Float[Tensor, "*#b s"] | None = None, expr: Tensor | None = None
    ) -> Float[Tensor, "*b j 3"]:
        """Give the joints' rest positions, metres."""
        joints = self.joint_template
        if shape is not None:
            shape = self._checked("shape", shape, self.num_shape)
            dirs = self.joint_dirs[..., : shape.shape[-1]]
            joints = joints + torch.einsum("jkc,...c->...jk", dirs, shape)
        if expr is not None:
            expr = self._checked("expr", expr, self.num_expr)
            dirs = self.joint_dirs[..., self.num_shape : self.num_shape + expr.shape[-1]]
            joints = joints + torch.einsum("jkc,...c->...jk", dirs, expr)
        return joints

    def interpupillary(self, shape: Float[Tensor, "*b s"] | None = None) -> Float[Tensor, "*b"]:
        """Give a person's interpupillary distance, metres."""
        joints = self.joints(shape)
        apart: Tensor = torch.linalg.vector_norm(joints[..., 3, :] - joints[..., 4, :], dim=-1)
        return apart

    def vertices(self, motion: Motion) -> Float[Tensor, "t v 3"]:
        """Pose the head by every frame of a motion."""
        motion = motion.to(self.v_template)
        return self(  # type: ignore[no-any-return]
            motion.shape,
            motion.expr,
            motion.global_pose,
            motion.neck_pose,
            motion.jaw_pose,
            motion.eye_pose,
            motion.translation,
        )

    def require_points(self) -> PointSet:
        """Give the face points, or say that this head has none."""
        if self.points is None:
            raise ValueError(
                f"The head {self.name!r} carries no face points, so motion cannot be compared "
                "with other heads. Use the default head, or give `points` when building it."
            )
        return self.points

    def face_points(self, motion: Motion, *, own: bool = False) -> Float[Tensor, "t k 3"]:
        """Give the face points' displacements from neutral, see `PointModel`.

        Args:
            motion: Of this head.
            own: Those of the motion's own person, whose longer jaw travels farther, as a scan
                would show them; else the mean person's, so that who moves is not in them.
        """
        motion = motion.to(self.v_template)
        shape = motion.shape if own else None
        model = self.point_model()
        return model(motion.expr, motion.jaw_pose, motion.eye_pose, shape)  # type: ignore[no-any-return]

    def point_model(self) -> PointModel:
        """Give the face points as a differentiable function of expression, jaw and gaze."""
        return PointModel(self)

    def subset(self, vertex_ids: Int[Tensor, " n"]) -> Head:
        """Keep some vertices; joints stay those of the whole head.

        Triangles with a lost corner go, and so do face points that hang on a lost vertex.
        """
        part = Head.__new__(Head)
        nn.Module.__init__(part)
        new_id = self.faces.new_full((self.num_vertices,), -1)
        new_id[vertex_ids] = torch.arange(len(vertex_ids), device=new_id.device)
        faces = new_id[self.faces]
        whole = (faces >= 0).all(1)
        part.name, part.parents = self.name, self.parents
        part.num_shape, part.num_expr = self.num_shape, self.num_expr
        part.expr_names = self.expr_names
        part.parts = {name: _kept(new_id, ids) for name, ids in self.parts.items()}
        part.points = _subset_points(self.points, new_id)
        pick = {
            "v_template": self.v_template[vertex_ids],
            "shapedirs": _by_component(self.shapedirs[vertex_ids]),
            "posedirs": _points(self.posedirs)[:, vertex_ids].flatten(1),
            "J_regressor": self.J_regressor[:, vertex_ids],
            "lbs_weights": self.lbs_weights[vertex_ids],
            "faces": faces[whole],
            "uv": self.uv,
            "uv_faces": self.uv_faces[whole] if len(self.uv_faces) else self.uv_faces,
            "joint_template": self.joint_template,
            "joint_dirs": self.joint_dirs,
        }
        for name, buffer in pick.items():
            part.register_buffer(name, buffer)
        return part

    def offsets(self, expr: Float[Tensor, "*b e"]) -> Float[Tensor, "*b v 3"]:
        """Give what an expression adds to the rest vertices, metres."""
        expr = self._checked("expr", expr, self.num_expr)
        dirs = self.shapedirs[..., self.num_shape : self.num_shape + expr.shape[-1]]
        return _points(expr @ dirs.flatten(0, 1).T)

    def _blend(self, shape: Tensor | None, expr: Tensor | None) -> Tensor:
        rest = self.v_template
        if shape is not None:
            shape = self._checked("shape", shape, self.num_shape)
            dirs = self.shapedirs[..., : shape.shape[-1]]
            rest = rest + _points(shape @ dirs.flatten(0, 1).T)
        return rest if expr is None else rest + self.offsets(expr)

    def _stack_poses(
        self,
        global_pose: Tensor | None,
        neck_pose: Tensor | None,
        jaw_pose: Tensor | None,
        eye_pose: Tensor | None,
    ) -> Tensor | None:
        given: list[tuple[str, Tensor | None, int]] = [
            ("global_pose", global_pose, 3),
            ("neck_pose", neck_pose, 3),
            ("jaw_pose", jaw_pose, 3),
            ("eye_pose", eye_pose, 6),
        ]
        present = [value for _, value, _ in given if value is not None]
        if not present:
            return None
        leading = np.broadcast_shapes(*(tuple(value.shape[:-1]) for value in present))
        columns = []
        for label, value, width in given:
            if value is None:
                columns.append(self.v_template.new_zeros(*leading, width))
            elif value.shape[-1] != width:
                raise ValueError(f"`{label}` must be [..., {width}], got {tuple(value.shape)}.")
            else:
                columns.append(value.expand(*leading, width))
        return _points(torch.cat(columns, -1))

    def _checked(self, label: str, value: Tensor, most: int) -> Tensor:
        if value.shape[-1] > most:
            raise ValueError(
                f"`{label}` of the head {self.name!r} has at most {most} coefficients, "
                f"got {tuple(value.shape)}."
            )
        return value


def head_from_flame(arrays: dict[str, Any], num_shape: int | None = None) -> Head:
    """Build a head from FLAME's arrays; on FLAME's own mesh it carries the face points.

    Args:
        arrays: What `read_flame` gives, in FLAME's own names.
        num_shape: How many of `shapedirs` are identity; FLAME has 300 of 400.
    """
    from mien.flame_points import flame_points

    names = ("v_template", "shapedirs", "posedirs", "J_regressor", "weights")
    tensors = {name: torch.as_tensor(np.array(arrays[name], dtype=np.float32)) for name in names}
    count = tensors["shapedirs"].shape[2]
    return Head(
        tensors["v_template"],
        tensors["shapedirs"],
        tensors["posedirs"].flatten(0, 1).T.contiguous(),
        tensors["J_regressor"],
        tensors["weights"],
        torch.as_tensor(np.asarray(arrays["f"]).astype(np.int64)),
        num_shape=count * 3 // 4 if num_shape is None else num_shape,
        name="flame",
        points=flame_points(tensors["v_template"]),
    )


def _check_shapes(
    v_template: Tensor,
    shapedirs: Tensor,
    posedirs: Tensor,
    J_regressor: Tensor,
    lbs_weights: Tensor,
) -> None:
    count, joints = len(v_template), len(PARENTS)
    wanted = {
        "shapedirs": (tuple(shapedirs.shape[:2]), (count, 3)),
        "posedirs": (tuple(posedirs.shape), (9 * (joints - 1), 3 * count)),
        "J_regressor": (tuple(J_regressor.shape), (joints, count)),
        "lbs_weights": (tuple(lbs_weights.shape), (count, joints)),
    }
    for label, (came, want) in wanted.items():
        if came != want:
            raise ValueError(f"`{label}` must be {want} for {count} vertices, got {came}.")


def _by_component(shapedirs: Tensor) -> Tensor:
    """Lay `[V, 3, C]` out in memory with each component in one piece, as blending reads it."""
    return shapedirs.permute(2, 0, 1).contiguous().permute(1, 2, 0)


def _points(flat: Tensor) -> Tensor:
    """Read the last axis as points, `[..., 3 N]` to `[..., N, 3]`."""
    return flat.reshape(*flat.shape[:-1], -1, 3)


def _kept(new_id: Tensor, ids: Tensor) -> Tensor:
    moved = new_id[ids]
    return moved[moved >= 0]


def _subset_points(points: PointSet | None, new_id: Tensor) -> PointSet | None:
    if points is None:
        return None
    vertex_ids = new_id[points.vertex_ids]
    if bool((vertex_ids < 0).any()):
        return None
    return PointSet(vertex_ids, points.weights, points.regions, points.mirror, points.loss_weights)


@cache
def _default() -> Head:
    return _load_safetensors(DEFAULT_PATH).requires_grad_(False).eval()


def _load_safetensors(path: Path) -> Head:
    with safe_open(path, framework="pt") as file:
        card = json.loads((file.metadata() or {}).get("head", "{}"))
        tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
    if "v_template" not in tensors or card.get("format") != 1:
        raise ValueError(f"{path} is not a head of format 1; bake one by core/bake/bake_head.py.")

    def group(prefix: str) -> dict[str, Tensor]:
        return {k[len(prefix) :]: v.long() for k, v in tensors.items() if k.startswith(prefix)}

    points = PointSet(
        tensors["points.vertex_ids"].long(),
        tensors["points.weights"].float(),
        group("points.regions."),
        tensors["points.mirror"].long(),
        tensors["points.loss_weights"].float(),
    )
    return Head(
        tensors["v_template"].float(),
        tensors["shapedirs"].float(),
        tensors["posedirs"].float(),
        tensors["J_regressor"].float(),
        tensors["lbs_weights"].float(),
        tensors["faces"].long(),
        num_shape=card["num_shape"],
        name=card["name"],
        expr_names=tuple(card["expr_names"]),
        uv=tensors["uv"].float(),
        uv_faces=tensors["uv_faces"].long(),
        parts=group("parts."),
        points=points,
    )
