"""`mien head`: a head of a chosen age and build as a mesh."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro

from mien.apps.outputs import check_outputs, writing
from mien.apps.refusal import refusing
from mien.apps.request import check_seed

if TYPE_CHECKING:
    from torch import Tensor

    from mien.head import Head


@dataclass(frozen=True)
class MakeHead:
    """Write the default head as a mesh, in metres, Y up, facing +Z.

    The extension decides: .obj (Wavefront) or .glb (glTF with 52 morph targets and joints).
    """

    output: Annotated[Path, tyro.conf.arg(aliases=["-o"], metavar="PATH")] = Path("head.obj")
    """Where to write the mesh."""
    age: float = 0.5
    """0 an infant to 1 an old person."""
    gender: float = 0.5
    """0 female to 1 male."""
    weight: float = 0.5
    """0 slight to 1 heavy."""
    muscle: float = 0.5
    """0 soft to 1 muscular."""
    seed: int | None = None
    """Gives the face its own local features; the mean ones where not given."""

    def run(self) -> None:
        """Check, shape, write."""
        with refusing():
            check_outputs([self.output], [".obj", ".glb"])
            for name in ("age", "gender", "weight", "muscle"):
                if not 0 <= getattr(self, name) <= 1:
                    raise ValueError(f"`{name}` must be from 0 to 1, got {getattr(self, name):g}.")
            if self.seed is not None:
                check_seed(self.seed)
        from mien.formats.glb import write_glb
        from mien.head import Head
        from mien.identity import semantic

        head = Head.default()
        person = semantic(
            age=self.age,
            gender=self.gender,
            weight=self.weight,
            muscle=self.muscle,
            seed=self.seed,
        )
        with writing(self.output) as path:
            if path.suffix.lower() == ".glb":
                write_glb(path, head, None, shape=person.shape, scale=person.scale)
            else:
                vertices = head(shape=person.shape[None])[0] * person.scale
                path.write_text(format_obj(vertices, head), encoding="ascii")


def format_obj(vertices: "Tensor", head: "Head") -> str:
    """A Wavefront mesh with texture coordinates; its indices count from one."""
    lines = [f"v {x:.6f} {y:.6f} {z:.6f}" for x, y, z in vertices.tolist()]
    lines += [f"vt {u:.6f} {v:.6f}" for u, v in head.uv.tolist()]
    corners = zip((head.faces + 1).tolist(), (head.uv_faces + 1).tolist(), strict=True)
    for face, uv_face in corners:
        lines.append("f " + " ".join(f"{a}/{b}" for a, b in zip(face, uv_face, strict=True)))
    return "\n".join(lines) + "\n"
