"""The language model of facial motion, both ways."""

import itertools
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import torch
from jaxtyping import Float, Int
from numpy import ndarray
from safetensors.torch import load_file
from torch import Tensor

from mien.data_synth.likeness import likeness
from mien.llm.composer import Composer
from mien.llm.decoder import Decoder
from mien.llm.denials import forbidden, spoken_denials
from mien.llm.drive import run_all, stream_steps
from mien.llm.editing import Edit, Editor, Misfit, frames_between
from mien.llm.lexical import LexicalReader
from mien.llm.orders import asked_for, named_orders
from mien.llm.parts import spoken_parts
from mien.llm.plan import (
    FPS,
    FRAMES_PER_TICK,
    TICK_S,
    Line,
    format_lines,
    parse_lines,
    ticks_of,
    window_lines,
)
from mien.llm.prefix import Prompt, Wording, WordPrefix, shared_names
from mien.llm.reader import Reader
from mien.llm.restraints import barred_codes, barred_entries, keep_their_look, restraints
from mien.llm.sampling import Sampling
from mien.llm.session import IDLE, MotionSession
from mien.llm.storage import (
    Adapter,
    Direction,
    load_decoders,
    read_card,
    read_lexical,
    read_poses,
    read_updates,
    shipped_folder,
)
from mien.llm.text_codec import TextCodec
from mien.llm.times import check_times, timed_clauses
from mien.llm.vocabulary import Vocabulary
from mien.llm.word_encoder import WordEncoder

MAX_SECONDS = 120.0
INSTRUCTION = "Describe the face."
BATCH = 32
MAX_TAKES = 16
_ASKED = 0.5  # the share of a prompt that an entry answers which is surely asked for
# How well each of several motions, codes of one length, shows a score; the highest is the best.
Marks = Callable[[str, Int[Tensor, "n t"]], Sequence[float]]


@dataclass(frozen=True)
class Event:
    """One thing that a face does.

    Attributes:
        start_s: When it begins, seconds.
        end_s: When it has ended, seconds.
        text: What it is.
    """

    start_s: float
    end_s: float
    text: str


@dataclass(frozen=True)
class Description:
    """What a motion shows.

    Attributes:
        caption: A sentence or more.
        events: In order of their starts.
        score: The plan that was read, one line an action.
    """

    caption: str
    events: tuple[Event, ...]
    score: str


class MotionStream:
    """Motion codes of one prompt as they are decoded; iterate once.

    The same codes as `MotionLanguageModel.generate_motion` gives for the prompt alone.
    """

    def __init__(self, composer: Composer) -> None:
        self._composer = composer
        self._codes = stream_steps(composer.decoder, composer.run(), composer.sampling.rows)

    def __iter__(self) -> Iterator[int]:
        return self._codes

    @property
    def score(self) -> str:
        """The plan; empty until the first code."""
        return format_lines(self._composer.lines)

    @property
    def num_frames(self) -> int:
        """How many codes there will be; 0 until the first."""
        return self._composer.num_frames


class MotionLanguageModel:
    """Text to motion codes, and motion codes to text.

    Args:
        vocabulary: The ids.
        codec: The base's text tokenizer.
        prefix: Projects word vectors.
        decoders: The base with the adapter of each direction.
        encoder: Gives word vectors; None loads the installed MiniLM when it is first needed.
        poses: What each motion code shows on a face at rest, as ARKit curves; with None a prompt
            forbids actions and not what shows beside others.
        updates: Of the encoder, for a second reading of names, as `mien.llm.tuning` made them.
        lexical: Names by the words alone; None where there is no such reader.
    """

    def __init__(
        self,
        vocabulary: Vocabulary,
        codec: TextCodec,
        prefix: WordPrefix,
        decoders: dict[Direction, Decoder],
        encoder: WordEncoder | None = None,
        poses: Float[ndarray, "c channel"] | None = None,
        updates: Adapter | None = None,
        lexical: LexicalReader | None = None,
    ) -> None:
        self.vocabulary = vocabulary
        self.codec = codec
        self._prefix = prefix.eval()
        self._decoders = decoders
        self._encoder = encoder
        self._poses = poses
        self._updates = updates
        self._tuned_encoder: WordEncoder | None = None
        self._lexical = lexical

    @classmethod
    def load(
        cls, folder: Path | str | None = None, base: str | None = None
    ) -> "MotionLanguageModel":
        """Load a model that `mien train llm` wrote.

        Args:
            folder: Where; None takes the shipped one.
            base: The larger causal language model that it was trained on (folder or hub id); None
                for the built-in.

        Raises:
            ValueError: If the folder holds no model, or was trained on another base.
        """
        path = Path(folder) if folder is not None else shipped_folder()
        card = read_card(path)
        trained_on = card.get("base")
        if base is not None and trained_on != base:
            raise ValueError(
                f"{path} was trained on the base {trained_on or 'built in'!r}, "
                f"got --base {base!r}; "
                f"train adapters for it: mien train llm --base {base} --out FOLDER."
            )
        vocabulary = Vocabulary.load(path / "vocabulary.json")
        decoders = load_decoders(path, vocabulary, trained_on, is_local=base is None)
        prefix = WordPrefix(**card["prefix"])
        prefix.load_state_dict(load_file(path / "prefix.safetensors"))
        codec = TextCodec.load(path / "tokenizer.json")
        poses, updates = read_poses(path), read_updates(path)
        lexical = read_lexical(path)
        return cls(
            vocabulary, codec, prefix, decoders, poses=poses, updates=updates, lexical=lexical
        )

    @property
    def encoder(self) -> WordEncoder:
        """The word encoder, loaded when first needed."""
        if self._encoder is None:
            self._encoder = WordEncoder.default()
        return self._encoder

    def generate_motion(
        self,
        texts: Sequence[str],
        seconds: float | Sequence[float | None] | None = None,
        seed: int = 0,
        temperature: float = 0.9,
        top_p: float = 0.95,
        guidance: float = 2.0,
        takes: int = 1,
        marks: Marks | None = None,
    ) -> list[tuple[str, Int[Tensor, " t"]]]:
        """Generate a motion for each text.

        Args:
            texts: Prompts; several are decoded together, which is quicker but may round otherwise
                than one alone. Times that they state ("smile at 1 s for 2 s", "[3 - 4] wink")
                are kept.
            seconds: Duration of all or of each, up to 120; None lets the model choose.
            seed: Of the first text; text i takes `seed + i`.
            temperature: Of the motion; the plan is drawn more carefully.
            top_p: Share of probability to draw the motion from.
            guidance: How clearly the motion shows its plan; 1 draws it as it was learned.
            takes: Motions to draw of each plan, up to 16, of which the one with the best mark is
                kept.
            marks: Marks them; what they are decoded to is not known here.

        Returns:
            For each text its score and its motion codes, 25 a second.

        Raises:
            ValueError: If a text has no words or more than 128, or a duration is not above 0 and
            at most 120, or the takes are not from 1 to 16, or are several without `marks`.
        """
        if not 1 <= takes <= MAX_TAKES:
            raise ValueError(f"`takes` must be from 1 to {MAX_TAKES}, got {takes}.")
        if takes > 1 and marks is None:
            raise ValueError(
                f"Of {takes} takes one is kept by its mark; `marks` must not be None."
            )
        sampling = Sampling(temperature, top_p, guidance=guidance)
        durations = _per_text(seconds, len(texts))
        decoder = self._decoders["text_to_motion"].fork()
        asked = zip(self.read_prompts(texts), durations, strict=True)
        composers = [
            Composer(decoder, self.vocabulary, prompt, duration, seed + i, sampling)
            for i, (prompt, duration) in enumerate(asked)
        ]
        if marks is None or takes == 1:
            jobs = [composer.run() for composer in composers]
            codes = [found for found, _ in run_all(decoder, jobs, BATCH, sampling.rows)]
        else:
            codes = _best_takes(decoder, composers, takes, sampling.rows, marks)
        return [
            (format_lines(composer.lines), torch.tensor(found))
            for composer, found in zip(composers, codes, strict=True)
        ]

    def stream_motion(
        self,
        text: str,
        seconds: float | None = None,
        seed: int = 0,
        temperature: float = 0.9,
        top_p: float = 0.95,
        guidance: float = 2.0,
    ) -> MotionStream:
        """Generate a motion code by code; see `generate_motion`, which gives the same codes."""
        sampling = Sampling(temperature, top_p, guidance=guidance)
        (duration,) = _per_text(seconds, 1)
        decoder = self._decoders["text_to_motion"].fork()
        prompt = self._read_prompt(text)
        composer = Composer(decoder, self.vocabulary, prompt, duration, seed, sampling)
        return MotionStream(composer)

    def start_session(
        self,
        text: str,
        seed: int = 0,
        temperature: float = 0.9,
        top_p: float = 0.95,
        guidance: float = 2.0,
        idle: str | None = IDLE,
    ) -> MotionSession:
        """Generate a motion code by code without end, whose prompt can change; see there."""
        sampling = Sampling(temperature, top_p, guidance=guidance)
        decoder = self._decoders["text_to_motion"].fork()
        return MotionSession(
            decoder, self.vocabulary, self._read_prompt, text, idle, seed, sampling
        )

    def regenerate_motion(
        self,
        indices: Int[Tensor, " t"],
        between: tuple[float, float],
        text: str | None = None,
        seed: int = 0,
        temperature: float = 0.9,
        top_p: float = 0.95,
        guidance: float = 2.0,
        candidates: int = 4,
        misfit: Misfit | None = None,
        score: str | None = None,
    ) -> Edit:
        """Draw an interval of a motion anew; all codes outside of it stay.

        What stands before is context. What comes behind is known by its plan; to lead there,
        several candidates are drawn and the one that fits best is taken.

        Args:
            indices: Motion codes, 25 a second.
            between: Start and end, seconds.
            text: What the face does in the interval; None keeps the motion's own plan.
            seed: Another draws another motion.
            temperature: Of the motion.
            top_p: Share of probability to draw the motion from.
            guidance: See `generate_motion`.
            candidates: How many to draw, up to 32, where there is a `misfit`.
            misfit: How ill codes go on at a frame, the first kept one behind the interval.
            score: The motion's plan as `generate_motion` gave it; None reads it from the codes.

        Raises:
            ValueError: If the interval is reversed, empty or not inside the motion, or there are
            no codes or no words.
        """
        codes = self._checked_codes(indices)
        interval = frames_between(between, len(codes))
        prompt = None if text is None else self._read_prompt(text)
        sampling = Sampling(temperature, top_p, guidance=guidance)
        decoder = self._decoders["text_to_motion"].fork()
        editor = Editor(decoder, self.vocabulary, sampling, seed, candidates, misfit)

        def read(low: int, high: int) -> tuple[Line, ...]:
            if score is None:
                return parse_lines(self.describe(torch.tensor(codes[low:high])).score)
            return window_lines(parse_lines(score), low // FRAMES_PER_TICK, ticks_of(high / FPS))

        return editor.redraw(codes, interval, prompt, read)

    def describe(
        self, indices: Int[Tensor, " t"], curves: Float[ndarray, "t 61"] | None = None
    ) -> Description:
        """Say what a motion shows.

        Args:
            indices: Motion codes, 25 a second; what is longer than 8 s is read window by window.
            curves: The same motion as ARKit curves (columns `mien.arkit.CHANNEL_NAMES`, 25 frames
                a second), on which is measured how strong each action is. Codes keep less of that
                than of what is done; with None the model tells it from them alone.

        Raises:
            ValueError: If there are none, or one is not in the codebook.
        """
        return self.describe_batch([indices], None if curves is None else [curves])[0]

    def describe_batch(
        self,
        motions: Sequence[Int[Tensor, " t"]],
        curves: Sequence[Float[ndarray, "t 61"]] | None = None,
    ) -> list[Description]:
        """Say what each of several motions shows; see `describe`."""
        decoder = self._decoders["motion_to_text"].fork()
        reader = Reader(decoder, self.vocabulary, self.codec, INSTRUCTION)
        codes = [self._checked_codes(indices) for indices in motions]
        shown = [None] * len(codes) if curves is None else curves
        jobs = [reader.run(*each) for each in zip(codes, shown, strict=True)]
        found = run_all(decoder, jobs, BATCH)
        return [_description(lines, caption) for _, (lines, caption) in found]

    @torch.inference_mode()
    def read_prompts(self, texts: Sequence[str]) -> list[Prompt]:
        """Make prompts of texts, with the times that they state and what they forbid.

        Raises:
            ValueError: If one has no words or more than 128, or states a time above 120 s.
        """
        clauses = [timed_clauses(text) for text in texts]
        check_times(itertools.chain(*clauses), MAX_SECONDS)
        read = iter(self._read([*texts, *(x.text for found in clauses for x in found)]))
        prompts = [next(read) for _ in texts]
        return [
            replace(prompt, clauses=tuple((clause, next(read)) for clause in found))
            for prompt, found in zip(prompts, clauses, strict=True)
        ]

    def _read(self, texts: Sequence[str]) -> list[Prompt]:
        """Prompts of texts without their times, with what they forbid and what they name."""
        entries = self.vocabulary.entries
        is_named = self._prefix.sentence is not None
        parts = [spoken_parts(text) if is_named else () for text in texts]
        denials = [spoken_denials(text) if is_named else () for text in texts]
        said = [
            [
                *itertools.chain(*(part.wordings for part in spoken)),
                *(denial.words for denial in denied),
            ]
            for spoken, denied in zip(parts, denials, strict=True)
        ]
        wordings = iter(self._encode([*texts, *itertools.chain(*said)]))
        prompts = [self._prefix.read(next(wordings)) for _ in texts]
        out = []
        for text, prompt, spoken, denied in zip(texts, prompts, parts, denials, strict=True):
            sizes = [len(part.wordings) for part in spoken]
            own = [next(wordings) for _ in range(sum(sizes) + len(denied))]
            named = self._prefix.name(own) if own else torch.empty(0, len(entries))
            *of_parts, of_denied = torch.split(named, [*sizes, len(denied)])
            found = restraints(text) + forbidden(denied, of_denied, entries)
            barred = barred_entries(found, entries)
            if barred:
                asked = asked_for(spoken, of_parts, entries)
                if prompt.names is not None and not spoken:
                    asked |= prompt.names >= math.log(_ASKED)
                asked &= keep_their_look(found, entries)
                barred = tuple(mask & ~asked for mask in barred)
            codes = None if self._poses is None else barred_codes(found, self._poses)
            prompt = replace(prompt, barred=barred, barred_codes=codes)
            if spoken and prompt.names is not None:
                sides = dict(zip(entries, self.vocabulary.entry_sides, strict=True))
                last = barred[-1] if barred else None
                orders, is_all = named_orders(spoken, of_parts, prompt.names, sides, last)
                if orders:
                    called = {order.entry for order in orders}
                    uncalled = torch.tensor([entry not in called for entry in entries])
                    prompt = replace(prompt, orders=orders, uncalled=uncalled if is_all else None)
            if prompt.names is not None and prompt.uncalled is not None and not prompt.orders:
                prompt = replace(prompt, names=shared_names(prompt.names, self._likeness))
            out.append(prompt)
        return out

    def _encode(self, texts: Sequence[str]) -> list[Wording]:
        if self._updates is None:
            wordings = [Wording(each) for each in self.encoder.encode(texts)]
        else:
            if self._tuned_encoder is None:
                self._tuned_encoder = self.encoder.updated(*self._updates)
            both = self.encoder.encode_both(self._tuned_encoder, texts)
            wordings = [Wording(*each) for each in both]
        if self._lexical is None:
            return wordings
        named = self._lexical.name(self.encoder.ids(texts))
        return [x._replace(named=names) for x, names in zip(wordings, named, strict=True)]

    @cached_property
    def _likeness(self) -> Float[Tensor, "e e"]:
        """How alike the entries look, from 0 to 1."""
        return torch.from_numpy(likeness(self.vocabulary.entries)).float()

    def _read_prompt(self, text: str) -> Prompt:
        return self.read_prompts([text])[0]

    def _checked_codes(self, indices: Int[Tensor, " t"]) -> list[int]:
        codes = [int(i) for i in indices.flatten().tolist()]
        if not codes:
            raise ValueError("A motion to describe must have at least one frame, got none.")
        if min(codes) < 0 or max(codes) >= self.vocabulary.num_codes:
            raise ValueError(
                f"Motion codes must be from 0 to {self.vocabulary.num_codes - 1}, "
                f"got {min(codes)} to {max(codes)}; were they made by another tokenizer?"
            )
        return codes


def _best_takes(
    decoder: Decoder, composers: Sequence[Composer], takes: int, rows: int, marks: Marks
) -> list[list[int]]:
    """Draw several motions of each plan and keep the one that shows it best."""
    run_all(decoder, [composer.plan() for composer in composers], BATCH, rows)
    jobs = [composer.compose(take) for composer in composers for take in range(takes)]
    drawn = [codes for codes, _ in run_all(decoder, jobs, BATCH, rows)]
    best = []
    for at, composer in enumerate(composers):
        own = drawn[at * takes : (at + 1) * takes]
        marked = marks(format_lines(composer.lines), torch.tensor(own))
        best.append(max(zip(marked, own, strict=True), key=lambda pair: pair[0])[1])
    return best


def _per_text(seconds: float | Sequence[float | None] | None, count: int) -> list[float | None]:
    each: list[float | None]
    if seconds is None or isinstance(seconds, int | float):
        each = [seconds] * count
    else:
        each = list(seconds)
    if len(each) != count:
        raise ValueError(f"`seconds` needs one item a text ({count}), got {len(each)}.")
    for value in each:
        if value is not None and not (math.isfinite(value) and 0 < value <= MAX_SECONDS):
            raise ValueError(
                f"`seconds` must be above 0 and at most {MAX_SECONDS:.0f}, got {value}."
            )
    return each


def _description(lines: Sequence[Line], caption: str) -> Description:
    events = tuple(Event(x.start * TICK_S, x.stop * TICK_S, event_text(x)) for x in lines)
    return Description(caption, events, format_lines(lines))


def event_text(line: Line) -> str:
    """Words for one line: from the lexicon's own writer."""
    from mien.data_synth.score import parse_score
    from mien.data_synth.writer import write_events

    performance = parse_score(format_lines([line]))
    return str(write_events(performance)[0][2])
