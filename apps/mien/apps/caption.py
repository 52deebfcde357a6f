"""`mien caption`: motion to text."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro

from mien.apps.inputs import check_input, load_flame, read_clip
from mien.apps.refusal import refusing
from mien.apps.request import Device, FlameFile, check_device

if TYPE_CHECKING:
    from mien.pipeline import Caption as Found


@dataclass(frozen=True)
class Caption:
    """Say what the face in a clip does: a description, then each event with its times.

    Reads .csv (Live Link Face), .gesichter (a recording of its stream), .npz and .safetensors
    (Motion), .curves.json, .flame.npz (FLAME parameters), and videos (.mp4 .mov .avi .mkv .webm)
    with the extra `track`.
    """

    path: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="PATH")]
    """The clip."""
    json: bool = False
    """Print {"caption", "events": [{"start", "end", "text"}], "seconds", "source"} instead."""
    head: FlameFile = None
    """FLAME model (.pkl or .npz) that .flame.npz files are for."""
    device: Device = "cpu"
    """Where models run."""

    def run(self) -> None:
        """Read, describe, print."""
        with refusing():
            check_input(self.path)
            check_device(self.device)
            motion = read_clip(self.path, load_flame(self.head), has_head=True)
        from mien import pipeline

        found = pipeline.caption(motion, device=self.device)
        if self.json:
            print(_as_json(found, motion.seconds, self.path))
        else:
            print(_as_text(found))


def _as_json(found: "Found", seconds: float, source: Path) -> str:
    events = [
        {"start": round(event.start, 3), "end": round(event.end, 3), "text": event.text}
        for event in found.events
    ]
    fields: dict[str, object] = {
        "caption": found.caption,
        "events": events,
        "seconds": round(seconds, 3),
        "source": str(source),
    }
    return json.dumps(fields, ensure_ascii=False, indent=2)


def _as_text(found: "Found") -> str:
    rows = [f"{event.start:6.2f} - {event.end:5.2f} s  {event.text}" for event in found.events]
    return "\n".join([found.caption, *rows])
