"""Train a language model: pretrain the built-in base with its word prefix, then one adapter a direction."""

import json
import shutil
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file

from mien.llm.adapters import attach_adapter, save_adapter
from mien.llm.base import append_rows, built_in_base, load_base
from mien.llm.mixture import Mixture, Variation
from mien.llm.network import PrefixedModel
from mien.llm.pools import ClipPool, TextPool
from mien.llm.prefix import WordPrefix
from mien.llm.sequences import SequenceWriter, Task
from mien.llm.stage import Progress, Schedule, load_trainable, train_stage, trainable_state
from mien.llm.storage import FORMAT_VERSION, Direction
from mien.llm.text_codec import TextCodec
from mien.llm.vocabulary import Vocabulary

Report = Callable[[str, Progress], None]

TEXT_SHARES: Mapping[Task, float] = {"text_to_plan": 0.8, "plan_to_text": 0.2}
MIXED_SHARES: Mapping[Task, float] = {
    "text_to_plan": 0.22,
    "plan_to_text": 0.06,
    "text_to_motion": 0.38,
    "motion_to_text": 0.34,
}
ADAPTER_SHARES: Mapping[Direction, Mapping[Task, float]] = {
    "text_to_motion": {"text_to_plan": 0.4, "text_to_motion": 0.6},
    "motion_to_text": {"plan_to_text": 0.15, "motion_to_text": 0.85},
}


@dataclass(frozen=True)
class TrainLlmConfig:
    """How a language model is trained.

    Attributes:
        corpus: Folder that `mien synth` wrote.
        out: Folder of the result; work in progress lies in `out/work`.
        tokenizer: Folder of the motion tokenizer; None takes the shipped one.
        base: Folder or hub id of a causal language model to adapt; None pretrains the built-in one.
        num_texts: Texts without motion to learn wording from.
        text_size: Size of the built-in base's text vocabulary.
        text: Steps on texts alone (built-in base only).
        mixed: Steps on texts and motion (built-in base only).
        adapter: Steps of each adapter.
        rank: Of the adapters.
        variation: How samples are varied.
        text_batch: Texts a step.
        clip_batch: Clips a step.
        seed: Of weights and batches.
    """

    corpus: Path = Path("runs/corpus")
    out: Path = Path("runs/llm")
    tokenizer: Path | None = None
    base: str | None = None
    num_texts: int = 60_000
    text_size: int = 2048
    text: Schedule = field(default_factory=lambda: Schedule(2500, 1.5e-3))
    mixed: Schedule = field(default_factory=lambda: Schedule(4500, 1.2e-3))
    adapter: Schedule = field(default_factory=lambda: Schedule(300, 5e-4, warmup=30))
    rank: int = 8
    variation: Variation = field(default_factory=Variation)
    text_batch: int = 48
    clip_batch: int = 10
    seed: int = 0


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

    def pretrain(self, model: PrefixedModel) -> dict[str, list[float]]:
        """Teach the built-in base everything: texts first, which are cheap, then all tasks together."""
        losses = {"text": self.run("text", model, TEXT_SHARES, self.config.text)}
        losses["mixed"] = self.run("mixed", model, MIXED_SHARES, self.config.mixed)
        return losses

    def adapt(self, model: PrefixedModel, direction: Direction, folder: Path) -> list[float]:
        """Teach one direction by an adapter and save it in `folder/direction`; changes the model in place."""
        is_foreign = self.config.base is not None
        rows = (self.vocabulary.num_text, self.vocabulary.size) if is_foreign else None
        learns_prefix = is_foreign and direction == "text_to_motion"
        adapted = attach_adapter(model, direction, self.config.rank, rows, learns_prefix)
        losses = self.run(direction, model, ADAPTER_SHARES[direction], self.config.adapter)
        save_adapter(adapted, direction, folder)
        return losses

    def run(
        self, stage: str, model: PrefixedModel, shares: Mapping[Task, float], schedule: Schedule
    ) -> list[float]:
        """Train one stage, or load it if it is done; its result lies in `out/work/STAGE`."""
        folder = self.config.out / "work" / stage
        done = folder / "done.safetensors"
        if done.is_file():
            load_trainable(model, load_file(done))
            found: list[float] = json.loads((folder / "losses.json").read_text())
            return found
        seed = self.config.seed + 1000 * len(stage)
        losses = train_stage(
            model,
            self._mixture(shares),
            schedule,
            folder,
            seed,
            lambda progress: self.report(stage, progress),
        )
        (folder / "losses.json").parent.mkdir(parents=True, exist_ok=True)
        (folder / "losses.json").write_text(json.dumps(losses))
        save_file(trainable_state(model), done)
        shutil.rmtree(folder / "checkpoint", ignore_errors=True)
        shutil.rmtree(folder / "checkpoint.old", ignore_errors=True)
        return losses

    def _mixture(self, shares: Mapping[Task, float]) -> Mixture:
        return Mixture(
            SequenceWriter(self.vocabulary),
            self.codec,
            self.texts,
            self.clips,
            shares,
            self.config.text_batch,
            self.config.clip_batch,
            self.word_width,
            self.config.variation,
        )


def new_model(vocabulary: Vocabulary, word_width: int, seed: int, base: str | None = None) -> PrefixedModel:
    """A model with fresh weights, or a foreign base with rows for our tokens; its prefix is fresh."""
    if base is None:
        network = built_in_base(vocabulary.size, seed)
    else:
        network, _ = load_base(base)
        append_rows(network, vocabulary.size, seed)
    width = network.get_input_embeddings().weight.shape[1]
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        prefix = WordPrefix(word_width, 512, width)
    return PrefixedModel(network, prefix, vocabulary.control("word"))


def round_to_half(model: PrefixedModel) -> None:
    """Round weights to the half precision that they are shipped in, so that adapters learn on what is loaded."""
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_(parameter.half().float())


def save_pretrained(model: PrefixedModel, vocabulary: Vocabulary, codec: TextCodec, folder: Path) -> None:
    """Write base, prefix, text tokenizer and vocabulary; the base in half precision, without its tied head."""
    (folder / "base").mkdir(parents=True, exist_ok=True)
    model.base.config.to_json_file(folder / "base/config.json")
    state = {
        name: value.detach().half().contiguous()
        for name, value in model.base.state_dict().items()
        if name != "lm_head.weight"
    }
    save_file(state, folder / "base/model.safetensors", {"format": "pt"})
    save_shell(model, vocabulary, codec, folder)


def save_shell(model: PrefixedModel, vocabulary: Vocabulary, codec: TextCodec, folder: Path) -> None:
    """Write all but the base: prefix, text tokenizer and vocabulary."""
    folder.mkdir(parents=True, exist_ok=True)
    prefix = {name: value.detach().half().contiguous() for name, value in model.prefix.state_dict().items()}
    save_file(prefix, folder / "prefix.safetensors")
    vocabulary.save(folder / "vocabulary.json")
    codec.save(folder / "tokenizer.json")


def write_card(folder: Path, model: PrefixedModel, config: TrainLlmConfig, made: Mapping[str, Any]) -> None:
    """Write what the model is and what made it."""
    first, last = model.prefix.project[0], model.prefix.project[2]
    card = {
        "format_version": FORMAT_VERSION,
        "base": config.base,
        "prefix": {
            "word_width": first.in_features,
            "hidden": first.out_features,
            "width": last.out_features,
        },
        "config": json.loads(json.dumps(asdict(config), default=str)),
        **made,
    }
    (folder / "card.json").write_text(json.dumps(card, indent=1) + "\n")
