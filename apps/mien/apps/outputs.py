"""Files that commands write: checked before the work starts, written whole or not at all."""

import tempfile
from collections.abc import Collection, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from mien.apps.drawing import Drawing, draw_frames, draw_sheet, write_avatar_glb
from mien.apps.inputs import extension
from mien.apps.progress import say
from mien.apps.refusal import MAX_CHARACTERS, Refusal, refusing
from mien.text import one_line

if TYPE_CHECKING:
    from PIL.Image import Image

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
ENCODERS = {".mp4": "libx264", ".gif": "gif"}
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
        _check_encoder(path)


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


def _check_encoder(path: Path) -> None:
    name = ENCODERS.get(extension(path))
    if name is None:
        return
    from av import Codec

    try:
        Codec(name, "w")
    except ValueError as error:
        raise ValueError(
            f"{path}: wanted PyAV with the encoder {name}, got one without; "
            "install the wheel of `av`, or write .png or data."
        ) from error


def _names(kinds: Collection[str]) -> str:
    return " ".join(kinds)


@contextmanager
def writing(path: Path) -> Iterator[Path]:
    """A temporary path that becomes `path` when the block ends well; says what was written.

    Raises:
        Refusal: If the system cannot write it.
    """
    from mien.files import whole_file

    with refusing(kinds=(OSError,)), whole_file(path) as temporary, naming(path, temporary):
        yield temporary
    say(f"wrote {path}")


@contextmanager
def naming(path: Path, temporary: Path | None = None) -> Iterator[None]:
    """Let the system's errors name the file that was asked for, never what stands in for it.

    Args:
        path: What the user wants written.
        temporary: Where it is written first, if anywhere else.

    Raises:
        Refusal: If the system cannot write it.
    """
    try:
        yield
    except OSError as error:
        text = one_line(error.strerror or error, MAX_CHARACTERS)
        if temporary is not None:
            text = text.replace(str(temporary), str(path))
        raise Refusal(text if str(path) in text else f"{path}: {text}") from error


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
        staged = [(path, stack.enter_context(whole_file(path))) for path in paths]
        for path, temporary in staged:
            if extension(path) not in PICTURES:
                with naming(path, temporary):
                    _write_data(motion, extension(path), temporary, drawing, flame)
        _write_pictures(motion, staged, drawing)
    for path in paths:
        say(f"wrote {path}")


def _write_data(
    motion: "Motion", kind: str, path: Path, drawing: Drawing, flame: "Head | None"
) -> None:
    if kind == ".glb":
        write_avatar_glb(motion, drawing.avatar, path)
    elif kind == ".curves.json":
        from mien.formats.curves_json import write_curves_json

        write_curves_json(motion, path)
    elif kind == ".flame.npz" and flame is not None:
        from mien.formats.flame_params import write_flame_params

        write_flame_params(path, motion, flame)
    elif kind == ".curves.png":
        from mien.apps.plots import plot_curves

        plot_curves(motion).save(path, format="png")
    else:
        from mien.formats import write_motion

        write_motion(motion, path)


def _write_pictures(motion: "Motion", staged: list[tuple[Path, Path]], drawing: Drawing) -> None:
    sheet: Image | None = None
    for path, temporary in staged:
        kind = extension(path)
        with naming(path, temporary):
            if kind == ".png":
                sheet = sheet or draw_sheet(motion, drawing)
                sheet.save(temporary)
            elif kind in PICTURES:
                from mien.apps.video import write_video

                write_video(temporary, draw_frames(motion, drawing), motion.fps)
