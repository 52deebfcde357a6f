"""Files that commands write: checked before the work starts, written whole or not at all."""

import tempfile
from collections.abc import Collection, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from mien.apps.drawing import Drawing, draw_frames, draw_sheet, write_avatar_glb
from mien.apps.inputs import extension
from mien.apps.progress import say
from mien.apps.refusal import refusing

if TYPE_CHECKING:
    from mien.head import Head
    from mien.motion import Motion

WRITABLE = {
    ".mp4": "H.264 video",
    ".gif": "animation",
    ".png": "contact sheet",
    ".csv": "Live Link Face",
    ".npz": "Motion",
    ".safetensors": "Motion",
    ".glb": "glTF",
    ".curves.json": "ARKit curves",
    ".curves.png": "picture of the curves",
    ".flame.npz": "FLAME parameters",
}
PICTURES = {".mp4", ".gif", ".png"}
LATER = {".html": "a viewer"}


def check_outputs(
    paths: Sequence[Path],
    kinds: Collection[str] = tuple(WRITABLE),
    inputs: Sequence[Path] = (),
    flame: "Head | None" = None,
) -> None:
    """Refuse outputs that could not be written, before any work is done.

    Args:
        paths: What the user wants written; an existing file is replaced as a whole.
        kinds: Extensions that the command can write.
        inputs: Files that are read and so must not be written over.
        flame: The FLAME model to write FLAME parameters for.

    Raises:
        ValueError: If there is none, an extension is not known, or two name the same file.
        OSError: If a folder is missing or cannot be written.
    """
    if not paths:
        raise ValueError(
            f"Name at least one file to write with -o; wanted one of {_names(kinds)}."
        )
    seen: dict[Path, Path] = {path.resolve(): path for path in inputs}
    for path in paths:
        _check_kind(path, kinds)
        if extension(path) == ".flame.npz" and flame is None:
            raise ValueError(
                f"{path}: FLAME parameters need a model to be for: --head FLAME2023.pkl."
            )
        if path.resolve() in seen:
            raise ValueError(f"{path}: named twice; each output must be a file of its own.")
        seen[path.resolve()] = path
        check_writable(path)


def any_picture(paths: Sequence[Path]) -> bool:
    """Whether some output shows the avatar."""
    return any(extension(path) in {*PICTURES, ".glb"} for path in paths)


def check_writable(path: Path) -> None:
    """Refuse a path where no file can be made: tried out, for permissions do not tell all."""
    if path.is_dir():
        raise ValueError(f"{path}: wanted a file to write, got a folder.")
    if path.exists() and not path.is_file():
        raise ValueError(f"{path}: wanted a file to write, got a device or a pipe.")
    if path.exists() and not path.stat().st_mode & 0o222:
        raise ValueError(f"{path}: is write-protected; wanted a file that may be replaced.")
    if not path.parent.is_dir():
        raise ValueError(f"{path}: there is no folder {path.parent} to write in.")
    try:
        with tempfile.TemporaryFile(dir=path.parent):
            pass
    except OSError as error:
        raise ValueError(f"{path}: cannot write in {path.parent}: {error.strerror}.") from error


def _check_kind(path: Path, kinds: Collection[str]) -> None:
    kind = extension(path)
    if kind in kinds:
        return
    if kind in LATER:
        raise ValueError(
            f"{path}: {kind} ({LATER[kind]}) is not supported yet; wanted one of {_names(kinds)}."
        )
    got = f"got {kind}" if kind else "got no extension"
    raise ValueError(f"{path}: wanted one of {_names(kinds)}, {got}.")


def _names(kinds: Collection[str]) -> str:
    return " ".join(kinds)


@contextmanager
def writing(path: Path) -> Iterator[Path]:
    """A temporary path that becomes `path` when the block ends well; says what was written.

    Raises:
        Refusal: If the system cannot write it.
    """
    from mien.files import whole_file

    with refusing(kinds=(OSError,)), whole_file(path) as temporary:
        yield temporary
    say(f"wrote {path}")


def write_outputs(
    motion: "Motion", paths: Sequence[Path], drawing: Drawing, flame: "Head | None" = None
) -> None:
    """Write a motion to every path by its extension: all of them, or none.

    Args:
        motion: A motion of the default head.
        paths: Checked by :func:`check_outputs`.
        drawing: How pictures are drawn.
        flame: The FLAME model of `.flame.npz`.

    Raises:
        Refusal: If the system cannot write one (a full disk): no error of ours.
    """
    from mien.files import whole_file

    with refusing(kinds=(OSError,)), ExitStack() as stack:
        staged = [(extension(path), stack.enter_context(whole_file(path))) for path in paths]
        _write_data(motion, [pair for pair in staged if pair[0] not in PICTURES], drawing, flame)
        _write_pictures(motion, [pair for pair in staged if pair[0] in PICTURES], drawing)
    for path in paths:
        say(f"wrote {path}")


def _write_data(
    motion: "Motion",
    staged: list[tuple[str, Path]],
    drawing: Drawing,
    flame: "Head | None",
) -> None:
    from mien.apps.plots import plot_curves
    from mien.formats import write_motion
    from mien.formats.curves_json import write_curves_json
    from mien.formats.flame_params import write_flame_params

    for kind, path in staged:
        if kind == ".glb":
            write_avatar_glb(motion, drawing.avatar, path)
        elif kind == ".curves.json":
            write_curves_json(motion, path)
        elif kind == ".flame.npz" and flame is not None:
            write_flame_params(path, motion, flame)
        elif kind == ".curves.png":
            plot_curves(motion).save(path, format="png")
        else:
            write_motion(motion, path)


def _write_pictures(motion: "Motion", staged: list[tuple[str, Path]], drawing: Drawing) -> None:
    from mien.apps.video import write_video

    videos = [path for kind, path in staged if kind != ".png"]
    sheets = [path for kind, path in staged if kind == ".png"]
    for path in videos:
        write_video(path, draw_frames(motion, drawing), motion.fps)
    if sheets:
        picture = draw_sheet(motion, drawing)
        for path in sheets:
            picture.save(path)
