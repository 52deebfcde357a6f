"""Tokens of several frames, and tokens of several integers."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from mien.motion import Motion
from mien.tokenizer import FaceSpace, MotionTokenizer, QuantizerConfig, TokenizerConfig
from mien.tokenizer.features import frames_of
from mien.tokenizer.metrics import evaluate, same_look_agreement, share_of_equal_tokens
from mien.tokenizer.vqvae import hold_to_multiple

Untrained = Callable[[TokenizerConfig], MotionTokenizer]
FORMS = [("vq", 2), ("fsq", 4), ("rvq", 1), ("rvq", 4)]
CHAIN = 3
FIELDS = ("expr", "jaw_pose", "eye_pose", "neck_pose")


@pytest.fixture(params=FORMS, ids=lambda form: f"{form[0]}-{form[1]}")
def formed(
    request: pytest.FixtureRequest, config: TokenizerConfig, untrained: Untrained
) -> MotionTokenizer:
    kind, frames = request.param
    quantizer = QuantizerConfig(
        kind, dim=6, codebook_size=16, levels=(4, 3, 3), num_quantizers=CHAIN
    )
    return untrained(replace(config, quantizer=quantizer, frames_per_token=frames))


def some_tokens(tokenizer: MotionTokenizer, count: int) -> torch.Tensor:
    shape = (count, *tokenizer.index_shape)
    return torch.arange(torch.Size(shape).numel()).reshape(shape) * 7 % tokenizer.codebook_size


def test_a_motion_gives_a_token_for_each_group_of_frames(
    formed: MotionTokenizer, motion: Motion
) -> None:
    indices = formed.encode(motion)
    groups = -(-motion.num_frames // formed.frames_per_token)
    assert motion.num_frames % 4 == 1
    assert indices.shape == (groups, *formed.index_shape) and indices.dtype == torch.long
    assert formed.index_shape == ((CHAIN,) if formed.config.quantizer.kind == "rvq" else ())
    assert formed.decode(indices).num_frames == groups * formed.frames_per_token
    assert formed.decode(indices, num_frames=motion.num_frames).num_frames == motion.num_frames
    features = formed.features(motion)
    batch = formed.encode(torch.stack([features, features.flip(0)]))
    assert torch.equal(batch[0], indices)


def test_what_lacks_at_the_end_is_held(formed: MotionTokenizer, motion: Motion) -> None:
    features = formed.features(motion)
    held = torch.cat([features, features[-1:].expand(3, -1)])
    assert torch.equal(formed.encode(held)[: len(formed.encode(motion))], formed.encode(motion))
    assert hold_to_multiple(features[None], 4).shape[1] == 40
    assert hold_to_multiple(features[None, :36], 4).shape[1] == 36


def test_training_sees_as_many_frames_as_it_gave(formed: MotionTokenizer) -> None:
    out = formed(torch.randn(2, 13, 96))
    assert out.frames.expr.shape[:2] == (2, 13)
    assert out.indices.shape == (2, -(-13 // formed.frames_per_token), *formed.index_shape)
    bare = formed(torch.randn(2, 13, 96), quantize=False)
    assert bare.indices.shape == out.indices.shape


def test_no_token_depends_on_a_frame_beyond_its_look_ahead(
    formed: MotionTokenizer, motion: Motion
) -> None:
    features = formed.features(motion)[None]
    changed = features.clone()
    changed[:, 25:] += 1.0
    with torch.no_grad():
        a, b = formed.codec.latents(features)[0], formed.codec.latents(changed)[0]
    span = formed.frames_per_token
    assert formed.encoder_look_ahead == 3 + span - 1
    sees = [k for k in range(len(a)) if k * span + formed.encoder_look_ahead >= 25]
    torch.testing.assert_close(a[: sees[0]], b[: sees[0]])
    assert not torch.allclose(a[sees[0]], b[sees[0]])


def test_no_frame_depends_on_a_token_beyond_the_delay(formed: MotionTokenizer) -> None:
    indices = some_tokens(formed, 30)
    changed = indices.clone()
    changed[20] = (changed[20] + 5) % formed.codebook_size
    a, b = formed.decode(indices).expr, formed.decode(changed).expr
    span = formed.frames_per_token
    first = 20 * span - formed.codec.decoder.right
    assert (20 - formed.look_ahead) * span <= first < (21 - formed.look_ahead) * span
    torch.testing.assert_close(a[:first], b[:first], rtol=0, atol=0)
    assert not torch.equal(a[first], b[first])


@pytest.mark.parametrize("cuts", [[1] * 11, [4, 0, 1, 6]])
def test_a_stream_of_such_tokens_gives_the_bits_of_decoding(
    formed: MotionTokenizer, cuts: list[int]
) -> None:
    indices = some_tokens(formed, 11)
    whole = formed.decode(indices)
    streamed = Motion.concatenate(list(formed.stream(torch.split(indices, cuts))))
    for field in FIELDS:
        torch.testing.assert_close(getattr(streamed, field), getattr(whole, field), rtol=0, atol=0)
    parallel = formed.codec.decode(indices[None])
    torch.testing.assert_close(parallel.expr[0], whole.expr, rtol=1e-4, atol=1e-5)


def test_plain_lists_decode_as_well(formed: MotionTokenizer) -> None:
    indices = some_tokens(formed, 3)
    assert torch.equal(formed.decode(indices.tolist()).expr, formed.decode(indices).expr)


def test_what_is_saved_is_loaded(
    formed: MotionTokenizer, motion: Motion, space: FaceSpace, tmp_path: Path
) -> None:
    formed.save(tmp_path)
    loaded = MotionTokenizer.load(tmp_path, space)
    assert loaded.config == formed.config
    assert torch.equal(loaded.encode(motion), formed.encode(motion))
    indices = some_tokens(formed, 5)
    assert torch.equal(loaded.decode(indices).expr, formed.decode(indices).expr)


def test_figures_are_of_frames_whatever_a_token_is(
    formed: MotionTokenizer, motion: Motion
) -> None:
    figures = evaluate(formed, [motion])
    assert figures.frames == motion.num_frames
    assert 0 < figures.code_use <= 1 and 1 <= figures.perplexity <= formed.codebook_size
    assert same_look_agreement(formed, [motion], budget_mm=0.0) == 1.0


def test_the_rate_is_of_all_integers(formed: MotionTokenizer) -> None:
    integers = CHAIN if formed.index_shape else 1
    bits = torch.tensor(float(formed.codebook_size)).log2().item()
    assert formed.bits_per_second == pytest.approx(25 * integers * bits / formed.frames_per_token)


def test_a_language_model_is_refused_such_tokens(formed: MotionTokenizer) -> None:
    integers = CHAIN if formed.index_shape else 1
    said = f"{integers} integers for {formed.frames_per_token} frames"
    with pytest.raises(ValueError, match=f"one token of one integer a frame, got .* {said}"):
        formed.require_one_token_a_frame()


def test_one_token_a_frame_is_not_refused(tokenizer: MotionTokenizer) -> None:
    tokenizer.require_one_token_a_frame()


def test_tokens_are_equal_where_all_their_integers_are() -> None:
    a = torch.tensor([[1, 2], [3, 4], [5, 6]])
    b = torch.tensor([[1, 2], [3, 0], [0, 6]])
    assert share_of_equal_tokens([(a, b)]) == pytest.approx(1 / 3)
    assert share_of_equal_tokens([(a[:, 0], b[:, 0]), (a[:1, 0], b[:1, 0])]) == 3 / 4


def test_more_frames_than_the_tokens_hold_are_refused(formed: MotionTokenizer) -> None:
    indices, held = some_tokens(formed, 3), 3 * formed.frames_per_token
    for wrong in (0, held + 1):
        with pytest.raises(ValueError, match=f"from 1 to the tokens' {held}, got {wrong}"):
            formed.decode(indices, num_frames=wrong)


def test_tokens_of_another_shape_are_refused(
    config: TokenizerConfig, untrained: Untrained
) -> None:
    chain = QuantizerConfig("rvq", dim=6, codebook_size=16, num_quantizers=CHAIN)
    tokenizer = untrained(replace(config, quantizer=chain))
    with pytest.raises(ValueError, match=r"must be \[..., 3\], .* got \(4,\)"):
        tokenizer.decode([1, 2, 3, 4])


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"frames_per_token": 3}, "must be 1, 2 or 4, got 3"),
        ({"frames_per_token": 2}, "'parts' wants .* got 'vq' and 2; set `scheme` to 'joint'"),
        ({"quantizer": QuantizerConfig("rvq")}, "'parts' wants .* got 'rvq' and 1"),
    ],
)
def test_forms_that_do_not_go_together_are_refused(wrong: dict[str, object], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        TokenizerConfig(scheme="parts", **wrong)  # type: ignore[arg-type]


def test_the_head_of_held_frames_is_cut_too(formed: MotionTokenizer, motion: Motion) -> None:
    decoded = formed.decode(formed.encode(motion), num_frames=motion.num_frames)
    assert frames_of(decoded).rotation.shape == (motion.num_frames, 3, 3)
