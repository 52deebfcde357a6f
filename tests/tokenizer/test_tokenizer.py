import json
from pathlib import Path

import pytest
import torch

from mien.motion import Motion
from mien.tokenizer import FaceSpace, MotionTokenizer, TokenizerConfig


def test_a_motion_gives_one_token_a_frame_at_25_fps(
    tokenizer: MotionTokenizer, motion: Motion
) -> None:
    indices = tokenizer.encode(motion)
    assert indices.shape == (motion.num_frames,) and indices.dtype == torch.long
    assert int(indices.min()) >= 0 and int(indices.max()) < tokenizer.codebook_size


def test_other_frame_rates_are_resampled(tokenizer: MotionTokenizer, motion: Motion) -> None:
    faster = motion.resample(60.0)
    assert len(tokenizer.encode(faster)) == faster.resample(25.0).num_frames
    assert tokenizer.decode([1, 2, 3, 4, 5], fps=50.0).fps == 50.0


def test_one_frame_is_enough(tokenizer: MotionTokenizer) -> None:
    indices = tokenizer.encode(Motion.rest(1))
    assert indices.shape == (1,)
    assert tokenizer.decode(indices).num_frames == 1


def test_a_batch_of_features_gives_the_tokens_of_each(
    tokenizer: MotionTokenizer, motion: Motion
) -> None:
    features = tokenizer.features(motion)
    batch = torch.stack([features, features.flip(0)])
    tokens = tokenizer.encode(batch)
    assert tokens.shape == (2, len(features))
    torch.testing.assert_close(tokens[0], tokenizer.encode(motion))


def test_a_token_depends_on_no_frame_beyond_the_look_ahead(
    tokenizer: MotionTokenizer, motion: Motion
) -> None:
    with torch.no_grad():
        features = tokenizer.features(motion)[None]
        changed = features.clone()
        changed[:, 25:] += 1.0
        a, b = tokenizer.codec.latents(features)[0], tokenizer.codec.latents(changed)[0]
    first = 25 - tokenizer.encoder_look_ahead
    torch.testing.assert_close(a[:first], b[:first])
    assert not torch.allclose(a[first], b[first])


def test_the_head_turned_as_a_whole_is_coded_like_the_neck(
    tokenizer: MotionTokenizer, motion: Motion
) -> None:
    moved = motion.replace(global_pose=motion.neck_pose, neck_pose=motion.global_pose)
    assert torch.equal(tokenizer.encode(moved), tokenizer.encode(motion))


def test_decoded_coefficients_stay_in_their_range(tokenizer: MotionTokenizer) -> None:
    expr = tokenizer.decode(torch.arange(tokenizer.codebook_size)).expr
    assert float(expr.min()) >= 0.0 and float(expr.max()) <= 1.0


def test_a_saved_tokenizer_is_the_same_tokenizer(
    tokenizer: MotionTokenizer, motion: Motion, space: FaceSpace, tmp_path: Path
) -> None:
    tokenizer.save(tmp_path / "t", card={"seed": 1})
    loaded = MotionTokenizer.load(tmp_path / "t", space)
    assert loaded.card == {"seed": 1} and loaded.config == tokenizer.config
    assert torch.equal(loaded.encode(motion), tokenizer.encode(motion))
    a, b = loaded.decode([3, 1, 4, 1, 5]), tokenizer.decode([3, 1, 4, 1, 5])
    torch.testing.assert_close(a.expr, b.expr, rtol=0, atol=0)


def test_a_loaded_tokenizer_trains_on_bit_for_bit(
    tokenizer: MotionTokenizer, motion: Motion, space: FaceSpace, tmp_path: Path
) -> None:
    tokenizer.save(tmp_path)
    batch = torch.stack([tokenizer.features(motion), tokenizer.features(motion).flip(0)])
    states = []
    for model in (tokenizer, MotionTokenizer.load(tmp_path, space)):
        torch.manual_seed(2)
        model.train()
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        for _ in range(3):
            out = model(batch)
            optimizer.zero_grad()
            (out.frames.expr.square().sum() + out.commitment_loss).backward()
            optimizer.step()
        states.append(model.codec.state_dict())
    for name, value in states[0].items():
        torch.testing.assert_close(value, states[1][name], rtol=0, atol=0)


def test_the_twin_codes_coefficients(
    config: TokenizerConfig, space: FaceSpace, motion: Motion
) -> None:
    import dataclasses

    twin = MotionTokenizer(dataclasses.replace(config, kind="coefficients"), space)
    assert twin.features(motion).shape == (motion.num_frames, space.num_expr + 9 + 6)


def test_decoding_refuses_no_tokens(tokenizer: MotionTokenizer) -> None:
    with pytest.raises(ValueError, match="at least one token"):
        tokenizer.decode([])


def test_encoding_refuses_features_of_another_width(tokenizer: MotionTokenizer) -> None:
    with pytest.raises(ValueError, match=r"must be \[..., T, 96\], got \(5, 7\)"):
        tokenizer.encode(torch.zeros(5, 7))


def test_loading_refuses_what_is_no_tokenizer(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="config.json is missing"):
        MotionTokenizer.load(tmp_path)


def test_loading_refuses_another_format(
    tokenizer: MotionTokenizer, space: FaceSpace, tmp_path: Path
) -> None:
    tokenizer.save(tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps(config | {"format_version": 99}))
    with pytest.raises(ValueError, match="format 2, got 99"):
        MotionTokenizer.load(tmp_path, space)


def test_loading_refuses_another_head(
    tokenizer: MotionTokenizer, space: FaceSpace, tmp_path: Path
) -> None:
    import dataclasses

    tokenizer.save(tmp_path)
    other = dataclasses.replace(space, weights=space.weights[:-1])
    with pytest.raises(ValueError, match="train a tokenizer for this head"):
        MotionTokenizer.load(tmp_path, other)
