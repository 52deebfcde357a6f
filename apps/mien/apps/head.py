"""`mien head`: a head of a chosen age, build and face as a mesh, to keep and to edit."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import tyro

from mien.apps.outputs import check_outputs
from mien.apps.progress import say
from mien.apps.refusal import refusing
from mien.apps.request import check_seed

if TYPE_CHECKING:
    from torch import Tensor

    from mien.head import Head
    from mien.person import Person

_TRAITS = ("age", "gender", "weight", "muscle", "height", "proportions", "race")


@dataclass(frozen=True)
class MakeHead:
    """Write a person's head as a mesh, in metres, Y up, facing +Z, or the person to edit later.

    The extension decides: .obj (Wavefront), .glb (glTF with 52 morph targets and joints), .json
    (the person: read it again with --person). What is not given is the mean adult's, or as in
    --person or --sample.
    """

    output: Annotated[
        tyro.conf.UseAppendAction[tuple[Path, ...]], tyro.conf.arg(aliases=["-o"], metavar="PATH")
    ] = ()
    """File to write, head.obj where none is given; give it again for more."""
    person: Annotated[Path | None, tyro.conf.arg(metavar="PATH.json")] = None
    """Begin with this person."""
    sample: bool = False
    """Begin with a random person, by --seed."""
    age: float | None = None
    """0 an infant, 0.33 a child, 0.5 a teenager, 0.67 an adult, 1 an old person."""
    gender: float | None = None
    """0 female to 1 male."""
    weight: float | None = None
    """0 slight to 1 heavy."""
    muscle: float | None = None
    """0 soft to 1 muscular."""
    height: float | None = None
    """0 short to 1 tall; it hardly shows on a face."""
    proportions: float | None = None
    """0 uncommon to 1 ideal."""
    race: tuple[float, float, float] | None = None
    """Shares of the three sculpted poles: african, asian, caucasian."""
    features: Annotated[tuple[str, ...], tyro.conf.arg(metavar="NAME=VALUE")] = ()
    """Local features from -1 to 1, such as nose-hump=0.5 chin-width=-0.3."""
    list_features: bool = False
    """Print the names of the local features, and stop."""
    seed: int | None = None
    """Gives the face its own local features; the mean ones where not given."""

    def run(self) -> None:
        """Check, shape, write."""
        if self.list_features:
            from mien.identity import slider_names

            print("\n".join(slider_names()))
            return
        outputs = self.output or (Path("head.obj"),)
        with refusing():
            check_outputs(outputs, [".obj", ".glb", ".json"], [self.person] if self.person else [])
            if self.seed is not None:
                check_seed(self.seed)
            person = self._person()
        write_person(person, outputs)

    def _person(self) -> "Person":
        from mien.person import Person

        if self.person is not None and self.sample:
            raise ValueError("Begin with --person or with --sample, got both.")
        if self.person is not None:
            person = Person.read(self.person)
        elif self.sample:
            person = Person.sample(self.seed or 0)
        else:
            person = Person()
        given = {name: getattr(self, name) for name in _TRAITS}
        changes: dict[str, Any] = {n: value for n, value in given.items() if value is not None}
        person = person.edit(**changes, features=read_features(self.features))
        if self.seed is not None and not self.sample:
            person = person.with_random_features(self.seed)
        return person


def read_features(texts: Sequence[str]) -> dict[str, float]:
    """Values by name from texts like "nose-hump=0.5".

    Raises:
        ValueError: If one has another form.

    Example:
        >>> read_features(["nose-hump=0.5"])
        {'nose-hump': 0.5}
    """
    found = {}
    for text in texts:
        name, _, value = text.partition("=")
        try:
            found[name.strip()] = float(value)
        except ValueError as error:
            raise ValueError(
                f"A feature must look like nose-hump=0.5, got {text[:40]!r}."
            ) from error
    return found


def write_person(person: "Person", paths: Sequence[Path]) -> None:
    """Write a person to every path by its extension: all of them, or none.

    Raises:
        Refusal: If the system cannot write one.
    """
    from contextlib import ExitStack

    from mien.files import whole_file
    from mien.formats.glb import write_glb
    from mien.head import Head

    head, identity = Head.default(), person.identity()
    with refusing(kinds=(OSError,)), ExitStack() as stack:
        for path in paths:
            temporary = stack.enter_context(whole_file(path))
            kind = path.suffix.lower()
            if kind == ".json":
                temporary.write_text(person.to_json(), encoding="utf-8")
            elif kind == ".glb":
                write_glb(
                    temporary,
                    head,
                    shape=identity.shape,
                    scale=identity.scale,
                    gains=identity.gains,
                )
            else:
                vertices = head(shape=identity.shape[None])[0] * identity.scale
                temporary.write_text(format_obj(vertices, head), encoding="ascii")
    for path in paths:
        say(f"wrote {path}")


def format_obj(vertices: "Tensor", head: "Head") -> str:
    """A Wavefront mesh with texture coordinates; its indices count from one."""
    lines = [f"v {x:.6f} {y:.6f} {z:.6f}" for x, y, z in vertices.tolist()]
    lines += [f"vt {u:.6f} {v:.6f}" for u, v in head.uv.tolist()]
    corners = zip((head.faces + 1).tolist(), (head.uv_faces + 1).tolist(), strict=True)
    for face, uv_face in corners:
        lines.append("f " + " ".join(f"{a}/{b}" for a, b in zip(face, uv_face, strict=True)))
    return "\n".join(lines) + "\n"
