"""The prompts of unseen_wording.toml can be met, and are not met by chance.

Every prompt gets two motions made from its own claims: a lean one, which shows the first of its
alternatives, and a rich one, which shows all that go together.
"""

import tomllib
from collections import Counter
from collections.abc import Sequence
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from jaxtyping import Float
from numpy import ndarray

from mien.apps.trials import Prompt, read_prompts
from mien.arkit import CHANNEL_NAMES
from mien.data_synth.observations import observe, observe_all

FOLDER = Path(__file__).parents[1] / "prompts"
FPS, SECONDS, START_S, STEP_S, SHOWN_S = 25.0, 6.0, 0.8, 1.6, 1.2
MEAN_CHANCE, CHANCE, CHANCE_STILL = 0.1, 0.25, 0.02
COLUMN = {name: i for i, name in enumerate(CHANNEL_NAMES)}
PARTS = {
    "browsUp": {"browInnerUp": 0.6, "browOuterUpLeft": 0.6, "browOuterUpRight": 0.6},
    "mouthRoll": {"mouthRollLower": 0.6, "mouthRollUpper": 0.6},
    "eyesClosed": {"eyeBlinkLeft": 1.0, "eyeBlinkRight": 1.0},
    "eyesDrooping": {"eyeBlinkLeft": 0.5, "eyeBlinkRight": 0.5},
    "gazeLeft": {"eyeLookOutLeft": 0.6, "eyeLookInRight": 0.6},
    "gazeRight": {"eyeLookInLeft": 0.6, "eyeLookOutRight": 0.6},
    "gazeUp": {"eyeLookUpLeft": 0.6, "eyeLookUpRight": 0.6},
    "gazeDown": {"eyeLookDownLeft": 0.6, "eyeLookDownRight": 0.6},
}
RADIANS = {"+": 0.25, "-": -0.25, "~": 0.25}


def channels_of(term: str) -> dict[str, float]:
    """The channels that show a term, and how far each goes."""
    stem, _, side = term.partition("@")
    if stem in PARTS:
        return PARTS[stem]
    if stem[-1] in RADIANS:
        return {stem[:-1]: RADIANS[stem[-1]]}
    sides = [side.title()] if side else ["Left", "Right"]
    names = [stem] if stem in COLUMN else [stem + s for s in sides]
    return dict.fromkeys(names, 0.7)


def still_with_blinks() -> Float[ndarray, "t 61"]:
    """A neutral face that blinks as people do: shut for 0.12 s, every two seconds."""
    curves = np.zeros((int(SECONDS * FPS), len(CHANNEL_NAMES)), np.float32)
    for frame in range(12, len(curves), 50):
        for side in ("Left", "Right"):
            curves[frame : frame + 5, COLUMN[f"eyeBlink{side}"]] = (0.5, 1.0, 1.0, 0.9, 0.4)
    return curves


def show(curves: Float[ndarray, "t 61"], alternative: str, step: int) -> Float[ndarray, "t 61"]:
    """The curves with the positive terms of one alternative raised, one after another."""
    curves = curves.copy()
    terms = [t.strip() for t in alternative.split("&") if not t.strip().startswith("!")]
    for i, term in enumerate(terms):
        first = int((START_S + (step + i / len(terms)) * STEP_S) * FPS)
        frames = int(SHOWN_S * FPS / len(terms))
        phase = np.linspace(0.0, np.pi, frames)
        shape = np.sin(3 * phase) if term.endswith("~") else np.minimum(1.0, 2 * np.sin(phase))
        for name, height in channels_of(term).items():
            curves[first : first + frames, COLUMN[name]] = height * shape
    return curves


def moved(curves: Float[ndarray, "t 61"]) -> set[str]:
    return {CHANNEL_NAMES[i] for i in np.flatnonzero(np.abs(curves).max(0))}


def alternatives_of(prompt: Prompt) -> list[list[str]]:
    """Step by step, the alternatives of claims that something is seen."""
    split = [[a.strip() for a in claim.split("|")] for claim in prompt.see]
    return [[a for a in step if shows(a)] for step in split if any(map(shows, step))]


def shows(alternative: str) -> bool:
    return any(not term.strip().startswith("!") for term in alternative.split("&"))


def lean_motion(prompt: Prompt) -> Float[ndarray, "t 61"]:
    curves = still_with_blinks()
    for step, alternatives in enumerate(alternatives_of(prompt)):
        curves = show(curves, alternatives[0], step)
    return curves


def rich_motion(prompt: Prompt) -> Float[ndarray, "t 61"]:
    """The lean motion with every further sign that breaks no claim and moves no channel twice."""
    curves = lean_motion(prompt)
    for step, alternatives in enumerate(alternatives_of(prompt)):
        for alternative in alternatives[1:]:
            wider = show(still_with_blinks(), alternative, step)
            if moved(wider) & moved(curves) - {"eyeBlinkLeft", "eyeBlinkRight"}:
                continue
            wider = np.where(wider == still_with_blinks(), curves, wider)
            if passes(prompt, wider):
                curves = wider
    return curves


def passes(prompt: Prompt, curves: Float[ndarray, "t 61"]) -> bool:
    return observe_all(prompt.see, curves, FPS, prompt.ordered)[0]


@cache
def prompts() -> tuple[Prompt, ...]:
    return tuple(read_prompts(FOLDER / "unseen_wording.toml"))


@cache
def made(make: str) -> tuple[Float[ndarray, "t 61"], ...]:
    maker = {"lean": lean_motion, "rich": rich_motion}[make]
    return tuple(maker(prompt) for prompt in prompts())


def texts_that_pass(motions: Sequence[Float[ndarray, "t 61"]]) -> list[str]:
    return [p.text for p, m in zip(prompts(), motions, strict=True) if passes(p, m)]


def chance_of_each(make: str) -> Float[ndarray, " p"]:
    """For each prompt the share of the other prompts' motions that pass it, in any order of steps.

    Each term is observed once for each motion, so that all pairs take no longer than a few.
    """
    motions = made(make)

    @cache
    def holds(term: str) -> ndarray:
        return np.array([observe(term, motion, FPS).holds for motion in motions])

    def term_holds(term: str) -> ndarray:
        return ~holds(term[1:]) if term.startswith("!") else holds(term)

    def claim_holds(claim: str) -> ndarray:
        found = [[term_holds(t.strip()) for t in a.split("&")] for a in claim.split("|")]
        return np.asarray(np.any([np.all(terms, axis=0) for terms in found], axis=0))

    passed = np.array([np.all([claim_holds(c) for c in p.see], axis=0) for p in prompts()])
    assert passed.diagonal().all()
    return np.asarray((passed.sum(axis=1) - 1) / (len(motions) - 1))


def test_the_file_holds_two_equal_parts_of_each_kind() -> None:
    table = tomllib.loads((FOLDER / "unseen_wording.toml").read_text(encoding="utf-8"))["prompt"]
    assert Counter(p["part"] for p in table) == {"a": 150, "b": 150}
    kinds = Counter((p["kind"], p["part"]) for p in table)
    for kind, share in {"emotion": 0.35, "action": 0.3, "head": 0.15, "sequence": 0.2}.items():
        assert abs(kinds[kind, "a"] - kinds[kind, "b"]) <= 1
        assert sum(kinds[kind, part] for part in "ab") / 300 == pytest.approx(share, abs=0.02)


def test_no_prompt_is_asked_twice() -> None:
    older = [p.text.lower() for p in read_prompts(FOLDER / "free_wording.toml")]
    texts = [p.text.lower() for p in prompts()]
    assert len(set(texts + older)) == len(texts) + len(older)


@pytest.mark.parametrize("make", ["lean", "rich"])
def test_every_prompt_can_be_met(make: str) -> None:
    met = set(texts_that_pass(made(make)))
    assert [p.text for p in prompts() if p.text not in met] == []


@pytest.mark.parametrize("make", ["lean", "rich"])
def test_a_motion_made_for_another_prompt_seldom_passes(make: str) -> None:
    chance = chance_of_each(make)
    assert chance.mean() < MEAN_CHANCE
    assert [p.text for p, c in zip(prompts(), chance, strict=True) if c > CHANCE] == []


def test_a_still_face_that_blinks_hardly_ever_passes() -> None:
    motions = [still_with_blinks()] * len(prompts())
    assert len(texts_that_pass(motions)) < CHANCE_STILL * len(motions)
