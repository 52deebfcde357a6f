"""Text-to-video by diffusers: a stand-in with the pipeline's call, and a tiny random Wan."""

import importlib.util
import inspect
import sys
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from mien.data_synth.video_route import DiffusersTextToVideo

OPTIONS: dict[str, Any] = {"height": 16, "width": 32, "steps": 2, "guidance": 3.0, "negative": "x"}


class StandIn:
    """Has the call of `diffusers.WanPipeline`, and answers with noise."""

    vae_scale_factor_temporal = 4

    def __call__(self, **asked: Any) -> Any:
        self.asked = asked
        shape = (1, asked["num_frames"], asked["height"], asked["width"], 3)
        noise = torch.randn(shape, generator=asked["generator"]) + 0.5
        return SimpleNamespace(frames=noise.numpy())


def test_frames_and_rate_and_options_reach_the_pipeline() -> None:
    pipeline = StandIn()
    video = DiffusersTextToVideo(pipeline, **OPTIONS).make("a woman smiles", 1.0, seed=3)
    assert video.frames.shape == (17, 16, 32, 3) and video.fps == 16.0
    assert video.frames.min() == 0 and video.frames.max() == 255
    asked = {k: v for k, v in pipeline.asked.items() if k != "generator"}
    assert asked == {
        "prompt": "a woman smiles",
        "negative_prompt": "x",
        "num_frames": 17,
        "height": 16,
        "width": 32,
        "num_inference_steps": 2,
        "guidance_scale": 3.0,
        "output_type": "np",
    }


def test_the_seed_alone_decides() -> None:
    model = DiffusersTextToVideo(StandIn(), **OPTIONS)
    first, again, other = (model.make("smile", 0.5, seed=s).frames for s in (1, 1, 2))
    assert np.array_equal(first, again) and not np.array_equal(first, other)


@pytest.mark.parametrize(("seconds", "frames"), [(5.0, 81), (1.0, 17), (0.01, 5), (4.99, 81)])
def test_the_number_of_frames_is_one_more_than_a_multiple_of_four(
    seconds: float, frames: int
) -> None:
    assert DiffusersTextToVideo(StandIn()).num_frames(seconds) == frames


def test_without_diffusers_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "diffusers", None)
    with pytest.raises(ValueError, match=r"mien\[video\]"):
        DiffusersTextToVideo.load("anything", "cpu")


needs_diffusers = pytest.mark.skipif(
    importlib.util.find_spec("diffusers") is None, reason="needs the extra `video`"
)


def tiny_wan() -> Any:
    """A `WanPipeline` with random weights, built from configurations alone."""
    from diffusers import (  # pyright: ignore[reportMissingImports]
        AutoencoderKLWan,
        FlowMatchEulerDiscreteScheduler,
        WanPipeline,
        WanTransformer3DModel,
    )
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast, UMT5Config, UMT5EncoderModel

    torch.manual_seed(0)
    make_tokenizer: Any = PreTrainedTokenizerFast
    encoder: Any = UMT5EncoderModel
    words = {"<pad>": 0, "</s>": 1, "<unk>": 2, "a": 3, "woman": 4, "smiles": 5}
    letters = Tokenizer(models.WordLevel(words, unk_token="<unk>"))
    letters.pre_tokenizer = pre_tokenizers.Whitespace()
    text = UMT5Config(
        vocab_size=16, d_model=32, d_kv=8, d_ff=37, num_layers=1, num_heads=4,
        relative_attention_num_buckets=8,
    )  # fmt: skip
    return WanPipeline(
        tokenizer=make_tokenizer(
            tokenizer_object=letters, pad_token="<pad>", eos_token="</s>", unk_token="<unk>"
        ),
        text_encoder=encoder(text).eval(),
        transformer=WanTransformer3DModel(
            patch_size=(1, 2, 2), num_attention_heads=2, attention_head_dim=12, in_channels=16,
            out_channels=16, text_dim=32, freq_dim=256, ffn_dim=32, num_layers=1,
            cross_attn_norm=True, qk_norm="rms_norm_across_heads", rope_max_seq_len=32,
        ).eval(),
        vae=AutoencoderKLWan(
            base_dim=3, z_dim=16, dim_mult=[1, 1, 1, 1], num_res_blocks=1,
            temperal_downsample=[False, True, True],
        ).eval(),
        scheduler=FlowMatchEulerDiscreteScheduler(shift=7.0),
    )  # fmt: skip


@needs_diffusers
@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # those of diffusers
def test_a_tiny_random_wan_makes_a_video() -> None:
    pipeline = tiny_wan()
    pipeline.set_progress_bar_config(disable=True)
    model = DiffusersTextToVideo(pipeline, **OPTIONS)
    video = model.make("a woman smiles", 0.5, seed=1)
    assert video.frames.shape == (9, 16, 32, 3) and video.frames.dtype == np.uint8
    assert np.array_equal(video.frames, model.make("a woman smiles", 0.5, seed=1).frames)
    assert not np.array_equal(video.frames, model.make("a woman smiles", 0.5, seed=2).frames)


@needs_diffusers
@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_the_stand_in_is_asked_what_wan_can_be_asked() -> None:
    from diffusers import WanPipeline  # pyright: ignore[reportMissingImports]

    pipeline = StandIn()
    DiffusersTextToVideo(pipeline, **OPTIONS).make("smile", 0.5, seed=1)
    assert set(pipeline.asked) <= set(inspect.signature(WanPipeline.__call__).parameters)
