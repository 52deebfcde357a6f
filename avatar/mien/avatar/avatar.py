"""`Avatar`: a painted or learned head that a motion drives, frame by frame, as Gaussians."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from jaxtyping import Float
from torch import Tensor

from mien.avatar.avatar_file import (
    SUFFIX,
    find_avatar,
    read_avatar,
    read_gains,
    read_look,
    write_avatar,
)
from mien.avatar.detail import DetailLayout, SkinDetail
from mien.avatar.detail_file import read_detail
from mien.avatar.driving import Driven, drive_person
from mien.avatar.gaussians import Gaussians
from mien.avatar.learned import LearnedHead
from mien.avatar.learned_file import read_learned
from mien.avatar.look import Look
from mien.avatar.placing import unit, vertex_normals
from mien.avatar.prepared import Prepared
from mien.avatar.shading import Studio
from mien.avatar.splats import Splats
from mien.head import Head

if TYPE_CHECKING:
    from mien.camera import Camera
    from mien.motion import Motion

_CHUNK = 16  # frames posed at once
_GROUP = 4  # frames whose detail is worked out at once, after the first


@dataclass(frozen=True, eq=False)
class Avatar:
    """A person: an identity of a head, painted with Gaussians.

    Attributes:
        head: The head model the splats are bound to.
        shape: Identity coefficients of the head.
        splats: The painting.
        look: What it was painted from.
        gains: Factors on expression components and "jawOpen" by name, for faces that move less.
        name: For messages and files.
        studio: The lights.
        made_by: What made it, for the card.
        learned: Takes the painting's place where there is one; the painting stays what it began
            from.
        detail: What expressions do to the painting's skin, if that was learned.

    Example:
        >>> from mien.motion import Motion
        >>> avatar = Avatar.load("adult")
        >>> len(next(avatar.drive(Motion.rest(1)))) == len(avatar)
        True
    """

    head: Head
    shape: Float[Tensor, " s"]
    splats: Splats
    look: Look = field(default_factory=Look)
    gains: Mapping[str, float] = field(default_factory=dict)
    name: str = "avatar"
    studio: Studio = field(default_factory=Studio)
    made_by: str = ""
    learned: LearnedHead | None = None
    detail: SkinDetail | None = None

    def __post_init__(self) -> None:
        if self.shape.ndim != 1 or len(self.shape) > self.head.num_shape:
            raise ValueError(
                f"`shape` must be [S] with S at most {self.head.num_shape} for the head "
                f"{self.head.name!r}, got {list(self.shape.shape)}."
            )
        if len(self.splats) and int(self.splats.faces.max()) >= len(self.head.faces):
            raise ValueError(
                f"The splats hang on triangle {int(self.splats.faces.max())}, but the head "
                f"{self.head.name!r} has {len(self.head.faces)}: they "
                "were painted on another head."
            )
        unknown = sorted(set(self.gains) - {*self.head.expr_names, "jawOpen"})
        if unknown:
            raise ValueError(f"`gains` names components that the head lacks: {unknown}.")
        state = Prepared.of(self.head, self.shape, self.splats, self.gains)
        object.__setattr__(self, "_prepared", state)

    def __len__(self) -> int:
        return len(self.splats if self.learned is None else self.learned)

    @classmethod
    def load(cls, name_or_path: str | Path, head: Head | None = None) -> Avatar:
        """Load a shipped avatar by name, or any `NAME.avatar` folder.

        Args:
            name_or_path: A name in `shipped_names()`, or a folder.
            head: What it was painted on; None takes the default head.

        Raises:
            ValueError: If there is no such avatar, or it is damaged, or for another head.
        """
        folder = find_avatar(name_or_path)
        head = head or Head.default()
        card, splats, shape = read_avatar(folder)
        if card.get("head") != {"name": head.name, "faces": len(head.faces)}:
            raise ValueError(
                f"{folder} was painted on the head {card.get('head')}, not on {head.name!r} with "
                f"{len(head.faces)} triangles: paint it again."
            )
        name, made_by = str(card.get("name", folder.stem)), str(card.get("made_by", ""))
        look, gains = read_look(card), read_gains(card)
        return cls(
            head,
            shape,
            splats,
            look,
            gains,
            name,
            made_by=made_by,
            learned=read_learned(card, folder, head, shape),
            detail=read_detail(card, folder),
        )

    def save(self, folder: str | Path) -> None:
        """Write a `NAME.avatar` folder.

        Raises:
            ValueError: If the name does not end in `.avatar`.
        """
        path = Path(folder)
        if path.suffix != SUFFIX:
            raise ValueError(f"An avatar's folder ends in {SUFFIX}, got {path.name!r}.")
        write_avatar(self, path)

    def drive(self, motion: Motion, camera: Camera | None = None) -> Iterator[Gaussians]:
        """Give the Gaussians of every frame; the motion's own identity is not used.

        Args:
            motion: For the avatar's head.
            camera: Where the viewer stands, for what hides behind lids and lips and for
                highlights; None takes the front.

        Raises:
            ValueError: If the motion is for another head.
        """
        if motion.head != self.head.name:
            raise ValueError(
                f"The avatar {self.name!r} moves with the head {self.head.name!r}, got a motion "
                f"for {motion.head!r}; convert it first."
            )
        for start in range(0, motion.num_frames, _CHUNK):
            part = motion.slice(start, min(start + _CHUNK, motion.num_frames))
            if self.learned is not None:
                yield from self._decode(self.learned, self.driven(part))
            elif self.detail is not None:
                yield from self._detailed(self.detail, self.driven(part), camera)
            else:
                for vertices in self.vertices(part):
                    yield self.pose(vertices, camera)

    def vertices(self, motion: Motion) -> Float[Tensor, "t v 3"]:
        """Pose this person's mesh by every frame, metres."""
        posed: Tensor = self._state.person(None, **self._inputs(motion))
        return posed

    def driven(self, motion: Motion) -> Driven:
        """Pose this person's mesh by every frame, expression and skinning apart."""
        return drive_person(self._state.person, **self._inputs(motion))

    def _inputs(self, motion: Motion) -> dict[str, Tensor]:
        like = self.splats.thickness
        motion = motion.to(like.device, like.dtype)
        return {
            "expr": motion.expr * self._state.gains[: motion.num_expr],
            "global_pose": motion.global_pose,
            "neck_pose": motion.neck_pose,
            "jaw_pose": motion.jaw_pose * self._state.jaw_gain,
            "eye_pose": motion.eye_pose + self._state.gaze,
            "translation": motion.translation,
        }

    def _decode(self, learned: LearnedHead, driven: Driven) -> Iterator[Gaussians]:
        """Decode frame by frame, so that the first comes soon."""
        for frame in range(len(driven)):
            with torch.no_grad():
                decoded = learned(driven.frames(frame, frame + 1))
            yield decoded.gaussians(0)

    def _detailed(
        self, detail: SkinDetail, driven: Driven, camera: Camera | None
    ) -> Iterator[Gaussians]:
        """Pose the painting frame by frame, its skin as expressions change it."""
        layout = self.detail_layout(detail.size.side)
        vertices, sizes = driven.posed(self.head.lbs_weights), _groups(len(driven))
        groups = (torch.split(meshes, sizes) for meshes in (driven.canonical, vertices))
        for seen, meshes in zip(*groups, strict=True):
            with torch.no_grad():
                factors = detail(seen, layout).exp()
            for mesh, factor in zip(meshes, factors, strict=True):
                posed = self.pose(mesh, camera)
                own = (posed.colors[layout.splats] * factor).clamp(0, 1)
                posed.colors[layout.splats] = own
                yield posed

    def detail_layout(self, side: int) -> DetailLayout:
        """Where the painting's moving skin lies on a grid of the texture."""
        return self._state.detail_layout(side)

    @torch.no_grad()
    def pose(self, vertices: Float[Tensor, "v 3"], camera: Camera | None = None) -> Gaussians:
        """Give the painting's Gaussians for one posed mesh, without detail of its skin.

        Args:
            vertices: Of the avatar's head, posed, metres.
            camera: Where the viewer stands; None takes the front.

        Raises:
            ValueError: If the avatar is learned: it needs to know the motion, so `drive` it.
        """
        if self.learned is not None:
            raise ValueError(
                f"The avatar {self.name!r} is learned and needs a motion, not a mesh; use `drive`."
            )
        state, to_viewer = self._state, _direction_to(camera, vertices)
        normals = vertex_normals(vertices, self.head.faces)
        placed, quats = state.place(vertices, normals)
        hidden, dimming = state.conceal(vertices, placed, to_viewer)
        colors = state.shade(placed, to_viewer, dimming, self.studio)
        opacities = torch.where(hidden, 0.0, self.splats.opacity)
        return Gaussians(placed.means, quats, placed.scales, opacities, colors)

    @property
    def _state(self) -> Prepared:
        state: Prepared = self.__dict__["_prepared"]
        return state


def _groups(count: int) -> list[int]:
    """Sizes of groups of frames: the first is a frame alone, so that it comes soon."""
    rest = count - 1
    return [1, *([_GROUP] * (rest // _GROUP)), *([rest % _GROUP] if rest % _GROUP else [])]


def _direction_to(camera: Camera | None, vertices: Tensor) -> Tensor:
    """Unit direction from the head to the viewer, in the world's frame."""
    if camera is None:
        return vertices.new_tensor([0.0, 0.0, 1.0])
    viewmat = camera.viewmat.to(vertices)
    center = -viewmat[:3, :3].T @ viewmat[:3, 3]
    return unit(center - vertices.mean(0))
