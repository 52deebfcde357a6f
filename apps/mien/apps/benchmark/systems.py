"""What is measured: anything that makes motion of texts, or texts of motion."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import torch
from jaxtyping import Float
from numpy import ndarray
from torch import Tensor

from mien.apps.benchmark.events import Timed
from mien.apps.benchmark.sentences import Words
from mien.apps.trials import BATCH, batched, generate_curves
from mien.arkit import motion_from_curves
from mien.data_synth.clip import FPS, Clip
from mien.data_synth.performance import Performance

if TYPE_CHECKING:
    from mien.llm import MotionLanguageModel
    from mien.llm.decoder import Decoder
    from mien.tokenizer import MotionTokenizer

OWN_TOKENIZER = "tokenizer"  # in the folder of a twin with tokens of its own
TWINS = {  # kind -> as the tables say it
    "words": "twin: ours at the twins' budget",
    "pooled": "twin: pooled text (T2M-GPT style)",
    "coefficients": "twin: coefficient tokens",
    "mead": "twin: MEAD-like corpus",
}


class Generate(Protocol):
    """Text to motion."""

    def __call__(
        self, texts: Sequence[str], seconds: Sequence[float], seed: int
    ) -> list[Float[ndarray, "t 61"]]:
        """ARKit curves at 25 frames a second for each text, about as long as asked."""
        ...


@dataclass(frozen=True)
class Reading:
    """What a system reads from a motion.

    Attributes:
        caption: In words.
        events: What happens when, in the names of :func:`true_events`.
    """

    caption: str
    events: tuple[Timed, ...]


class Describe(Protocol):
    """Motion to text."""

    def __call__(self, motions: Sequence[Float[ndarray, "t 61"]]) -> list[Reading]:
        """Read ARKit curves at 25 frames a second."""
        ...


class Guess(Protocol):
    """Next tokens, each after the true ones before it."""

    def __call__(self, clips: Sequence[Clip]) -> list[float]:
        """The share of each clip's tokens that are guessed."""
        ...


@dataclass(frozen=True)
class System:
    """One line of the tables.

    Attributes:
        name: As the tables say it.
        generate: Text to motion.
        describe: Motion to text; None where it has none.
        guess: Next tokens; None where it has none.
    """

    name: str
    generate: Generate
    describe: Describe | None = None
    guess: Guess | None = None


def event_name(entry: str, side: str) -> str:
    """The name under which events are matched."""
    return f"{entry} {side}"


def true_events(performance: Performance) -> tuple[Timed, ...]:
    """The events of a performance."""
    return tuple(
        Timed(event_name(a.entry, a.side), a.start_s, a.end_s) for a in performance.actions
    )


class PooledWords:
    """Word vectors melted into one: the prompt as T2M-GPT's twins see it.

    Args:
        encoder: Gives word vectors.
    """

    def __init__(self, encoder: Words) -> None:
        self._encoder = encoder
        self.width = encoder.width

    def encode(self, texts: Sequence[str], batch_size: int = 64) -> list[Tensor]:
        """Each text's mean word vector [1, width]."""
        return [w.mean(0, keepdim=True) for w in self._encoder.encode(texts, batch_size)]


class LanguageSystem:
    """A language model and a tokenizer as a system, both ways.

    Args:
        model: A twin trained on pooled text must have been given `PooledWords` as its encoder.
        tokenizer: The one that the model was trained on.
    """

    def __init__(self, model: "MotionLanguageModel", tokenizer: "MotionTokenizer") -> None:
        self.model, self.tokenizer = model, tokenizer

    def generate(
        self, texts: Sequence[str], seconds: Sequence[float], seed: int
    ) -> list[Float[ndarray, "t 61"]]:
        """Make motion; text i takes the seed `seed + i`."""
        made: list[ndarray] = []
        for number, part in enumerate(batched(list(zip(texts, seconds, strict=True)))):
            some, lengths = zip(*part, strict=True)
            at = seed + number * BATCH
            made += generate_curves(self.model, self.tokenizer, some, at, lengths)
        return made

    def describe(self, motions: Sequence[Float[ndarray, "t 61"]]) -> list[Reading]:
        """Read motion: the caption, and the plan's lines as events."""
        from mien.llm.plan import TICK_S, parse_lines

        codes = [self.tokenizer.encode(motion_from_curves(curves, FPS)) for curves in motions]
        return [
            Reading(
                found.caption,
                tuple(
                    Timed(event_name(x.entry, x.side), x.start * TICK_S, x.stop * TICK_S)
                    for x in parse_lines(found.score)
                ),
            )
            for found in self.model.describe_batch(codes, motions)
        ]

    def guess(self, clips: Sequence[Clip]) -> list[float]:
        """Share of each clip's tokens that are the likeliest, given prompt, plan and those before.

        This is the accuracy that teacher forcing gives. It is of the system's own tokens.
        """
        decoder = self.model._decoders["text_to_motion"].fork()
        return [self._guess(clip, decoder) for clip in clips]

    @torch.inference_mode()
    def _guess(self, clip: Clip, decoder: "Decoder") -> float:
        from mien.llm.plan import parse_lines, ticks_of

        vocabulary, lines = self.model.vocabulary, parse_lines(clip.score)
        codes = self.tokenizer.encode(motion_from_curves(clip.curves, FPS)).tolist()
        plan = vocabulary.plan_ids(lines, ticks_of(clip.performance.seconds))
        given = [*plan, vocabulary.control("motion")]
        words = self.model.read_prompts(clip.texts[:1])[0].words
        first = vocabulary.motion_start
        wanted = torch.arange(first, first + vocabulary.num_codes)
        decoder.start(1, len(words) + len(given) + 4 * len(codes))
        hidden = decoder.append(torch.cat([words, decoder.embed(torch.tensor(given))])[None],
                                [len(words) + len(given)])  # fmt: skip
        hits = 0
        for token in vocabulary.cued_motion_ids(codes, lines):
            if token >= first:
                hits += int(decoder.logits(hidden[0], wanted).argmax()) == token - first
            hidden = decoder.append(decoder.embed(torch.tensor([[token]])), [1])
        return hits / len(codes)


def load_system(name: str, model: Path | None = None, tokenizer: Path | None = None) -> System:
    """The shipped model, or a twin from its folder.

    Args:
        name: Of the line.
        model: Folder of a language model; None takes the shipped one. A twin's card says whether
            it reads pooled text.
        tokenizer: Folder of the tokenizer it was trained on; None takes the twin's own where it
            has one, or the shipped one.

    Raises:
        ValueError: If a folder does not hold what it should, or the two do not go together.
    """
    from mien.llm import MotionLanguageModel
    from mien.llm.storage import read_card
    from mien.llm.word_encoder import WordEncoder
    from mien.tokenizer import MotionTokenizer

    if tokenizer is None and model is not None and (model / OWN_TOKENIZER).is_dir():
        tokenizer = model / OWN_TOKENIZER
    language, codes = MotionLanguageModel.load(model), MotionTokenizer.load(tokenizer)
    codes.require_one_token_a_frame()
    if language.vocabulary.num_codes != codes.codebook_size:
        raise ValueError(
            f"{name}: the language model knows {language.vocabulary.num_codes} motion codes, "
            f"its tokenizer has {codes.codebook_size}; give the one that it was trained on."
        )
    if model is not None and read_card(model).get("twin") == "pooled":
        encoder = PooledWords(WordEncoder.default())
        language._encoder = encoder  # type: ignore[assignment]
    system = LanguageSystem(language, codes)
    return System(name, system.generate, system.describe, system.guess)


def find_twins(folder: Path) -> list[tuple[str, Path]]:
    """Name and folder of each finished twin that `mien train twins` left.

    Raises:
        ValueError: If there is none.
    """
    found = [(TWINS[kind], folder / kind) for kind in TWINS if _is_done(folder / kind)]
    if not found:
        raise ValueError(
            f"{folder}: wanted a folder with twins; make them with `mien train twins`."
        )
    return found


def _is_done(folder: Path) -> bool:
    return (folder / "card.json").is_file() and (folder / "motion_to_text").is_dir()
