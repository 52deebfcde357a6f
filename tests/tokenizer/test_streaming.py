import dataclasses

import pytest
import torch

from mien.motion import Motion
from mien.tokenizer import MotionTokenizer
from mien.tokenizer.config import TokenizerConfig

FIELDS = ("expr", "jaw_pose", "eye_pose", "neck_pose")


def joined(parts: list[Motion]) -> Motion:
    return parts[0] if len(parts) == 1 else Motion.concatenate(parts)


@pytest.mark.parametrize("cuts", [[1] * 23, [23], [4, 0, 1, 9, 9], [22, 1]])
def test_a_stream_gives_the_bits_of_decoding_at_once(
    tokenizer: MotionTokenizer, cuts: list[int]
) -> None:
    indices = torch.arange(23) * 7 % tokenizer.codebook_size
    whole = tokenizer.decode(indices)
    streamed = joined(list(tokenizer.stream(torch.split(indices, cuts))))
    for field in FIELDS:
        torch.testing.assert_close(getattr(streamed, field), getattr(whole, field), rtol=0, atol=0)


def test_emphasis_adds_a_share_of_the_acceleration(tokenizer: MotionTokenizer) -> None:
    indices = torch.arange(23) * 7 % tokenizer.codebook_size
    plain = tokenizer.decode(indices)
    tokenizer.config = dataclasses.replace(tokenizer.config, emphasis=0.25)
    for cuts in ([23], [1] * 23, [4, 0, 1, 9, 9]):
        found = joined(list(tokenizer.stream(torch.split(indices, cuts))))
        for name in ("expr", "jaw_pose"):
            x = getattr(plain, name)
            past = torch.cat([x[:1], x[:1], x])
            wanted = x + 0.25 * (x - 2 * past[1:-1] + past[:-2])
            wanted = wanted.clamp_min(0) if name == "expr" else wanted
            torch.testing.assert_close(getattr(found, name), wanted, rtol=0, atol=1e-6)
        assert torch.equal(found.eye_pose, plain.eye_pose)
        assert torch.equal(found.neck_pose, plain.neck_pose)


def test_a_preview_is_decoding_without_emphasis(tokenizer: MotionTokenizer) -> None:
    rows = torch.arange(46).reshape(2, 23) * 7 % tokenizer.codebook_size
    for row, seen in zip(rows, tokenizer.preview(rows), strict=True):
        whole = tokenizer.decode(row)
        for field in FIELDS:
            torch.testing.assert_close(getattr(seen, field), getattr(whole, field))
    with pytest.raises(ValueError, match="at least one token"):
        tokenizer.preview(rows[:, :0])


@pytest.mark.parametrize("share", [-0.1, 1.5, float("nan")])
def test_another_share_of_emphasis_is_refused(share: float) -> None:
    with pytest.raises(ValueError, match=r"`emphasis` must be in \[0, 1\], got"):
        TokenizerConfig(emphasis=share)


def test_a_stream_is_late_by_the_stated_look_ahead(tokenizer: MotionTokenizer) -> None:
    streamer = tokenizer.streamer()
    got = [streamer.push([t]) for t in range(8)]
    assert [motion is not None for motion in got] == [t >= streamer.look_ahead for t in range(8)]
    rest = streamer.finish()
    assert rest is not None and rest.num_frames == streamer.look_ahead


@pytest.mark.parametrize("count", [1, 2, 3, 5])
def test_short_streams_give_one_frame_a_token(tokenizer: MotionTokenizer, count: int) -> None:
    assert tokenizer.decode(torch.arange(count)).num_frames == count


def test_the_frame_by_frame_form_agrees_with_the_parallel_form(
    tokenizer: MotionTokenizer,
) -> None:
    indices = torch.arange(30) * 5 % tokenizer.codebook_size
    with torch.no_grad():
        parallel = tokenizer.codec.decode(indices[None])
    stepped = tokenizer.decode(indices)
    torch.testing.assert_close(parallel.expr[0], stepped.expr, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(parallel.jaw_pose[0], stepped.jaw_pose, rtol=1e-4, atol=1e-5)


def test_a_frame_depends_on_no_token_beyond_the_look_ahead(tokenizer: MotionTokenizer) -> None:
    indices = torch.arange(30) % tokenizer.codebook_size
    changed = indices.clone()
    changed[20] = (changed[20] + 9) % tokenizer.codebook_size
    a, b = tokenizer.decode(indices).expr, tokenizer.decode(changed).expr
    first = 20 - tokenizer.look_ahead
    torch.testing.assert_close(a[:first], b[:first], rtol=0, atol=0)
    assert not torch.equal(a[first], b[first])


def test_a_finished_stream_refuses_more(tokenizer: MotionTokenizer) -> None:
    streamer = tokenizer.streamer()
    assert streamer.finish() is None
    with pytest.raises(ValueError, match="finished"):
        streamer.push([1])


def test_a_stream_refuses_tokens_outside_the_codebook(tokenizer: MotionTokenizer) -> None:
    with pytest.raises(ValueError, match="must be in 0..31, got 32"):
        tokenizer.streamer().push([0, 32])
