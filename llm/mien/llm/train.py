"""Train a language model: pretrain the built-in base, then one adapter a direction."""

import copy
import json
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from mien.acceleration import Precision
from mien.data_synth.lexicon import Lexicon
from mien.llm.adapters import attach_adapter, begin_adapter, save_adapter
from mien.llm.base import append_rows, built_in_base, load_base
from mien.llm.lexical import LexicalReader
from mien.llm.lexical_naming import LexicalMixture, LexicalNaming
from mien.llm.mixture import Mixture, Variation
from mien.llm.naming import COUNTS, CountingMixture, Naming, NamingMixture
from mien.llm.network import PrefixedModel
from mien.llm.pools import ClipPool, TextPool
from mien.llm.prefix import SentenceReader, WordPrefix
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
    train_codec,
)
from mien.llm.saving import save_poses, save_pretrained, save_shell, write_card
from mien.llm.sequences import SequenceWriter, Task
from mien.llm.stage import (
    Draws,
    Learner,
    Progress,
    Schedule,
    load_trainable,
    train_stage,
    trainable_state,
)
from mien.llm.storage import DIRECTIONS, ENCODER, LEXICAL, Direction
from mien.llm.text_codec import TextCodec
from mien.llm.tuning import Tuning, TuningMixture
from mien.llm.vocabulary import Vocabulary
from mien.llm.warm_start import begin_from, check_start
from mien.llm.workers import my_part, once, share
from mien.tokenizer import MotionTokenizer

Report = Callable[[str, Progress], None]

_FREE = 0.8  # share of prompts in free wording that the reader of words alone learns from

TEXT_SHARES: Mapping[Task, float] = {"text_to_plan": 0.8, "plan_to_text": 0.2}
MIXED_SHARES: Mapping[Task, float] = {
    "text_to_plan": 0.2,
    "plan_to_text": 0.1,
    "text_to_motion": 0.45,
    "motion_to_text": 0.25,
}
ADAPTER_SHARES: Mapping[Direction, Mapping[Task, float]] = {
    "text_to_motion": {"text_to_plan": 0.6, "text_to_motion": 0.4},
    "motion_to_text": {"plan_to_text": 0.3, "motion_to_text": 0.7},
}


@dataclass(frozen=True)
class TrainLlmConfig:
    """How a language model is trained.

    Attributes:
        corpus: Folder that `mien synth` wrote.
        out: Folder of the result; work in progress lies in `out/work`.
        tokenizer: Folder of the motion tokenizer; None takes the shipped one.
        base: Folder or hub id of a causal language model to adapt; None pretrains the built-in
            one.
        start: Folder that an earlier training of the built-in base wrote, to go on from; its text
            tokenizer stays. Stages of 0 steps are left out.
        texts: Texts to learn from of each clip, up to 4.
        drills: Single actions to learn from beside the corpus.
        free_prompts: Prompts in free wording to draw.
        text_size: Size of the built-in base's text vocabulary.
        naming: Steps of the sentence reader, before all else.
        naming_batch: Prompts a step of the sentence reader, shared by the workers.
        naming_variation: How the prompts of the sentence reader are varied.
        counting: Steps of the reader of how many things a prompt asks for, on as many prompts.
        lexical: Steps of the reader that names by words alone; with 0 it stays that of `start`.
        lexical_batch: Prompts a step of that reader, shared by the workers.
        tuning: Steps of the sentence encoder, on as many prompts; with 0 it stays that of `start`.
        tuning_variation: How they are varied, less than for the reader, which has to make do with
            the words that it is given.
        text: Steps on texts alone (built-in base only).
        mixed: Steps on texts and motion (built-in base only).
        adapter: Steps of each adapter; with 0 those of `start` stay. Where the base and the
            sentence reader of `start` stay too, adapters go on from those of `start`.
        directions: Whose adapters learn; the others stay those of `start`.
        rank: Of the adapters.
        variation: How samples are varied.
        text_batch: Texts a step, shared by the workers.
        clip_batch: Clips a step, shared by the workers.
        precision: Of products of matrices while training; "bf16" needs a processor with bf16
            instructions.
        seed: Of weights and batches.
    """

    corpus: Path = Path("runs/corpus")
    out: Path = Path("runs/llm")
    tokenizer: Path | None = None
    base: str | None = None
    start: Path | None = None
    texts: int = 4
    drills: int = 14_100
    free_prompts: int = 100_000
    text_size: int = 2048
    naming: Schedule = field(
        default_factory=lambda: Schedule(5000, 2e-3, rule="muon", final=0.02, weight_decay=0.3)
    )
    naming_batch: int = 128
    naming_variation: Variation = field(
        default_factory=lambda: Variation(word_noise=0.5, hide_static=0.5, drop_word=0.0)
    )
    counting: Schedule = field(
        default_factory=lambda: Schedule(3000, 2e-3, final=0.02, weight_decay=0.1)
    )
    lexical: Schedule = field(
        default_factory=lambda: Schedule(2400, 2e-2, warmup=0, final=0.0, weight_decay=0.0)
    )
    lexical_batch: int = 256
    tuning: Schedule = field(
        default_factory=lambda: Schedule(1500, 1e-3, final=0.02, weight_decay=0.01)
    )
    tuning_variation: Variation = field(
        default_factory=lambda: Variation(word_noise=0.25, hide_static=0.3, drop_word=0.0)
    )
    text: Schedule = field(default_factory=lambda: Schedule(2200, 4e-3, rule="muon"))
    mixed: Schedule = field(default_factory=lambda: Schedule(3000, 3e-3, rule="muon", final=0.02))
    adapter: Schedule = field(default_factory=lambda: Schedule(1000, 5e-4, warmup=30, final=0.02))
    directions: tuple[Direction, ...] = DIRECTIONS
    rank: int = 16
    variation: Variation = field(default_factory=Variation)
    text_batch: int = 64
    clip_batch: int = 16
    precision: Precision = "fp32"
    seed: int = 0

    def __post_init__(self) -> None:
        """Refuse sizes that teach nothing."""
        for name in ("texts", "rank", "text_batch", "clip_batch"):
            if getattr(self, name) < 1:
                raise ValueError(f"`{name}` must be at least 1, got {getattr(self, name)}.")
        if self.start is not None and self.base is not None:
            raise ValueError("`start` goes on from a built-in base; it cannot go with `base`.")
        some_stay = not self.adapter.steps or set(self.directions) != set(DIRECTIONS)
        if some_stay and not self.keeps_base:
            raise ValueError(
                "Adapters can stay (`adapter` of 0 steps, or not all `directions`) only where all "
                "goes on from `start` and the base and its reader of sentences stay too (0 steps "
                "of theirs)."
            )

    @property
    def keeps_base(self) -> bool:
        """Whether base and sentence reader stay those of `start`."""
        steps = self.naming.steps + self.text.steps + self.mixed.steps
        return self.start is not None and not steps


@dataclass(frozen=True, eq=False)
class Trainer:
    """Trains on pools that are ready; `mien.llm.prepare` makes them.

    Attributes:
        config: How.
        vocabulary: The ids.
        codec: Ids of text.
        texts: Texts without motion.
        clips: Clips with motion; None allows only the text stage.
        word_width: Width of word vectors.
        report: Told the stage and its progress.
    """

    config: TrainLlmConfig
    vocabulary: Vocabulary
    codec: TextCodec
    texts: TextPool
    clips: ClipPool | None
    word_width: int = 768
    report: Report = lambda stage, progress: None

    def train_all(self) -> dict[str, list[float]]:
        """Pretrain the built-in base, then train one adapter after the other; save all."""
        out, foreign = self.config.out, self.config.base
        model = new_model(self.vocabulary, self.word_width, self.config.seed, foreign)
        if self.config.start is not None:
            begin_from(model, self.vocabulary, self.config.start)
        losses = {"naming": self.teach_naming(model), "counting": self.teach_counting(model)}
        losses["lexical"] = self.teach_words()
        losses["tuning"] = self.tune_encoder(model)
        if foreign is None:
            losses |= self.pretrain(model)
            once(lambda: save_pretrained(model, self.vocabulary, self.codec, out))
        for direction in DIRECTIONS:
            model = self._frozen(model)
            losses[direction] = self.adapt(model, direction, out)
            if foreign is not None and direction == "text_to_motion":
                save_shell(model, self.vocabulary, self.codec, out)
        return losses

    def teach_naming(self, model: PrefixedModel) -> list[float]:
        """Teach the sentence reader, which stays as it is from then on."""
        reader, config, vocabulary = model.prefix.sentence, self.config, self.vocabulary
        if reader is None:
            raise ValueError("Training needs a prefix that reads sentences.")
        losses = self._teach(reader, NamingMixture, config.naming)
        if config.start is None:
            begin_entries(model, reader.entries, vocabulary)
        return losses

    def teach_counting(self, model: PrefixedModel) -> list[float]:
        """Teach the reader that counts, which stays as it is from then on."""
        if model.prefix.counter is None:
            raise ValueError("Training needs a prefix that counts.")
        return self._teach(model.prefix.counter, CountingMixture, self.config.counting)

    def teach_words(self) -> list[float]:
        """Teach the reader that names by words alone, and save it."""
        config, vocabulary = self.config, self.vocabulary
        if not config.lexical.steps:
            return []
        with torch.random.fork_rng():
            torch.manual_seed(config.seed)
            reader = LexicalReader(len(vocabulary.entries))
        texts = self.texts if self.clips is None else self.clips.texts
        batch = share(config.lexical_batch)
        mixture = LexicalMixture(
            reader, vocabulary, texts, batch, free=_FREE if config.free_prompts else 0.0
        )
        losses = self._run(mixture.task, LexicalNaming(reader), mixture, config.lexical)
        config.out.mkdir(parents=True, exist_ok=True)
        once(lambda: reader.save(config.out / LEXICAL))
        return losses

    def tune_encoder(self, model: PrefixedModel) -> list[float]:
        """Tune the encoder that the sentence reader names by, and save what it learned."""
        reader, config = model.prefix.sentence, self.config
        if reader is None:
            raise ValueError("Tuning needs a prefix that reads sentences.")
        if not config.tuning.steps:
            return []
        learner = Tuning(copy.deepcopy(reader))
        batch = share(config.naming_batch)
        mixture = TuningMixture(self.vocabulary, self.texts, batch, config.tuning_variation)
        losses = self._run(mixture.task, learner, mixture, config.tuning)
        once(lambda: learner.save(config.out))
        return losses

    def _teach(
        self, reader: SentenceReader, exercise: type[NamingMixture], schedule: Schedule
    ) -> list[float]:
        config = self.config
        batch = share(config.naming_batch)
        mixture = exercise(self.vocabulary, self.texts, batch, config.naming_variation)
        losses = self._run(exercise.task, Naming(reader), mixture, schedule)
        reader.requires_grad_(False)
        return losses

    def pretrain(self, model: PrefixedModel) -> dict[str, list[float]]:
        """Teach the built-in base: texts first, which are cheap, then all tasks together."""
        losses = {"text": self.run("text", model, TEXT_SHARES, self.config.text)}
        losses["mixed"] = self.run("mixed", model, MIXED_SHARES, self.config.mixed)
        return losses

    def _frozen(self, model: PrefixedModel) -> PrefixedModel:
        """A model without adapters: the pretrained one as it will be loaded, or a foreign base."""
        config = self.config
        fresh = new_model(self.vocabulary, self.word_width, config.seed, config.base)
        fresh.prefix.load_state_dict(model.prefix.state_dict())
        if config.base is None:
            state = load_file(config.out / "base/model.safetensors")
            fresh.base.load_state_dict({k: v.float() for k, v in state.items()}, strict=False)
            fresh.prefix.load_state_dict(load_file(config.out / "prefix.safetensors"))
        return fresh

    def adapt(self, model: PrefixedModel, direction: Direction, folder: Path) -> list[float]:
        """Teach one direction by an adapter, in place, and save it in `folder/direction`."""
        start = self.config.start
        is_kept = not self.config.adapter.steps or direction not in self.config.directions
        if start is not None and is_kept:
            _keep(start / direction, folder / direction)
            return []
        is_foreign = self.config.base is not None
        rows = (self.vocabulary.num_text, self.vocabulary.size) if is_foreign else None
        learns_prefix = is_foreign and direction == "text_to_motion"
        adapted = attach_adapter(model, direction, self.config.rank, rows, learns_prefix)
        if start is not None and self.config.keeps_base:
            begin_adapter(adapted, direction, start)
        losses = self.run(direction, model, ADAPTER_SHARES[direction], self.config.adapter)
        once(lambda: save_adapter(adapted, direction, folder))
        return losses

    def run(
        self, stage: str, model: PrefixedModel, shares: Mapping[Task, float], schedule: Schedule
    ) -> list[float]:
        """Train one stage of the language model, or load it if it is done; its result is kept."""
        return self._run(stage, model, self._mixture(shares), schedule)

    def _run(self, stage: str, model: Learner, mixture: Draws, schedule: Schedule) -> list[float]:
        folder = self.config.out / "work" / stage
        done = folder / "done.safetensors"
        if done.is_file():
            load_trainable(model, load_file(done))
            found: list[float] = json.loads((folder / "losses.json").read_text())
            return found
        if not schedule.steps:
            return []
        seed = self.config.seed + 1000 * len(stage)
        losses = train_stage(
            model,
            mixture,
            schedule,
            folder,
            seed,
            lambda progress: self.report(stage, progress),
            precision=self.config.precision,
        )
        once(lambda: _finish_stage(model, losses, folder))
        return losses

    def _mixture(self, shares: Mapping[Task, float]) -> Mixture:
        return Mixture(
            SequenceWriter(self.vocabulary),
            self.codec,
            self.texts,
            self.clips,
            shares,
            share(self.config.text_batch),
            share(self.config.clip_batch),
            self.word_width,
            self.config.variation,
        )


def new_model(
    vocabulary: Vocabulary, word_width: int, seed: int, base: str | None = None
) -> PrefixedModel:
    """A model with fresh weights, or a foreign base with rows for our tokens."""
    if base is None:
        network = built_in_base(vocabulary.size, seed)
    else:
        network, _ = load_base(base)
        append_rows(network, vocabulary.size, seed)
    width = network.get_input_embeddings().weight.shape[1]
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        prefix = WordPrefix(word_width, 512, width, len(vocabulary.entries), counts=COUNTS)
    return PrefixedModel(network, prefix, vocabulary.control("word"))


@torch.no_grad()
def begin_entries(model: PrefixedModel, entries: Tensor, vocabulary: Vocabulary) -> None:
    """Let the tokens of entries begin as what sentences were compared with, as large as others."""
    first = vocabulary.entry_start
    rows = model.tokens[first : first + len(entries)]
    rows.copy_(entries * (rows.std() / entries.std()))


def train_llm(
    config: TrainLlmConfig,
    report: Report = lambda stage, progress: None,
    prepared: Callable[[str], None] = lambda piece: None,
    command: str = "",
) -> Path:
    """Train a language model on a corpus and save it; a killed run goes on where it was.

    Args:
        config: How.
        report: Told the stage and its progress, about every 50 steps.
        prepared: Told each piece of the corpus whose words or motion have been encoded.
        command: What started this, for the card.

    Raises:
        ValueError: If there is no corpus, or the base has no fast tokenizer, or there is nothing
            to start from.
    """
    if config.start is not None:
        check_start(config.start)
    corpus = CorpusPieces(config.corpus)
    clip_pieces = [*corpus.pieces(), *DrillPieces(config.drills, config.seed).pieces()]
    tokenizer = MotionTokenizer.load(config.tokenizer)
    tokenizer.require_one_token_a_frame()
    work = config.out / "work/pieces"
    _prepare(config, clip_pieces, tokenizer, work, prepared)
    codec, num_text = _codec(config)
    vocabulary = lexicon_vocabulary(Lexicon.default(), num_text, tokenizer.codebook_size)
    told = [work / name for name, _ in clip_pieces]
    free = [work / name for name, _ in free_pieces(config.free_prompts)]
    texts = TextPool([*told, *free])
    clips = ClipPool(TextPool(told), read_codes(clip_pieces, work))
    trainer = Trainer(config, vocabulary, codec, texts, clips, report=report)
    losses = trainer.train_all()
    made: dict[str, Any] = {
        "command": command,
        "corpus_hash": corpus.hash,
        "last_losses": {k: _tail(v) for k, v in losses.items() if v},
    }
    if config.start is not None:
        for name, schedule in ((ENCODER, config.tuning), (LEXICAL, config.lexical)):
            if not schedule.steps and (config.start / name).exists():
                _keep(config.start / name, config.out / name)
        made["before"] = json.loads((config.start / "card.json").read_text())
    card_model = new_model(vocabulary, trainer.word_width, config.seed, config.base)
    once(lambda: write_card(config.out, card_model, asdict(config), made))
    once(lambda: save_poses(measure_poses(tokenizer), config.out))
    return config.out


def _prepare(
    config: TrainLlmConfig,
    clip_pieces: Sequence[Piece],
    tokenizer: MotionTokenizer,
    work: Path,
    prepared: Callable[[str], None],
) -> None:
    """Encode what is not encoded yet, each worker its part of the pieces."""
    mine = clip_pieces[my_part()]
    prepare_texts(mine, work, config.texts, prepared)
    prepare_codes(mine, tokenizer, work, prepared)
    free = free_pieces(config.free_prompts)[my_part()]
    prepare_free_prompts(free, work, config.seed, prepared)
    once(lambda: prepare_codec(config))


def prepare_codec(config: TrainLlmConfig) -> None:
    """Learn the built-in base's text tokenizer, or take that of the model to go on from."""
    path = config.out / "work/tokenizer.json"
    if config.base is None and not path.is_file():
        if config.start is not None:
            codec = TextCodec.load(config.start / "tokenizer.json")
        else:
            codec = train_codec(config.text_size, config.seed)
        path.parent.mkdir(parents=True, exist_ok=True)
        codec.save(path)


def _codec(config: TrainLlmConfig) -> tuple[TextCodec, int]:
    """The text tokenizer and the number of embedding rows that stand before ours."""
    if config.base is None:
        codec = TextCodec.load(config.out / "work/tokenizer.json")
        return codec, codec.size
    model, tokenizer = load_base(config.base)
    codec = TextCodec(tokenizer)
    return codec, max(codec.size, model.get_input_embeddings().weight.shape[0])


def _keep(source: Path, target: Path) -> None:
    """Take over a file or folder that stays as it was."""
    if source.is_dir():
        once(lambda: shutil.copytree(source, target, dirs_exist_ok=True))
    else:
        once(lambda: shutil.copy(source, target))


def _finish_stage(model: Learner, losses: list[float], folder: Path) -> None:
    """Write a stage's losses, then its result, then drop its checkpoints."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "losses.json").write_text(json.dumps(losses))
    save_file(trainable_state(model), folder / "done.safetensors")
    for name in ("checkpoint", "checkpoint.old"):
        shutil.rmtree(folder / name, ignore_errors=True)


def _tail(losses: list[float], count: int = 100) -> float:
    last = losses[-count:]
    return round(sum(last) / max(1, len(last)), 4)
