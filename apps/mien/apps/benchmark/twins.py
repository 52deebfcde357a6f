"""Twins of the language model: each differs from ours in one thing, and is trained alike.

The same base, corpus, seed, batches and steps; what differs is

- `words`: nothing. Ours at the twins' own budget, which the others are compared with;
- `pooled`: the text comes as one vector, the mean of its words', as in T2M-GPT;
- `coefficients`: tokens code head parameters in place of face points;
- `mead`: the corpus has eight emotions and their labels, as a studio's.

A killed training goes on where it was, stage by stage.
"""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Literal, get_args

from jaxtyping import Float
from torch import Tensor

from mien.apps.benchmark.mead import PIECE, mead_pieces
from mien.apps.benchmark.systems import OWN_TOKENIZER
from mien.data_synth.corpus import read_corpus
from mien.data_synth.lexicon import Lexicon
from mien.llm.pools import ClipPool, TextPool
from mien.llm.prepare import (
    CorpusPieces,
    DrillPieces,
    Piece,
    free_pieces,
    lexicon_vocabulary,
    measure_poses,
    prepare_codes,
    prepare_free_prompts,
    prepare_texts,
    read_codes,
)
from mien.llm.saving import save_poses, write_card
from mien.llm.stage import Schedule
from mien.llm.text_codec import TextCodec
from mien.llm.train import Report, Trainer, TrainLlmConfig, new_model, prepare_codec
from mien.llm.workers import my_part, once
from mien.tokenizer import MotionTokenizer

Kind = Literal["words", "pooled", "coefficients", "mead"]
KINDS: tuple[Kind, ...] = get_args(Kind)
STARTED: tuple[Kind, ...] = ("words", "pooled")

Prepared = Callable[[str], None]


@dataclass(frozen=True)
class TwinConfig:
    """How a twin is trained.

    Attributes:
        kind: In what it differs.
        training: Corpus, folder of the result, steps, batches and seed. The built-in base only.
        pieces: Folder where encoded texts and motion are kept. Twins share it, and so may a
            language model trained on the same corpus with the same seed (its `work/pieces`).
        clips: Clips of the corpus to learn from, at most, in thousands begun; 0 takes all. The
            studio's corpus has as many.
    """

    kind: Kind
    training: TrainLlmConfig
    pieces: Path
    clips: int = 0

    def __post_init__(self) -> None:
        """Refuse what is no twin."""
        if self.training.base is not None:
            raise ValueError(f"A twin has the built-in base, got {self.training.base!r}.")
        if self.training.start is not None and self.kind not in STARTED:
            raise ValueError(
                f"Only twins that know the same tokens and may know the same clips can go on from "
                f"a model ({', '.join(STARTED)}), got {self.kind!r}."
            )
        if self.clips < 0:
            raise ValueError(f"`clips` must be 0 (all) or more, got {self.clips}.")


class PooledTexts(TextPool):
    """Texts whose words are melted into one vector."""

    def words(self, index: int) -> Float[Tensor, "1 f"]:
        """The mean word vector of a text."""
        found = super().words(index)
        return found.float().mean(0, keepdim=True).to(found.dtype)

    def num_words(self, index: int) -> int:
        """Always one."""
        return 1


@dataclass(frozen=True, eq=False)
class _Material:
    """What a twin learns from, all of it encoded."""

    texts: TextPool
    clips: ClipPool
    corpus_hash: str


def train_twin(
    config: TwinConfig,
    report: Report = lambda stage, progress: None,
    prepared: Prepared = lambda piece: None,
    command: str = "",
) -> Path:
    """Train a twin and save it with its card; a killed run goes on where it was.

    Args:
        config: How.
        report: Told the stage and its progress.
        prepared: Told each piece whose words or motion have been encoded.
        command: What started this, for the card.

    Returns:
        The folder of the result, as `mien.llm.MotionLanguageModel.load` takes it.

    Raises:
        ValueError: If there is no corpus, or the twin's own tokenizer has not been trained.
    """
    training, tokenizer = config.training, load_tokenizer(config)
    material = _gather(config, tokenizer, prepared)
    codec = _codec(training)
    vocabulary = lexicon_vocabulary(Lexicon.default(), codec.size, tokenizer.codebook_size)
    width = material.texts.words(0).shape[1]
    trainer = Trainer(training, vocabulary, codec, material.texts, material.clips, width, report)
    trainer.train_all()
    made = {
        "command": command,
        "twin": config.kind,
        "corpus_hash": material.corpus_hash,
        "clips": len(material.clips),
        "texts": len(material.texts),
    }
    model = new_model(vocabulary, width, training.seed)
    once(lambda: write_card(training.out, model, asdict(training), made))
    once(lambda: save_poses(measure_poses(tokenizer), training.out))
    return training.out


def load_tokenizer(config: TwinConfig) -> MotionTokenizer:
    """The shipped tokenizer, or the one of coefficients in the twin's own folder.

    Raises:
        ValueError: If that has not been trained, or codes something else.
    """
    if config.kind != "coefficients":
        shared = MotionTokenizer.load(config.training.tokenizer)
        shared.require_one_token_a_frame()
        return shared
    folder = config.training.out / OWN_TOKENIZER
    if not (folder / "model.safetensors").is_file():
        raise ValueError(
            f"{folder}: wanted a tokenizer of coefficients; train it first: "
            f"mien train tokenizer --kind coefficients --data {config.training.corpus} "
            f"-o {folder}."
        )
    tokenizer = MotionTokenizer.load(folder)
    if tokenizer.kind != "coefficients":
        raise ValueError(f"{folder}: wanted a tokenizer of coefficients, got {tokenizer.kind}.")
    tokenizer.require_one_token_a_frame()
    return tokenizer


def _gather(config: TwinConfig, tokenizer: MotionTokenizer, prepared: Prepared) -> _Material:
    """Encode what is not encoded yet, each worker its part, and read all of it."""
    training, corpus = config.training, CorpusPieces(config.training.corpus)
    pieces, free = _pieces(config, corpus), _free(config)
    own_codes = training.out / "work/codes" if config.kind == "coefficients" else config.pieces
    mine = pieces[my_part()]
    prepare_texts(mine, config.pieces, training.texts, prepared)
    prepare_codes(mine, tokenizer, own_codes, prepared)
    prepare_free_prompts(free[my_part()], config.pieces, training.seed, prepared)
    once(lambda: prepare_codec(training))
    told = [config.pieces / name for name, _ in pieces]
    others = [config.pieces / name for name, _ in free]
    pool = PooledTexts if config.kind == "pooled" else TextPool
    clips = ClipPool(pool(told), read_codes(pieces, own_codes))
    return _Material(pool([*told, *others]), clips, corpus.hash)


def _pieces(config: TwinConfig, corpus: CorpusPieces) -> Sequence[Piece]:
    """The corpus with its drills, or a studio's corpus with as many clips as both."""
    training = config.training
    own = list(corpus.pieces())
    if config.clips:
        own = own[: -(-config.clips // PIECE)]
    if config.kind != "mead":
        return [*own, *DrillPieces(training.drills, training.seed).pieces()]
    count = min(len(own) * PIECE, len(read_corpus(training.corpus, "train")))
    return list(mead_pieces(count + training.drills, training.seed))


def _free(config: TwinConfig) -> list[tuple[str, range]]:
    """A studio has labels and no prompts in free wording."""
    return [] if config.kind == "mead" else free_pieces(config.training.free_prompts)


def _codec(training: TrainLlmConfig) -> TextCodec:
    return TextCodec.load(training.out / "work/tokenizer.json")


def twin_training(
    training: TrainLlmConfig, out: Path, kind: Kind, budget: float = 1.0
) -> TrainLlmConfig:
    """The same training in a twin's own folder, with each stage's steps times `budget`.

    No twin tunes its encoder or reads words alone: one that melts words into a vector has none.

    Example:
        >>> usual = TrainLlmConfig(mixed=Schedule(1000))
        >>> twin_training(usual, Path("runs/twins"), "pooled", 0.5).mixed.steps
        500
    """
    if not 0 < budget <= 1:
        raise ValueError(f"`budget` must be above 0 and at most 1, got {budget:g}.")

    def shorter(schedule: Schedule) -> Schedule:
        return replace(schedule, steps=max(1, round(budget * schedule.steps)))

    return replace(
        training,
        out=out / kind,
        naming=shorter(training.naming),
        counting=shorter(training.counting),
        lexical=replace(training.lexical, steps=0),
        tuning=replace(training.tuning, steps=0),
        text=shorter(training.text),
        mixed=shorter(training.mixed),
        adapter=shorter(training.adapter),
    )
