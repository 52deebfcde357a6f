import numpy as np

from mien.apps.benchmark.mead import make_mead_clip, mead_pieces
from mien.data_synth.clip import split_of
from mien.data_synth.judge import expectations_of, judge_motion
from mien.data_synth.separability import MEAD


def test_each_clip_holds_one_of_eight_emotions_from_beginning_to_end() -> None:
    clips = [make_mead_clip(0, index) for index in range(16)]
    assert {clip.performance.actions[0].entry for clip in clips} == set(MEAD)
    for clip in clips:
        (action,) = clip.performance.actions
        assert action.start_s == 0.0 and action.release_s == action.end_s
        assert action.end_s == clip.performance.seconds
        assert clip.texts[0] == action.entry and all(action.entry in text for text in clip.texts)


def test_strengths_come_in_turn_and_show() -> None:
    clips = [make_mead_clip(0, 5 + 8 * level) for level in range(3)]  # happy
    strengths = [clip.performance.actions[0].intensity for clip in clips]
    assert strengths == sorted(strengths) and strengths[0] < strengths[2]
    assert [clip.texts[3] for clip in clips] == ["slightly happy", "happy", "very happy"]
    for clip in clips:
        assert judge_motion(clip.curves, 25.0, expectations_of(clip.performance)).passed


def test_clips_are_for_training_alone_and_the_same_each_time() -> None:
    one, again, other = make_mead_clip(4, 7), make_mead_clip(4, 7), make_mead_clip(5, 7)
    assert one.split == split_of(one.performance) == "train"
    np.testing.assert_array_equal(one.curves, again.curves)
    assert one.curves.shape != other.curves.shape or (one.curves != other.curves).any()


def test_pieces_name_every_clip_once() -> None:
    pieces = list(mead_pieces(2500, 0))
    assert [name for name, _ in pieces] == ["mead0000000", "mead0001000", "mead0002000"]
    (small,) = (make() for _, make in mead_pieces(3, 0))
    assert [clip.index for clip in small] == [0, 1, 2]
