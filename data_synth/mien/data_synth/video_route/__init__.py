"""The paper's own route to data: prompt, text-to-video model, quality checks, tracking, shards.

`python -m mien.data_synth.video_route --help` runs it with models of diffusers (the extra `video`)
and MediaPipe (the extra `track`).
"""

from mien.data_synth.video_route.prompts import VideoPrompt, make_prompt
from mien.data_synth.video_route.quality import Check, Limits, check_video
from mien.data_synth.video_route.route import (
    Scorer,
    Take,
    VideoConfig,
    make_take,
    motion_agreement,
    write_video_corpus,
)
from mien.data_synth.video_route.text_to_video import DiffusersTextToVideo, TextToVideo, Video

__all__ = [
    "Check",
    "DiffusersTextToVideo",
    "Limits",
    "Scorer",
    "Take",
    "TextToVideo",
    "Video",
    "VideoConfig",
    "VideoPrompt",
    "check_video",
    "make_prompt",
    "make_take",
    "motion_agreement",
    "write_video_corpus",
]
