"""`mien detokenize`: tokens to motion or video."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from mien.apps.drawing import Drawing
from mien.apps.outputs import any_picture, check_outputs, write_outputs
from mien.apps.refusal import refusing
from mien.apps.request import Device
from mien.apps.tokens import TokenFile


@dataclass(frozen=True)
class Detokenize:
    """Turn the tokens that `mien tokenize` wrote back into a motion or a video."""

    path: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="TOKENS.json")]
    """The tokens."""
    output: Annotated[
        tyro.conf.UseAppendAction[tuple[Path, ...]], tyro.conf.arg(aliases=["-o"], metavar="PATH")
    ] = ()
    """File to write (.mp4 .gif .png .csv .npz .safetensors .glb); give it again for more."""
    avatar: str = "adult"
    """Whose face: a name from `mien avatar list`, or a folder."""
    size: int = 512
    """Width and height of a video, pixels."""
    device: Device = "cpu"
    """Where the tokenizer runs and frames are drawn."""

    def run(self) -> None:
        """Read, decode, write."""
        drawing = Drawing(self.avatar, self.size, self.device)
        with refusing(str(self.path)):
            tokens = TokenFile.read(self.path)
        with refusing():
            check_outputs(self.output, inputs=[self.path])
            drawing.check(any_picture(self.output))
        import torch

        from mien import pipeline

        tokenizer = pipeline.tokenizer(self.device)
        with refusing(str(self.path)):
            if tokens.codebook_size != tokenizer.codebook_size:
                raise ValueError(
                    f"The tokens must be of a tokenizer with {tokenizer.codebook_size} codes, "
                    f"got {tokens.codebook_size}."
                )
            if tokens.fps != pipeline.TOKEN_FPS:
                raise ValueError(
                    f"The tokens must be of {pipeline.TOKEN_FPS:g} frames a second, "
                    f"got {tokens.fps:g}."
                )
        indices = torch.tensor(tokens.indices, device=self.device)
        motion = tokenizer.decode(indices).replace(text=tokens.text)
        write_outputs(motion, self.output, drawing)
