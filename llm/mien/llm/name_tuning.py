"""Tuning MiniLM and a sentence reader together to name what prompts ask for.

The reader begins as the language model's own, which read MiniLM's word vectors as they are. A LoRA
adapter then bends MiniLM's upper layers: what sets apart two moods in a sentence is not what
MiniLM was made to tell apart.
"""

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int
from safetensors.torch import load_file, save_file
from tokenizers import Encoding
from torch import Tensor, nn

from mien.llm.mixture import LENGTH_GROUPS, draw_alike
from mien.llm.names import FOLDER
from mien.llm.naming import naming_losses, naming_targets
from mien.llm.network import Learner
from mien.llm.pools import TextPool
from mien.llm.prefix import SentenceReader
from mien.llm.prepare import FREE
from mien.llm.stage import Precision, Progress, Schedule, train_stage
from mien.llm.storage import read_card
from mien.llm.vocabulary import Vocabulary
from mien.llm.word_encoder import WordEncoder
from mien.llm.workers import once, share

LAYERS = (3, 4, 5)  # of MiniLM's six
_EVERY = 4  # of the pieces that are not in free wording, one is read


@dataclass(frozen=True)
class NameTuningConfig:
    """How names are tuned.

    Attributes:
        model: Folder of a trained language model; the result goes to `names` in it.
        pieces: Folders of texts that it learned from; None takes its `work/pieces`.
        schedule: How to learn.
        batch: Prompts a step, shared by the workers.
        rank: Of the adapter.
        word_noise: Size of the noise on word vectors, beside their own spread.
        hide_static: Share of prompts whose words show their contextual half only.
        precision: Of products of matrices.
        seed: Of weights and batches.
    """

    model: Path
    pieces: Path | None = None
    schedule: Schedule = field(
        default_factory=lambda: Schedule(1000, 6e-4, warmup=50, final=0.02, checkpoint_every=250)
    )
    batch: int = 128
    rank: int = 16
    word_noise: float = 0.3
    hide_static: float = 0.5
    precision: Precision = "fp32"
    seed: int = 0


@dataclass(frozen=True, eq=False)
class NameBatch:
    """Prompts as MiniLM reads them, and the entries that answer them.

    Attributes:
        input_ids: Word pieces, padded on the right.
        mask: Which are real.
        word_of: For each piece the number of its word in the batch, -1 for none.
        counts: Words of each prompt.
        static_gain: One a word: how much of its static half shows.
        noise: One vector a word, of unit spread times `word_noise`.
        targets: For each prompt, a distribution over entries: equal parts of those asked for.
    """

    input_ids: Int[Tensor, "b t"]
    mask: Int[Tensor, "b t"]
    word_of: Int[Tensor, "b t"]
    counts: Int[Tensor, " b"]
    static_gain: Float[Tensor, " n"]
    noise: Float[Tensor, "n f"]
    targets: Float[Tensor, "b e"]

    @property
    def num_positions(self) -> int:
        """Pieces read, with padding."""
        return self.input_ids.numel()


class NameTuning(Learner):
    """An adapted MiniLM and a reader at their exercise.

    Args:
        encoder: MiniLM in transformers, with an adapter.
        reader: Learns with it.
    """

    def __init__(self, encoder: nn.Module, reader: SentenceReader) -> None:
        super().__init__()
        self.encoder = encoder
        self.reader = reader

    @property
    def tokens(self) -> Tensor:
        """What sentences are compared with."""
        return self.reader.entries

    def forward(self, batch: NameBatch) -> tuple[Float[Tensor, " b"], Float[Tensor, " b"]]:
        """Give the cross-entropy of every prompt, and equal weights."""
        scores = self.reader.scores(
            self.reader(self._words(batch), batch.counts, batch.static_gain)
        )
        losses = naming_losses(scores, batch.targets)
        return losses, torch.ones_like(losses)

    def _words(self, batch: NameBatch) -> Float[Tensor, "n f"]:
        """Word vectors: contextual and static half, each the mean over a word's pieces."""
        encoder: Any = self.encoder
        hidden = encoder(input_ids=batch.input_ids, attention_mask=batch.mask).last_hidden_state
        static = encoder.get_input_embeddings()(batch.input_ids)
        real = batch.word_of >= 0
        at = batch.word_of[real]
        pieces = torch.cat([hidden.float(), static], dim=-1)[real]
        sums = pieces.new_zeros(len(batch.noise), pieces.shape[-1]).index_add(0, at, pieces)
        words = sums / torch.bincount(at, minlength=len(batch.noise))[:, None]
        halves = words.view(len(words), 2, -1)
        spread = halves.detach().std(dim=-1, keepdim=True)
        return (halves + batch.noise.view_as(halves) * spread).view_as(words)


@dataclass(frozen=True, eq=False)
class NameDraws:
    """Draws batches, each a function of (seed, step, worker).

    Attributes:
        vocabulary: Knows the entries.
        texts: Prompts with their scores.
        encoder: Cuts texts into pieces.
        config: How.
    """

    vocabulary: Vocabulary
    texts: TextPool
    encoder: WordEncoder
    config: NameTuningConfig

    def draw(self, seed: int, step: int, worker: int = 0) -> tuple[str, NameBatch]:
        """Draw a worker's batch of a step."""
        group = int(np.random.default_rng((seed, step)).integers(LENGTH_GROUPS))
        rng = np.random.default_rng((seed, step, worker))
        indices = draw_alike(
            lambda: int(rng.integers(len(self.texts))),
            self.texts.num_words,
            share(self.config.batch),
            group,
        )
        encodings = self.encoder.cut([self.texts.samples[i].text for i in indices])
        return "names", self._batch(indices, encodings, rng)

    def _batch(
        self, indices: Sequence[int], encodings: Sequence[Encoding], rng: np.random.Generator
    ) -> NameBatch:
        longest = max(len(encoding.ids) for encoding in encodings)
        ids = torch.zeros(len(indices), longest, dtype=torch.long)
        word_of = torch.full_like(ids, -1)
        mask = torch.zeros_like(ids)
        counts: list[int] = []
        for row, encoding in enumerate(encodings):
            length, done = len(encoding.ids), sum(counts)
            ids[row, :length] = torch.tensor(encoding.ids)
            mask[row, :length] = 1
            numbers = sorted({word for word in encoding.word_ids if word is not None})
            places = {word: done + i for i, word in enumerate(numbers)}
            word_of[row, :length] = torch.tensor(
                [-1 if word is None else places[word] for word in encoding.word_ids]
            )
            counts.append(len(numbers))
        each = torch.tensor(counts)
        shows = rng.random(len(indices)) >= self.config.hide_static
        gain = torch.from_numpy(shows.astype(np.float32)).repeat_interleave(each)
        noise = rng.standard_normal((sum(counts), self.encoder.width), dtype=np.float32)
        targets = naming_targets(self.vocabulary, [self.texts.lines(i) for i in indices])
        disturbance = torch.from_numpy(noise) * self.config.word_noise
        return NameBatch(ids, mask, word_of, each, gain, disturbance, targets)


def tune_names(
    config: NameTuningConfig,
    report: Callable[[Progress], None] = lambda progress: None,
    command: str = "",
) -> Path:
    """Tune names for a language model and put them into its folder; a killed run goes on.

    Args:
        config: How.
        report: Told about every 50 steps.
        command: What started this, for the card.

    Returns:
        The folder of the result.

    Raises:
        ValueError: If there is no language model with a reader of sentences, or none of the texts
            that it learned from.
    """
    card = read_card(config.model)
    vocabulary = Vocabulary.load(config.model / "vocabulary.json")
    reader = _reader_of(config.model, card["prefix"])
    encoder = WordEncoder.default()
    texts = TextPool(_piece_folders(config.pieces or config.model / "work/pieces"))
    torch.manual_seed(config.seed)
    task = NameTuning(adapted_minilm(encoder, config.rank), reader)
    work, out = config.model / "work" / FOLDER, config.model / FOLDER
    draws = NameDraws(vocabulary, texts, encoder, config)
    losses = train_stage(
        task, draws, config.schedule, work, config.seed, report, precision=config.precision
    )
    made = {
        "command": command,
        "config": json.loads(json.dumps(asdict(config), default=str)),
        "texts": len(texts),
        "last_loss": round(float(np.mean(losses[-100:])), 4),
    }
    once(lambda: save_names(task, out, made))
    return out


def adapted_minilm(encoder: WordEncoder, rank: int) -> nn.Module:
    """MiniLM in transformers, with a fresh LoRA adapter on its upper layers."""
    from peft import LoraConfig, get_peft_model
    from transformers import BertConfig, BertModel

    config = BertConfig.from_pretrained(str(encoder.folder), attention_probs_dropout_prob=0.0)
    model = BertModel(config, add_pooling_layer=False)
    model.load_state_dict(encoder.weights, strict=False)
    lora = LoraConfig(
        r=rank,
        lora_alpha=2 * rank,
        lora_dropout=0.1,
        target_modules=["query", "key", "value", "dense"],
        layers_to_transform=list(LAYERS),
    )
    adapted: nn.Module = get_peft_model(model, lora)
    return adapted


def save_names(task: NameTuning, folder: Path, made: dict[str, Any]) -> None:
    """Write adapter, reader and card."""
    folder.mkdir(parents=True, exist_ok=True)
    adapted: Any = task.encoder
    adapted.save_pretrained(str(folder), save_embedding_layers=False)
    (folder / "README.md").unlink(missing_ok=True)
    state = {k: v.detach().half().contiguous() for k, v in task.reader.state_dict().items()}
    save_file(state, folder / "reader.safetensors")
    card = {"reader": task.reader.sizes, **made}
    (folder / "card.json").write_text(json.dumps(card, indent=1) + "\n")


def _reader_of(model: Path, sizes: dict[str, Any]) -> SentenceReader:
    """The language model's own reader of sentences."""
    if not sizes["num_entries"]:
        raise ValueError(f"{model} has no reader of sentences to begin from; train it again.")
    reader = SentenceReader(
        sizes["word_width"], sizes["hidden"], sizes["width"], sizes["num_entries"]
    )
    state = load_file(model / "prefix.safetensors")
    own = {k.removeprefix("sentence."): v for k, v in state.items() if k.startswith("sentence.")}
    reader.load_state_dict(own)
    return reader


def _piece_folders(folder: Path) -> list[Path]:
    """Pieces of free wording, which is the harder, all; of the others, which are many, some."""
    found = sorted(path.parent for path in folder.glob("*/samples.jsonl"))
    if not found:
        raise ValueError(
            f"{folder} must hold the texts that the language model learned from; "
            "say where they are with --pieces."
        )
    free = [path for path in found if path.name.startswith(FREE)]
    return free + [path for path in found if path not in free][::_EVERY]
