"""Prompts in free wording: reading them, trying them, judging what comes on the curves."""

import tomllib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from mien.apps.progress import track
from mien.apps.request import TAKES
from mien.apps.takes import marks_by
from mien.arkit import curves_from_motion
from mien.data_synth.clip import FPS
from mien.data_synth.observations import observe_all

if TYPE_CHECKING:
    from mien.llm import MotionLanguageModel
    from mien.tokenizer import MotionTokenizer

T = TypeVar("T")
BATCH = 16  # prompts or clips that the language model works on together
_SHIFTS = (17, 41, 67, 101)  # like prompts stand near each other in a file


@dataclass(frozen=True)
class Prompt:
    """A prompt in free wording and what must be seen.

    Attributes:
        text: What is asked for.
        see: Claims in the language of `mien.data_synth.observations`.
        ordered: Whether each claim must begin after the one before it.
        part: "a" for prompts that may be looked at while a model is improved, "b" for final
            figures alone; empty where a file has no parts.
    """

    text: str
    see: tuple[str, ...]
    ordered: bool = False
    part: str = ""


@dataclass(frozen=True)
class Trial:
    """One prompt tried once.

    Attributes:
        text: What was asked for.
        seed: Of the sampling.
        passed: Whether everything was seen, in order.
        chance: Share of motions made for other prompts in which all of it was seen too.
        unseen: Claims that did not hold.
    """

    text: str
    seed: int
    passed: bool
    chance: float
    unseen: tuple[str, ...]


def read_prompts(path: Path) -> list[Prompt]:
    """Read the file of free prompts.

    Raises:
        ValueError: If it is no such file, or a claim is none.
    """
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
        prompts = [
            Prompt(
                str(p["text"]),
                tuple(p["see"]),
                bool(p.get("ordered", False)),
                str(p.get("part", "")),
            )
            for p in table["prompt"]
        ]
    except (tomllib.TOMLDecodeError, KeyError, TypeError, UnicodeDecodeError) as error:
        raise ValueError(
            f"{path}: wanted [[prompt]] tables with `text` and a list `see`, got {error!r}."
        ) from error
    still = np.zeros((25, 61), np.float32)
    for prompt in prompts:
        observe_all(prompt.see, still, FPS)  # refuses claims that cannot be checked
    return prompts


def try_prompts(
    prompts: Sequence[Prompt],
    seeds: int,
    model: "MotionLanguageModel",
    tokenizer: "MotionTokenizer",
) -> list[Trial]:
    """Each prompt with each seed, the length left to the model, judged on the curves."""
    trials: list[Trial] = []
    batches = [(seed, part) for seed in range(seeds) for part in batched(prompts)]
    made: list[ndarray] = []
    for seed, part in track(batches, len(batches), "free prompts", "batch"):
        made += generate_curves(model, tokenizer, [prompt.text for prompt in part], seed)
    for seed in range(seeds):
        motions = made[seed * len(prompts) : (seed + 1) * len(prompts)]
        trials += [_trial(prompts, number, motions, seed) for number in range(len(prompts))]
    return trials


def _trial(prompts: Sequence[Prompt], number: int, motions: Sequence[ndarray], seed: int) -> Trial:
    """Judge a prompt on its motion, and on some of those made for others."""
    prompt, count = prompts[number], len(prompts)
    passed, seen = observe_all(prompt.see, motions[number], FPS, prompt.ordered)
    others = [motions[(number + shift) % count] for shift in _SHIFTS if shift % count]
    by_chance = [observe_all(prompt.see, x, FPS, prompt.ordered)[0] for x in others]
    unseen = tuple(o.claim for o in seen if not o.holds)
    chance = float(np.mean(by_chance)) if by_chance else 0.0
    return Trial(prompt.text, seed, passed, chance, unseen)


def generate_curves(
    model: "MotionLanguageModel",
    tokenizer: "MotionTokenizer",
    texts: Sequence[str],
    seed: int,
    seconds: Sequence[float] | None = None,
) -> list[Float[ndarray, "t 61"]]:
    """ARKit curves that the models make of texts, as `mien animate` does."""
    marks = marks_by(tokenizer)
    made = model.generate_motion(list(texts), seconds=seconds, seed=seed, takes=TAKES, marks=marks)
    return [curves_from_motion(tokenizer.decode(indices)).numpy() for _, indices in made]


def batched(items: Sequence[T]) -> Iterator[Sequence[T]]:
    """Cut a sequence into batches."""
    return (items[at : at + BATCH] for at in range(0, len(items), BATCH))
