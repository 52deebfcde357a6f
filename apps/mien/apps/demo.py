"""`mien demo`: a page in the browser for both directions."""

import os
import signal
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from mien.apps.drawing import Drawing
from mien.apps.outputs import write_outputs
from mien.apps.progress import say
from mien.apps.refusal import Refusal, describe, refusing
from mien.apps.request import (
    Device,
    check_avatar,
    check_device,
    check_seconds,
    check_seed,
    plain_prompt,
)
from mien.apps.words import check_words

if TYPE_CHECKING:
    import gradio
    from PIL.Image import Image

T = TypeVar("T")

EXAMPLES = (
    "a shy smile that grows into a laugh, then she looks away",
    "he frowns, then slowly raises the left eyebrow",
    "surprised, then relieved, nodding",
    "a wink with the right eye and a smirk",
)
CURVES = "**Curves** of what moves most, and the turns of the head below"
FONT = ("system-ui", "sans-serif")


@dataclass(frozen=True)
class Demo:
    """Open a page on this machine: text to a moving face, and a clip to text."""

    port: int = 7860
    """Where the page is served, on 127.0.0.1 only."""
    device: Device = "cpu"
    """Where models run and frames are drawn."""

    def run(self) -> None:
        """Serve until interrupted or terminated; no temporary files stay."""
        with refusing():
            check_port(self.port)
            check_device(self.device)
        say("loading")
        with working_folder() as folder:
            page = build(folder, self.device)
            with refusing(kinds=(OSError,)):
                url = launch(page, self.port)
            say(f"open {url}, end with Ctrl+C")
            page.block_thread()


@contextmanager
def working_folder() -> Iterator[Path]:
    """A folder for what the page makes and is sent; gone when the block ends, by SIGTERM too."""
    before = signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    try:
        with tempfile.TemporaryDirectory(prefix="mien-", ignore_cleanup_errors=True) as name:
            os.environ["GRADIO_TEMP_DIR"] = name
            yield Path(name)
    finally:
        signal.signal(signal.SIGTERM, before)


def check_port(port: int) -> None:
    """Refuse what is no port a user may open."""
    if not 1024 <= port <= 65535:
        raise ValueError(f"`port` must be from 1024 to 65535, got {port}.")


def launch(page: "gradio.Blocks", port: int) -> str:
    """Serve the page on the loopback address, in the background, and return where.

    Raises:
        OSError: If the port is taken.
    """
    import gradio

    theme = gradio.themes.Soft(font=list(FONT), font_mono=["monospace"])  # nothing is fetched
    _, url, _ = page.launch(
        server_name="127.0.0.1",
        server_port=port,
        prevent_thread_lock=True,
        share=False,
        quiet=True,
        theme=theme,
        footer_links=[],
    )
    return str(url)


def build(folder: Path, device: Device = "cpu") -> "gradio.Blocks":
    """The page: one tab a direction; what it makes goes to `folder`."""
    import gradio

    page: gradio.Blocks = gradio.Blocks(title="mien", analytics_enabled=False)
    with page:
        gradio.Markdown(
            "# mien\nLanguage to facial motion, and back. Everything runs on this machine."
        )
        with gradio.Tab("Text to face"):
            _build_animate(folder, device)
        with gradio.Tab("Clip to text"):
            _build_caption(device)
    return page


def _build_animate(folder: Path, device: Device) -> None:
    import gradio

    from mien.avatar.avatar_file import shipped_names

    names = list(shipped_names())

    with gradio.Row():
        with gradio.Column(scale=2):
            text = gradio.Textbox(EXAMPLES[0], label="What the face does", lines=3)
            seconds = gradio.Slider(0, 20, 0, step=0.5, label="Seconds (0: as the text asks)")
            seed = gradio.Number(0, label="Seed", precision=0)
            avatar = gradio.Dropdown(names, value=next(iter(names), None), label="Avatar")
            go = gradio.Button("Animate", variant="primary")
            gradio.Examples([[example] for example in EXAMPLES], [text])
        with gradio.Column(scale=3):
            video = gradio.Video(label="Face", autoplay=True, loop=True, height=480)
            gradio.Markdown(CURVES)
            plot = gradio.Image(label="Curves", type="pil", show_label=False)
            files = gradio.File(label="Download", file_count="multiple", height=160)
    inputs, outputs = [text, seconds, seed, avatar], [video, plot, files]

    def answer(*values: Any) -> Any:
        return _telling(lambda: animate(*values, folder=folder, device=device))

    go.click(answer, inputs, outputs, api_name="animate")
    text.submit(answer, inputs, outputs, api_visibility="private")


def _build_caption(device: Device) -> None:
    import gradio

    with gradio.Row():
        with gradio.Column(scale=2):
            clip = gradio.File(
                label="Motion: .csv (Live Link Face), .npz, .safetensors",
                file_types=[".csv", ".npz", ".safetensors"],
            )
            go = gradio.Button("Describe", variant="primary")
        with gradio.Column(scale=3):
            words = gradio.Textbox(label="What the face does", lines=2)
            events = gradio.Dataframe(headers=["start s", "end s", "event"], label="Events")
            gradio.Markdown(CURVES)
            plot = gradio.Image(label="Curves", type="pil", show_label=False)

    def answer(path: str | None) -> Any:
        return _telling(lambda: describe_clip(path, device=device))

    go.click(answer, [clip], [words, events, plot], api_name="caption")


def animate(
    text: str,
    seconds: float | None,
    seed: float | None,
    avatar: str,
    *,
    folder: Path,
    device: Device,
) -> "tuple[str, Image, list[str]]":
    """A video, its curves and everything to download, for a prompt.

    Args:
        text: What the face does.
        seconds: Length; 0 leaves it to the text.
        seed: Of the sampling.
        avatar: Whose face.
        folder: Where the files go, in a folder of their own.
        device: Where models run.
    """
    from mien import pipeline
    from mien.apps.plots import plot_curves

    check_words(plain_prompt(text))  # at once, before anything heavy is loaded
    check_seconds(seconds or None)
    check_seed(int(seed or 0))
    check_avatar(avatar)
    drawing = Drawing(avatar, device=device)
    drawing.check()
    motion = pipeline.animate(text, seconds or None, int(seed or 0), device=device)
    made = Path(tempfile.mkdtemp(dir=folder))
    paths = [made / f"face{kind}" for kind in (".mp4", ".csv", ".npz", ".png")]
    write_outputs(motion, paths, drawing)
    return str(paths[0]), plot_curves(motion), [str(path) for path in paths]


def describe_clip(
    path: str | None, *, device: Device
) -> "tuple[str, list[list[str | float]], Image]":
    """The description, the table of events and the curves of an uploaded clip."""
    from mien import pipeline
    from mien.apps.inputs import read_clip
    from mien.apps.plots import plot_curves
    from mien.motion import Label

    if path is None:
        raise ValueError("Choose a clip first: a .csv, .npz or .safetensors file.")
    motion = read_clip(Path(path))
    found = pipeline.caption(motion, device=device)
    labels = tuple(Label(event.start, event.end, event.text) for event in found.events)
    rows: list[list[str | float]] = [
        [round(event.start, 2), round(event.end, 2), event.text] for event in found.events
    ]
    return found.caption, rows, plot_curves(motion.replace(labels=labels))


def _telling(call: Callable[[], T]) -> T:
    """Run `call`; what is wrong with its input becomes a message on the page."""
    import gradio

    try:
        return call()
    except (Refusal, ValueError) as error:
        raise gradio.Error(describe(error), print_exception=False) from error
