import tomllib
from pathlib import Path

import numpy as np
import pytest
from numpy import ndarray

from mien.arkit import CHANNEL_NAMES
from mien.data_synth.observations import SIGNS, observe, observe_all

FPS = 25.0


def curves_with(frames: int = 75, **channels: ndarray | float) -> ndarray:
    """Curves that are zero but for a bump, or the given values, in the named channels."""
    curves = np.zeros((frames, len(CHANNEL_NAMES)), np.float32)
    bump = np.sin(np.linspace(0, np.pi, frames)) ** 2
    for name, value in channels.items():
        curves[:, CHANNEL_NAMES.index(name)] = (
            value if isinstance(value, ndarray) else value * bump
        )
    return curves


def step(start: int, stop: int, value: float, frames: int = 75) -> ndarray:
    out = np.zeros(frames, np.float32)
    out[start:stop] = value
    return out


def test_a_still_face_supports_no_claim() -> None:
    still = curves_with()
    for claim in ["mouthSmile", "jawOpen", "headYaw~", "headPitch+", *SIGNS]:
        assert not observe(claim, still, FPS).holds, claim


def test_a_claim_of_one_side_fails_on_the_other_and_on_both() -> None:
    assert observe("mouthSmile@left", curves_with(mouthSmileLeft=0.7), FPS).holds
    assert not observe("mouthSmile@left", curves_with(mouthSmileRight=0.7), FPS).holds
    both = curves_with(mouthSmileLeft=0.7, mouthSmileRight=0.7)
    assert not observe("mouthSmile@left", both, FPS).holds
    assert observe("mouthSmile", both, FPS).holds


def test_a_blink_does_not_count_as_closed_eyes() -> None:
    blink = curves_with(eyeBlinkLeft=step(20, 25, 1.0), eyeBlinkRight=step(20, 25, 1.0))
    shut = curves_with(eyeBlinkLeft=step(20, 45, 1.0), eyeBlinkRight=step(20, 45, 1.0))
    assert not observe("eyesClosed", blink, FPS).holds
    assert observe("eyesClosed", shut, FPS).holds


def test_a_turn_is_no_shake_but_a_shake_swings() -> None:
    t = np.linspace(0, 1, 75)
    turn = curves_with(headYaw=0.3 * t.astype(np.float32))
    shake = curves_with(headYaw=(0.15 * np.sin(6 * np.pi * t)).astype(np.float32))
    assert observe("headYaw+", turn, FPS).holds
    assert not observe("headYaw-", turn, FPS).holds
    assert not observe("headYaw~", turn, FPS).holds
    assert observe("headYaw~", shake, FPS).holds


def test_order_is_judged_by_when_each_claim_begins() -> None:
    curves = curves_with(jawOpen=step(10, 30, 0.6), tongueOut=step(40, 60, 0.6))
    assert observe_all(["jawOpen", "tongueOut"], curves, FPS, ordered=True)[0]
    assert not observe_all(["tongueOut", "jawOpen"], curves, FPS, ordered=True)[0]
    assert observe_all(["tongueOut", "jawOpen"], curves, FPS)[0]


def test_a_negation_holds_only_where_nothing_happens() -> None:
    assert observe("!jawOpen", curves_with(tongueOut=0.8), FPS).holds
    assert not observe("!jawOpen", curves_with(jawOpen=0.8), FPS).holds
    assert observe("tongueOut & !jawOpen", curves_with(tongueOut=0.8), FPS).holds


@pytest.mark.parametrize("claim", ["smiles", "mouthSmile@up", "jawOpen@left", "headYaw", ""])
def test_an_unknown_claim_is_refused(claim: str) -> None:
    with pytest.raises(ValueError, match="claim must name|no sides"):
        observe(claim, curves_with(), FPS)


def test_every_free_prompt_makes_claims_that_can_be_checked_and_fail_on_a_still_face() -> None:
    path = Path(__file__).parents[1] / "prompts" / "free_wording.toml"
    prompts = tomllib.loads(path.read_text(encoding="utf-8"))["prompt"]
    assert len(prompts) == len({p["text"] for p in prompts}) == 40
    for prompt in prompts:
        assert not observe_all(prompt["see"], curves_with(), FPS, prompt.get("ordered", False))[0]
