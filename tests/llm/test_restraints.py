"""What a prompt forbids."""

import numpy as np
import pytest
import torch
from tests.llm.llm_world import make_language_model

from mien.arkit import CHANNEL_NAMES
from mien.data_synth.free_wording import FreeWording
from mien.data_synth.lexicon import Lexicon
from mien.llm import MotionLanguageModel
from mien.llm.plan import parse_lines
from mien.llm.prepare import measure_poses
from mien.llm.restraints import (
    Restraint,
    barred_codes,
    barred_entries,
    keep_their_look,
    restraints,
)
from mien.llm.storage import read_poses, shipped_folder
from mien.tokenizer import MotionTokenizer

ENTRIES = tuple(Lexicon.default().entries)


def _barred(text: str, line: int = 0) -> set[str]:
    masks = barred_entries(restraints(text), ENTRIES)
    return {name for name, is_barred in zip(ENTRIES, masks[line], strict=True) if is_barred}


@pytest.mark.parametrize(
    ("text", "barred", "free"),
    [
        ("look sad without moving your mouth", "sad grin talk", "raise-inner-brows look-down"),
        ("wide eyes, mouth shut", "jaw-open part-lips gasp", "widen-eyes smile press-lips"),
        ("he chews with his mouth closed", "yawn tongue-out", "chew"),
        ("a smile without showing any teeth", "grin show-teeth laugh", "smile"),
        ("a smile that never reaches the eyes", "eye-smile happy", "fake-smile"),
        ("smile with the lips but not with the eyes", "eye-smile happy", "fake-smile"),
        ("only your eyes move to the right", "turn-right smile nod", "look-right close-eyes"),
        ("the eyebrows alone go up", "smile turn-left", "raise-brows"),
        ("your poker face: nobody at the table may see a smile", "smile happy", "deadpan"),
        ("laughing to himself, lips never part", "grin laugh", "smile dimple"),
        ("a wide smile, not one tooth showing", "grin show-teeth", "smile"),
        ("furious without the eyebrows", "furious lower-brows", "show-teeth press-lips"),
        ("it hurts but she doesn't close her eyes", "squeeze-eyes doze-off", "frown jaw-open"),
        ("he won't hang his head, he never looks down", "lower-head look-down", "look-up happy"),
        ("smile wide, nothing around the eyes", "eye-smile", "fake-smile"),
        ("raise one brow, above all not the mouth", "smile jaw-open", "raise-brows"),
        ("open wide but don't put your tongue out", "tongue-out lick-lips", "jaw-open"),
        ("look left, keep your head still", "turn-left look-away-left", "look-left"),
        ("the head doesn't move, eyes down", "lower-head nod", "look-down"),
        ("look down but hold the head high", "lower-head bow", "look-down raise-head"),
        ("pleased, but don't smile", "smile happy", "nod raise-brows"),
        ("proud, without so much as a smile", "smile happy", "proud"),
        ("nothing moves but the eyes: left", "turn-left smile", "look-left"),
        ("startled; the eyes stay open", "close-eyes sleepy", "widen-eyes"),
        ("frown, leave the mouth out of it", "frown pout", "lower-brows"),
        ("grief, without a trace of a smile", "smile happy", "sad raise-inner-brows"),
        ("surprised, but don't turn or tilt your head", "turn-left tilt-right", "surprised"),
        ("kiss, and keep that tongue inside", "tongue-out", "kiss smile"),
        ("laugh, just don't let the eyes close", "close-eyes", "smile grin"),
        ("nod, keep the mouth completely neutral", "smile talk", "nod"),
        ("brows up and no open mouth", "yawn gasp", "raise-brows smile"),
        ("shout without opening the jaw", "scream yawn", "tight-lips"),
        ("look aside but keep facing the camera", "turn-left nod", "look-left"),
        ("disgusted, no tongue, ta", "tongue-out", "disgusted"),
        ("the head must not turn, eyes right", "turn-right", "look-right"),
        ("look right, head stays locked", "turn-right", "look-right"),
        ("eyes up, chin stays where it is", "raise-head", "look-up"),
        ("wide eyes, mouth does nothing", "gasp", "widen-eyes"),
        ("tongue out but not wrinkle the nose", "nose-wrinkle", "tongue-out"),
        ("brows up, but don't tilt it", "tilt-left", "turn-left raise-brows"),
        ("side-eye, no head turn", "turn-left", "look-left"),
        ("cry with your eyes open the whole time", "close-eyes", "raise-inner-brows"),
        ("brows up, don't let the mouth pop open", "gasp jaw-open", "raise-brows"),
        ("peepers left, keep that noggin dead still", "turn-left nod", "look-left"),
        ("a frown, mouth firmly closed", "jaw-open gasp", "frown"),
        ("corners down; leave your brows asleep", "raise-brows", "lip-corners-down"),
        ("act scared but keep your mouth zipped", "scream jaw-drop", "widen-eyes"),
        ("don't budge your head, eyes left", "turn-left", "look-left"),
    ],
)
def test_entries_that_do_what_is_forbidden_are_barred(text: str, barred: str, free: str) -> None:
    found = _barred(text)
    assert set(barred.split()) <= found
    assert not set(free.split()) & found


@pytest.mark.parametrize(
    "text",
    [
        "she smiles",
        "he can't keep his eyes open",
        "turn your head, not just your eyes",
        "keep the eyes closed",
        "an open mouth",
        "eyes only for her",
        "a man with no teeth in his mouth laughs",
        "don't forget to smile",
        "the only smile she has",
        "why don't you smile",
    ],
)
def test_other_words_forbid_nothing(text: str) -> None:
    assert restraints(text) == ()


def test_what_is_forbidden_behind_a_then_leaves_the_first_action() -> None:
    text = "nod, then keep your head still"
    assert "nod" not in _barred(text, 0) and "nod" in _barred(text, 1)
    assert _barred("keep your head still, then smile", 0) == _barred("keep your head still", 1)


@pytest.mark.parametrize(
    ("text", "binds"),
    [
        ("eyes go right, then left, head does not move", "all"),
        ("nod, then look left, head still", "later"),
        ("only the eyes: left, then right", "all"),
        ("wink with just the right eye, then poke your tongue out", "first"),
        ("frown, and the mouth never opens", "all"),
        ("close the left eye only, then the right eye. Then puff your cheeks", "first"),
    ],
)
def test_a_restraint_binds_the_actions_that_it_is_said_of(text: str, binds: str) -> None:
    (found,) = restraints(text)
    assert found.binds == binds


def _pose(**shown: float) -> np.ndarray:
    return np.array([shown.get(name, 0.0) for name in CHANNEL_NAMES], np.float32)


def test_one_part_alone_in_the_middle_binds_nothing() -> None:
    assert restraints("nod, then the right eye only, then puff your cheeks") == ()


def test_codes_that_show_what_is_forbidden_all_the_while_are_barred() -> None:
    poses = np.stack([_pose(), _pose(headYaw=-0.05), _pose(jawOpen=0.4), _pose(headPitch=0.3)])

    def barred(text: str) -> list[int] | None:
        mask = barred_codes(restraints(text), poses)
        return None if mask is None else mask.nonzero()[:, 0].tolist()

    assert barred("look left, keep your head still") == [1, 3]
    assert barred("wide eyes, mouth shut") == [2]
    assert barred("look down but hold the head high") == [3]
    assert barred("a smile") is None
    assert barred("a laugh, then keep the mouth shut") is None
    assert barred_codes(restraints("mouth shut"), poses[2:3]).tolist() == [False]  # type: ignore[union-attr]


def test_where_everything_is_forbidden_nothing_is_barred() -> None:
    first, later = barred_entries(restraints("do not nod"), ["nod", "slow-nod"])
    assert not first.any() and not later.any()


def test_free_wording_seldom_forbids_what_it_asks_for() -> None:
    asked = [(act.entry, t) for act, texts in FreeWording.default().prompts.items() for t in texts]
    forbidding = [(entry, text) for entry, text in asked[::3] if restraints(text)]
    wrong = [text for entry, text in forbidding if entry in _barred(text)]
    assert len(forbidding) > 120
    assert len(wrong) < 0.1 * len(forbidding), wrong


def test_a_motion_keeps_to_what_is_allowed() -> None:
    free = make_language_model()
    poses = np.zeros((free.vocabulary.num_codes, len(CHANNEL_NAMES)), np.float32)
    poses[::2, CHANNEL_NAMES.index("headYaw")] = 0.3
    model = make_language_model(poses=poses)
    text = "she nods with her eyes and keeps her head still"
    (_, loose), (_, codes) = (m.generate_motion([text], 6.0, seed=2)[0] for m in (free, model))
    assert (loose % 2 == 0).any() and (codes % 2 == 1).all()
    assert list(model.stream_motion(text, 6.0, seed=2)) == codes.tolist()
    session = model.start_session(text, seed=2)
    assert all(next(session) % 2 for _ in range(30))
    session.say("she nods")
    assert not all(next(session) % 2 for _ in range(60))
    edit = model.regenerate_motion(loose, (2.0, 4.0), text, seed=1)
    assert (edit.indices[50:100] % 2 == 1).all()


def test_the_shipped_model_knows_what_its_codes_show() -> None:
    poses = read_poses(shipped_folder())
    measured = measure_poses(MotionTokenizer.load())
    assert poses is not None and np.abs(poses - measured).max() < 1e-3
    barred = barred_codes(restraints("only your eyes move"), poses)
    assert barred is not None and 0.5 < barred.float().mean() < 0.9


def test_a_plan_keeps_to_what_is_allowed() -> None:
    model = make_language_model()
    free = parse_lines(model.generate_motion(["she nods"], 6.0, seed=4)[0][0])
    used = {line.entry for line in free}
    (prompt,) = model.read_prompts(["she nods, without moving her mouth or her head"])
    entries = model.vocabulary.entries
    barred = {name for name, bars in zip(entries, prompt.barred[0], strict=True) if bars}
    assert barred and barred < set(entries) and used & barred
    for seed in range(4):
        text = "she nods, without moving her mouth or her head"
        score, codes = model.generate_motion([text], 6.0, seed=seed)[0]
        assert not {line.entry for line in parse_lines(score)} & barred
        assert list(model.stream_motion(text, 6.0, seed=seed)) == codes.tolist()
    assert torch.equal(prompt.bars(5), prompt.barred[1])  # type: ignore[arg-type]


def test_who_asks_for_it_sees_what_is_left_of_it() -> None:
    def kept(text: str, *names: str) -> list[bool]:
        return keep_their_look(restraints(text), names).tolist()

    assert kept("gasp without moving your eyebrows", "gasp", "raise-brows") == [True, False]
    assert kept("laugh, but keep your mouth shut", "laugh", "jaw-open") == [True, False]
    assert kept("nod without moving your head", "nod", "smile") == [False, True]
    never = [Restraint({"mouthSmile": 0.5}, entries=frozenset({"gasp"}))]
    assert keep_their_look(never, ["gasp"]).tolist() == [False]  # forbidden by its name
    assert keep_their_look([], ["nod"]).tolist() == [True]


def test_a_mouth_that_must_not_open_may_do_all_else() -> None:
    (only,) = restraints("cheeks full of air, don't let the mouth pop open")
    assert set(only.tracks) == {"jawOpen", "tongueOut"}


def test_the_model_plans_what_is_asked_for_and_moves_the_rest_of_the_face() -> None:
    model = MotionLanguageModel.load()
    (prompt,) = model.read_prompts(["gasp w/o lifting your eyebrows"])
    gasp = model.vocabulary.entries.index("gasp")
    assert [order.entry for order in prompt.orders] == ["gasp"]
    assert not prompt.barred[0][gasp] and prompt.barred_codes is not None
    assert prompt.barred[0][model.vocabulary.entries.index("raise-brows")]
