from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from tests.apps.benchmark.benchmark_world import FakeWords, make_clips

from mien.apps.benchmark.systems import (
    TWINS,
    LanguageSystem,
    PooledWords,
    System,
    find_twins,
    load_system,
)
from mien.apps.benchmark.train_twins import TrainTwins
from mien.apps.benchmark.twins import (
    KINDS,
    Kind,
    PooledTexts,
    TwinConfig,
    train_twin,
    twin_training,
)
from mien.apps.refusal import Refusal
from mien.arkit import motion_from_curves
from mien.data_synth.corpus import CorpusConfig, write_corpus
from mien.llm import prepare, train
from mien.llm.base import built_in_base
from mien.llm.network import PrefixedModel
from mien.llm.plan import parse_lines, ticks_of
from mien.llm.pools import Sample, TextPool, write_texts
from mien.llm.prefix import WordPrefix
from mien.llm.sequences import SequenceWriter, collate
from mien.llm.stage import Schedule
from mien.llm.storage import merged_state, read_card
from mien.llm.train import TrainLlmConfig
from mien.llm.vocabulary import Vocabulary
from mien.llm.word_encoder import WordEncoder
from mien.tokenizer import MotionTokenizer, TokenizerConfig
from mien.tokenizer.quantizer import QuantizerConfig
from mien.tokenizer.train import TrainTokenizerConfig, train_tokenizer

QUICK = Schedule(2, learning_rate=3e-3, warmup=1, checkpoint_every=1)
pytestmark = pytest.mark.filterwarnings("ignore")


@pytest.fixture(autouse=True, scope="module")
def small() -> Iterator[None]:
    """A tiny base, fake words, few captions to learn spelling from."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(train, "built_in_base", partial(built_in_base, width=32, layers=1))
        patch.setattr(WordEncoder, "default", staticmethod(FakeWords))
        patch.setattr(prepare, "_CAPTIONS", 20)
        yield


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a corpus of a few clips."""
    folder = tmp_path_factory.mktemp("twins")
    for _ in write_corpus(folder / "corpus", CorpusConfig(num_clips=14, clips_per_shard=14)):
        pass
    return folder


def config_of(root: Path, kind: Kind) -> TwinConfig:
    training = TrainLlmConfig(
        corpus=root / "corpus", texts=1, drills=2, free_prompts=2, text_size=300, naming=QUICK,
        naming_batch=2, counting=QUICK, text=QUICK, mixed=QUICK, adapter=QUICK, rank=2,
        tuning=Schedule(0), text_batch=2, clip_batch=2,
    )  # fmt: skip
    return TwinConfig(kind, twin_training(training, root / "out", kind), root / "pieces")


@pytest.fixture(scope="module")
def twins(root: Path) -> dict[Kind, Path]:
    """Three trained twins."""
    kinds: tuple[Kind, ...] = ("words", "pooled", "mead")
    return {kind: train_twin(config_of(root, kind)) for kind in kinds}


Twins = dict[Kind, Path]


def language(system: System) -> LanguageSystem:
    owner: Any = system.generate
    found = owner.__self__
    assert isinstance(found, LanguageSystem)
    return found


def test_twins_are_found_by_their_cards_and_make_motion_and_text(root: Path, twins: Twins) -> None:
    found = find_twins(root / "out")
    assert found == [(TWINS[kind], folder) for kind, folder in twins.items()]
    assert list(TWINS) == list(KINDS)
    for name, folder in found:
        system = load_system(name, folder)
        (curves,) = system.generate(["she winks, then smiles"], [2.0], 0)
        assert curves.shape == (50, 61)
        assert system.describe is not None and len(system.describe([curves])) == 1


def test_only_the_pooled_twin_reads_texts_as_one_vector(twins: Twins) -> None:
    readers = {kind: language(load_system(kind, path)).model for kind, path in twins.items()}
    assert {k for k, m in readers.items() if isinstance(m.encoder, PooledWords)} == {"pooled"}
    assert len(readers["pooled"].read_prompts(["she nods twice"])[0].words) == 1
    assert len(readers["words"].read_prompts(["she nods twice"])[0].words) == 3


def test_pooled_texts_are_the_mean_of_their_words(tmp_path: Path) -> None:
    samples = [Sample(text, "nod both mid 0.0 1.0", 2.0, 0) for text in ("she nods", "a nod")]
    write_texts(samples, FakeWords(), tmp_path)  # type: ignore[arg-type]
    plain, pooled = TextPool([tmp_path]), PooledTexts([tmp_path])
    for index in range(2):
        expected = plain.words(index).float().mean(0, keepdim=True)
        torch.testing.assert_close(pooled.words(index).float(), expected, rtol=0, atol=2e-3)
        assert pooled.num_words(index) == 1 and plain.num_words(index) == 2


def test_encoded_pieces_are_shared_and_the_studio_has_its_own(root: Path, twins: Twins) -> None:
    names = {path.name for path in (root / "pieces").iterdir()}
    assert names == {"0000000", "drills0000000", "free0000000", "mead0000000"}
    cards = {kind: read_card(folder) for kind, folder in twins.items()}
    assert cards["words"]["texts"] == cards["pooled"]["texts"] > cards["words"]["clips"]
    assert cards["mead"]["texts"] == cards["mead"]["clips"] == cards["words"]["clips"]
    assert {card["twin"] for card in cards.values()} == set(twins)


def test_a_finished_twin_is_not_trained_again(
    root: Path, twins: Twins, monkeypatch: pytest.MonkeyPatch
) -> None:
    def never(*args: object, **options: object) -> None:
        raise AssertionError("it was trained again")

    monkeypatch.setattr(train, "train_stage", never)
    assert train_twin(config_of(root, "words")) == twins["words"]


def test_guesses_are_those_of_a_plain_pass_over_the_whole_sequence(twins: Twins) -> None:
    folder, clips = twins["words"], make_clips(2, "test")
    system = load_system("words", folder)
    assert system.guess is not None
    expected = [_plain_guess(folder, language(system), clip) for clip in clips]
    assert system.guess(clips) == pytest.approx(expected, abs=1e-6)


def _plain_guess(folder: Path, system: LanguageSystem, clip: Any) -> float:
    """Training's own sequence through transformers' own forward pass."""
    vocabulary = Vocabulary.load(folder / "vocabulary.json")
    codes = system.tokenizer.encode(motion_from_curves(clip.curves, 25.0)).tolist()
    (words,) = FakeWords().encode([clip.texts[0]])
    example = SequenceWriter(vocabulary).text_to_motion(
        words, parse_lines(clip.score), ticks_of(clip.performance.seconds), codes
    )
    base = built_in_base(vocabulary.size, 0, width=32, layers=1)
    base.load_state_dict(merged_state(folder, "text_to_motion"), strict=False)
    prefix = WordPrefix(**read_card(folder)["prefix"])
    prefix.load_state_dict(load_file(folder / "prefix.safetensors"))
    model = PrefixedModel(base, prefix, vocabulary.control("word")).eval()
    batch = collate([example], vocabulary.control("pad"), FakeWords.width)
    with torch.no_grad():
        hidden = base.get_decoder()(inputs_embeds=model.embed(batch), use_cache=False)
        logits = base.get_output_embeddings()(hidden.last_hidden_state)[0]
    ids, first = batch.input_ids[0], vocabulary.motion_start
    at = (ids[1:] >= first).nonzero()[:, 0]
    guessed = logits[at][:, first:].argmax(-1) + first
    return float((guessed == ids[at + 1]).double().mean())


def test_the_coefficient_twin_wants_its_tokenizer_and_then_brings_it_along(root: Path) -> None:
    config = config_of(root, "coefficients")
    with pytest.raises(ValueError, match="mien train tokenizer --kind coefficients"):
        train_twin(config)
    folder = config.training.out / "tokenizer"
    sizes = TokenizerConfig(
        kind="coefficients", scheme="joint", basis_size=6, encoder_width=8, decoder_width=8,
        quantizer=QuantizerConfig("vq", codebook_size=16),
    )  # fmt: skip
    quick = TrainTokenizerConfig(
        out=folder, tokenizer=sizes, steps=3, windows=2, frames=20, unquantized_steps=1,
        checkpoint_every=0, progress=False, cpu=True,
    )  # fmt: skip
    curves = [clip.curves for clip in make_clips(3, "train")]
    train_tokenizer(quick, curves, curves[:1])
    twin = load_system("coefficients", train_twin(config))
    assert language(twin).tokenizer.codebook_size == 16
    assert twin.generate(["she nods"], [1.0], 0)[0].shape == (25, 61)
    assert (root / "out/coefficients/work/codes/0000000/codes.npz").is_file()


def test_a_tokenizer_of_points_is_no_tokenizer_of_coefficients(tmp_path: Path) -> None:
    training = TrainLlmConfig(out=tmp_path)
    MotionTokenizer.load().save(tmp_path / "tokenizer")
    with pytest.raises(ValueError, match="got geometry"):
        train_twin(TwinConfig("coefficients", training, tmp_path / "pieces"))


def test_a_twin_goes_on_from_a_model(root: Path, twins: Twins) -> None:
    start, usual = twins["words"], config_of(root, "pooled")
    none = replace(QUICK, steps=0)
    training = replace(
        usual.training, start=start, out=root / "started", naming=none, text=none, mixed=none
    )

    folder = train_twin(replace(usual, training=training))

    assert read_card(folder)["config"]["start"] == str(start)
    assert (folder / "tokenizer.json").read_text() == (start / "tokenizer.json").read_text()
    (old, new) = (load_file(x / "base/model.safetensors") for x in (start, folder))
    assert all(torch.equal(old[name], new[name]) for name in old)


@pytest.mark.parametrize("kind", ["coefficients", "mead"])
def test_twins_of_other_tokens_or_clips_start_from_nothing(kind: Kind) -> None:
    with pytest.raises(ValueError, match="can go on from a model"):
        TwinConfig(kind, TrainLlmConfig(start=Path("some/model")), Path("x"))


def test_a_budget_shortens_every_stage_alike() -> None:
    usual = TrainLlmConfig()
    half = twin_training(usual, Path("x"), "pooled", 0.5)
    for name in ("naming", "counting", "text", "mixed", "adapter"):
        assert getattr(half, name).steps == round(getattr(usual, name).steps / 2)
    assert half.out == Path("x/pooled")
    with pytest.raises(ValueError, match="`budget`"):
        twin_training(usual, Path("x"), "pooled", 0.0)
    with pytest.raises(ValueError, match="built-in base"):
        TwinConfig("words", replace(usual, base="some/base"), Path("x"))


def test_the_command_refuses_what_it_cannot_do(tmp_path: Path) -> None:
    with pytest.raises(Refusal, match="wanted a folder with a corpus"):
        TrainTwins(data=tmp_path, out=tmp_path / "out").run()
    (tmp_path / "manifest.json").write_text("{}")
    with pytest.raises(Refusal, match="`budget`"):
        TrainTwins(data=tmp_path, out=tmp_path / "out", budget=2.0).run()
    with pytest.raises(Refusal, match="name at least one"):
        TrainTwins(data=tmp_path, out=tmp_path / "out", kinds=()).run()
    with pytest.raises(Refusal, match="wanted a language model"):
        TrainTwins(data=tmp_path, out=tmp_path / "out", start=tmp_path).run()
