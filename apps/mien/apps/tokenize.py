"""`mien tokenize`: motion to tokens, one a frame."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from mien.apps.inputs import check_input, load_flame, read_clip
from mien.apps.outputs import check_outputs, writing
from mien.apps.refusal import refusing
from mien.apps.request import Device, FlameFile, check_device
from mien.apps.tokens import TokenFile


@dataclass(frozen=True)
class Tokenize:
    """Turn a clip into motion tokens, one a frame at 25 frames a second.

    Prints JSON, or writes it to a file that `mien detokenize` reads.
    """

    path: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="PATH")]
    """The clip: .csv .gesichter .npz .safetensors .curves.json .flame.npz, or a video."""
    output: Annotated[Path | None, tyro.conf.arg(aliases=["-o"], metavar="PATH.json")] = None
    """Where to write the tokens; stdout where not given."""
    head: FlameFile = None
    """FLAME model (.pkl or .npz) that .flame.npz files are for."""
    device: Device = "cpu"
    """Where the tokenizer runs."""

    def run(self) -> None:
        """Read, encode, write."""
        with refusing():
            check_input(self.path)
            if self.output is not None:
                check_outputs([self.output], [".json"], inputs=[self.path])
            check_device(self.device)
            motion = read_clip(self.path, load_flame(self.head), has_head=True)
        from mien import pipeline

        indices = pipeline.tokenize(motion, device=self.device)
        size = pipeline.tokenizer(self.device).codebook_size
        tokens = TokenFile(tuple(indices.tolist()), size, pipeline.TOKEN_FPS, motion.text)
        if self.output is None:
            print(tokens.to_json())
            return
        with writing(self.output) as path:
            path.write_text(tokens.to_json() + "\n", encoding="utf-8")
