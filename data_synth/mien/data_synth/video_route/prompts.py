"""Prompts for text-to-video models: appearance, what the face does, camera; each axis balanced.

As in TDMM-LM (section on Open3DFaceVid): a word of the lexicon is drawn evenly over all of them,
its strength too, every other prompt has a micro-action on top; the person's looks are drawn apart;
a few set phrases keep camera and framing still.
"""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

from mien.data_synth.clauses import Speaker, verb_phrase
from mien.data_synth.clip import split_of
from mien.data_synth.grammar import Person
from mien.data_synth.lexicon import Entry, Lexicon, Side
from mien.data_synth.performance import Action, Performance, clash
from mien.data_synth.phrases import Split
from mien.data_synth.wording import Wording

__all__ = ["NEGATIVE", "VideoPrompt", "make_prompt"]

T = TypeVar("T")

NEGATIVE = (
    "camera motion, zoom, cut, two people, hands in front of the face, sunglasses, mask, "
    "text, watermark, blurred, distorted face, profile view"
)
STRENGTHS = (0.2, 0.5, 0.85)  # slight, mid, strong
_AGES = ("young", "middle-aged", "old", "thirty-year-old", "teenage", "fifty-year-old")
_SEXES = ("woman", "man")
_ORIGINS = (
    *("East Asian", "South Asian", "Black", "white", "Latin American", "Middle Eastern"),
    *("Southeast Asian", "Pacific Islander"),
)
_HAIR = (
    *("short black hair", "long brown hair", "curly hair", "blond hair", "gray hair"),
    *("a shaved head", "red hair tied back", "wavy dark hair"),
)
_CLOTHES = (
    *("a plain T-shirt", "a dark sweater", "a white shirt", "a denim jacket", "a gray hoodie"),
    *("a black turtleneck", "a green blouse"),
)
_LIGHT = (
    *("soft studio light", "daylight from a window", "even indoor light"),
    *("warm evening light", "overcast daylight"),
)
_CAMERAS = (
    "Close-up, head and shoulders centered, the camera does not move, plain background.",
    "Static frontal portrait shot, face in the middle of the frame, tripod, no zoom.",
    "Locked-off camera at eye level, head and shoulders in frame, looking at the camera.",
    "A steady head-and-shoulders shot from the front, simple background, no cuts.",
)
_MICRO_ODDS = 0.5


@dataclass(frozen=True)
class VideoPrompt:
    """What a video is asked to show.

    Attributes:
        index: Its number.
        text: The whole prompt.
        motion_text: What the face does, alone.
        actions: The same as (entry, side, intensity), the main one first.
        style_seed: Whose face it is in the corpus; decides the split.
        split: train, val or test; test prompts use phrases that training never sees.
    """

    index: int
    text: str
    motion_text: str
    actions: tuple[tuple[str, Side, float], ...]
    style_seed: int
    split: Split

    def performance(self, seconds: float) -> Performance:
        """What was asked for as if done throughout: a video model chooses the times itself."""
        actions = tuple(
            Action(entry, side, intensity, 0.0, 0.0, seconds, seconds)
            for entry, side, intensity in self.actions
        )
        return Performance(actions, seconds, self.style_seed)


def make_prompt(seed: int, index: int, lexicon: Lexicon | None = None) -> VideoPrompt:
    """Make prompt `index` of a seed; the same one wherever and whenever.

    Every `len(lexicon)` prompts use every entry once; its sides and strengths take turns.

    Example:
        >>> prompt = make_prompt(0, 3)
        >>> prompt.motion_text in prompt.text, len(prompt.actions) in (1, 2)
        (True, True)
    """
    lexicon = lexicon or Lexicon.default()
    rng = random.Random(f"mien video prompt {seed} {index}")
    entry = _dealt(seed, "entry", index, tuple(lexicon.entries.values()))
    turn = index // len(lexicon)
    side = entry.sides[turn % len(entry.sides)]
    strength = STRENGTHS[(index + turn) % len(STRENGTHS)]
    actions: list[tuple[Entry, Side, float]] = [(entry, side, strength)]
    micro = _micro_action(rng, lexicon, entry) if rng.random() < _MICRO_ODDS else None
    if micro is not None:
        actions.append((micro, micro.sides[0], STRENGTHS[1]))
    style_seed = rng.getrandbits(31)
    split = split_of(Performance((), 1.0, style_seed))
    person, looks = _person(seed, index)
    said = _said(Speaker(rng, lexicon, split, person, Wording.default()), actions)
    camera = _dealt(seed, "camera", index, _CAMERAS)
    light = _dealt(seed, "light", index, _LIGHT)
    subject = f"{person.name[:1].upper()}{person.name[1:]} {looks}"
    return VideoPrompt(
        index,
        f"{subject}, {light}: {said}. {camera}",
        said,
        tuple((e.id, s, i) for e, s, i in actions),
        style_seed,
        split,
    )


def _dealt(seed: int, axis: str, index: int, options: Sequence[T]) -> T:
    """Deal from a deck that is shuffled anew each time it runs out: exactly even."""
    deal, place = divmod(index, len(options))
    order = list(range(len(options)))
    random.Random(f"mien deck {seed} {axis} {deal}").shuffle(order)
    return options[order[place]]


def _micro_action(rng: random.Random, lexicon: Lexicon, main: Entry) -> Entry | None:
    """A small movement on a part of the face that the main one leaves free."""
    free = [e for e in lexicon.of_kind("action") if e is not main and not clash(main, e)]
    return rng.choice(free) if free else None


def _person(seed: int, index: int) -> tuple[Person, str]:
    age, sex = _dealt(seed, "age", index, _AGES), _dealt(seed, "sex", index, _SEXES)
    origin = _dealt(seed, "origin", index, _ORIGINS)
    hair, clothes = _dealt(seed, "hair", index, _HAIR), _dealt(seed, "clothes", index, _CLOTHES)
    pronouns = (
        ("she", "her", "her", "herself") if sex == "woman" else ("he", "him", "his", "himself")
    )
    article = "an" if age[0] in "aeiou" else "a"
    person = Person(f"{article} {age} {origin} {sex}", *pronouns)
    return person, f"with {hair} in {clothes}"


def _said(speaker: Speaker, actions: Sequence[tuple[Entry, Side, float]]) -> str:
    """The face's part as a clause: "she smiles slightly while blinking twice"."""
    entry, side, strength = actions[0]
    text = f"{speaker.person.they} {verb_phrase(speaker, _action(entry, side, strength), 'third')}"
    for entry, side, strength in actions[1:]:
        text += f" while {verb_phrase(speaker, _action(entry, side, strength), 'gerund')}"
    return text


def _action(entry: Entry, side: Side, intensity: float) -> Action:
    return Action(entry.id, side, intensity, 0.0, 0.2, 0.8, 1.0)
