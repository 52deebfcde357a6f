"""`python -m mien.data_synth.video_route`: a corpus from text-to-video models."""

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import tyro

from mien.data_synth.data_card import write_card
from mien.data_synth.video_route.route import VideoConfig, motion_agreement, write_video_corpus
from mien.data_synth.video_route.text_to_video import WAN, DiffusersTextToVideo
from mien.tracking import MediaPipeLandmarker, find_model


@dataclass(frozen=True)
class Options:
    """Make videos of prompts, keep the good ones, track them, write shards; resumable."""

    out: Annotated[Path, tyro.conf.arg(aliases=["-o"], metavar="FOLDER")] = Path("runs/videos")
    """Where shards go."""
    models: tuple[str, ...] = (WAN,)
    """Hub ids or folders of diffusers pipelines; prompts go to them in turn."""
    prompts: int = 1024
    """How many."""
    seconds: float = 5.0
    """Length of a video."""
    tries: int = 2
    """Videos of one prompt, at most."""
    seed: int = 0
    """Another seed is another corpus."""
    agreement: Literal["motion", "none"] = "none"
    """Whether the tracked face must show what was asked for."""
    landmarker: Path | None = None
    """MediaPipe's face_landmarker.task."""
    device: Literal["cuda", "cpu"] = "cuda"
    """Where the models run."""

    def run(self) -> None:
        """Load, make, count."""
        landmarker = find_model(self.landmarker)
        config = VideoConfig(self.seed, self.prompts, seconds=self.seconds, tries=self.tries)
        models = [DiffusersTextToVideo.load(name, self.device) for name in self.models]
        scorer = motion_agreement if self.agreement == "motion" else None
        make = write_video_corpus(
            self.out, config, models, lambda: MediaPipeLandmarker(landmarker), scorer
        )
        for done, total in make:
            sys.stderr.write(f"mien: {done} of {total} shards\n")
        write_card(self.out)


if __name__ == "__main__":
    try:
        tyro.cli(Options, config=(tyro.conf.FlagCreatePairsOff,)).run()
    except (ValueError, ImportError) as error:
        sys.exit(f"mien: error: {error}")
