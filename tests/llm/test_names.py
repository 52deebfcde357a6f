"""Names of what prompts ask for, by a MiniLM that was tuned for it."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from mien.llm import MotionLanguageModel
from mien.llm.name_tuning import (
    NameDraws,
    NameTuning,
    NameTuningConfig,
    adapted_minilm,
    save_names,
    tune_names,
)
from mien.llm.names import NameReader
from mien.llm.pools import Sample, TextPool, write_texts
from mien.llm.prefix import SentenceReader
from mien.llm.stage import Schedule
from mien.llm.storage import shipped_folder
from mien.llm.vocabulary import Vocabulary
from mien.llm.word_encoder import WordEncoder

pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning")  # peft's, of transformers

PROMPTS = {
    "smile": ("she smiles", "he is all smiles", "a smile for the camera, please"),
    "nod": ("he nods", "nodding along", "yes, says her head"),
    "frown": ("a frown", "they frown at the bill", "down with the corners"),
}
TEXTS = [(text, entry) for entry, texts in PROMPTS.items() for text in texts]


@pytest.fixture(scope="module")
def pieces(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pieces")
    samples = [
        Sample(text, f"{entry} both mid 0.2 2.0", 3.0, i) for i, (text, entry) in enumerate(TEXTS)
    ]
    write_texts(samples, WordEncoder.default(), folder / "0")
    return folder


@pytest.fixture(scope="module")
def vocabulary() -> Vocabulary:
    return Vocabulary.load(shipped_folder() / "vocabulary.json")


def _task(vocabulary: Vocabulary, seed: int = 0) -> NameTuning:
    torch.manual_seed(seed)
    reader = SentenceReader(WordEncoder.width, 16, 32, len(vocabulary.entries))
    return NameTuning(adapted_minilm(WordEncoder.default(), rank=2), reader)


def _draws(vocabulary: Vocabulary, pieces: Path) -> NameDraws:
    config = NameTuningConfig(Path(), batch=4, word_noise=0.0, hide_static=0.0)
    return NameDraws(vocabulary, TextPool([pieces / "0"]), WordEncoder.default(), config)


@torch.no_grad()
def test_training_and_reading_see_the_same_words(
    vocabulary: Vocabulary, pieces: Path, tmp_path: Path
) -> None:
    task = _task(vocabulary).eval()
    for name, value in task.named_parameters():
        if "lora_B" in name:  # an adapter begins without effect
            value.normal_(std=0.05)
    save_names(task, tmp_path / "names", {})
    reader = NameReader.load(tmp_path / "names")
    _, batch = _draws(vocabulary, pieces).draw(0, 0)
    expected, _ = task(batch)
    order = [i for row in batch.input_ids for i in range(len(TEXTS)) if _is(row, TEXTS[i][0])]
    assert len(order) == len(batch.counts)
    names = reader.read([TEXTS[i][0] for i in order])
    smooth = 0.95 * batch.targets + 0.05 / batch.targets.shape[1]
    torch.testing.assert_close(-(smooth * names).sum(1), expected, atol=2e-2, rtol=1e-2)
    plain = NameReader(WordEncoder.default(), task.reader).read([TEXTS[order[0]][0]])
    assert not torch.allclose(plain[0], names[0], atol=1e-2)


def _is(ids: torch.Tensor, text: str) -> bool:
    own = WordEncoder.default().cut([text])[0].ids
    return bool(ids[: len(own)].tolist() == own and not ids[len(own) :].any())


def test_batches_depend_on_seed_and_step_alone(vocabulary: Vocabulary, pieces: Path) -> None:
    draws = _draws(vocabulary, pieces)
    draws = replace(draws, config=replace(draws.config, word_noise=0.3, hide_static=0.5))
    (_, first), (_, again), (_, other) = draws.draw(3, 7), draws.draw(3, 7), draws.draw(3, 8)
    assert torch.equal(first.input_ids, again.input_ids) and torch.equal(first.noise, again.noise)
    assert first.noise.shape != other.noise.shape or not torch.equal(first.noise, other.noise)


@pytest.fixture
def model_folder(tmp_path: Path, vocabulary: Vocabulary) -> Path:
    """A language model's folder as far as names need it."""
    folder = tmp_path / "llm"
    folder.mkdir()
    shipped = shipped_folder()
    for name in ("card.json", "vocabulary.json", "prefix.safetensors"):
        (folder / name).write_bytes((shipped / name).read_bytes())
    return folder


def test_names_are_tuned_and_go_on_after_a_stop(model_folder: Path, pieces: Path) -> None:
    config = NameTuningConfig(
        model_folder, pieces, Schedule(4, 1e-3, warmup=1, checkpoint_every=2), batch=4, rank=2
    )
    half = replace(config, schedule=replace(config.schedule, stop=2))
    tune_names(half)
    assert (model_folder / "work/names/checkpoint").is_dir()
    folder = tune_names(config, command="mien train names")
    card = json.loads((folder / "card.json").read_text())
    assert card["command"] == "mien train names" and card["texts"] == len(TEXTS)
    assert NameReader.load(folder).read(["she smiles"]).exp().sum() == pytest.approx(1, abs=1e-4)


def test_texts_must_be_there(model_folder: Path) -> None:
    with pytest.raises(ValueError, match="--pieces"):
        tune_names(NameTuningConfig(model_folder))


def test_a_model_reads_names_from_its_folder(model_folder: Path, vocabulary: Vocabulary) -> None:
    task = _task(vocabulary)
    save_names(task, model_folder / "names", {})
    state = load_file(model_folder / "names/reader.safetensors")
    state["entries"] = torch.zeros_like(state["entries"])  # everything is as likely
    save_file(state, model_folder / "names/reader.safetensors")
    shipped = shipped_folder()
    for name in ("base", "text_to_motion", "motion_to_text", "tokenizer.json"):
        (model_folder / name).symlink_to(shipped / name)
    (prompt,) = MotionLanguageModel.load(model_folder).read_prompts(["she smiles"])
    assert prompt.names is not None
    assert prompt.names.exp().tolist() == pytest.approx(
        [1 / len(prompt.names)] * len(prompt.names)
    )
    (own,) = MotionLanguageModel.load(shipped).read_prompts(["she smiles"])
    torch.testing.assert_close(prompt.words, own.words)
