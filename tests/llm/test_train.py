import shutil
from collections.abc import Iterator
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from tests.llm.llm_world import FakeWords, make_codec, make_mixture

from mien.llm import train
from mien.llm.base import append_rows, built_in_base, load_base
from mien.llm.model import MotionLanguageModel
from mien.llm.saving import write_card
from mien.llm.stage import Schedule
from mien.llm.storage import DIRECTIONS, add_lora, merged_state
from mien.llm.train import Trainer, TrainLlmConfig, new_model
from mien.llm.vocabulary import Vocabulary
from mien.llm.warm_start import begin_from, check_start

QUICK = Schedule(6, learning_rate=3e-3, warmup=2, checkpoint_every=3)
pytestmark = pytest.mark.filterwarnings("ignore")


def _trainer(tmp_path: Path, base: str | None = None, num_text: int | None = None) -> Trainer:
    mixture = make_mixture(tmp_path / "pool")
    vocabulary = mixture.writer.vocabulary
    if num_text is not None:
        vocabulary = replace(vocabulary, num_text=num_text)
    config = TrainLlmConfig(
        out=tmp_path / "out", base=base, naming=QUICK, counting=QUICK, text=QUICK, mixed=QUICK,
        lexical=QUICK, tuning=Schedule(0), adapter=QUICK, rank=2, text_batch=3, clip_batch=2,
        free_prompts=0,
    )  # fmt: skip
    return Trainer(
        config, vocabulary, mixture.codec, mixture.texts, mixture.clips, FakeWords.width
    )


@pytest.fixture(autouse=True, scope="module")
def small() -> Iterator[None]:
    """Pretrain a smaller base than the shipped one."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(train, "built_in_base", partial(built_in_base, width=32, layers=2))
        yield


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, list[float]]]:
    """The folder of one whole training, and its losses."""
    folder = tmp_path_factory.mktemp("trained")
    trainer = _trainer(folder)
    losses = trainer.train_all()
    model = new_model(trainer.vocabulary, FakeWords.width, 0)
    write_card(folder / "out", model, asdict(trainer.config), {})
    return folder, losses


Trained = tuple[Path, dict[str, list[float]]]


def test_a_trained_model_is_saved_and_speaks(trained: Trained) -> None:
    folder, losses = trained
    readers = {"naming", "counting", "lexical", "tuning"}
    assert set(losses) == {*readers, "text", "mixed", "text_to_motion", "motion_to_text"}
    loaded = MotionLanguageModel.load(folder / "out")
    loaded._encoder = FakeWords()  # type: ignore[assignment]
    ((score, codes),) = loaded.generate_motion(["she does left wink"], 2.0)
    assert score and len(codes) == 50
    assert loaded.describe(codes).caption is not None


def test_a_finished_stage_is_not_trained_again(trained: Trained) -> None:
    folder, losses = trained
    assert _trainer(folder).train_all() == losses


def test_adapters_differ_and_are_merged_as_peft_does(trained: Trained) -> None:
    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    out = trained[0] / "out"
    base = AutoModelForCausalLM.from_pretrained(out / "base", dtype=torch.float32)
    merged = PeftModel.from_pretrained(base, str(out / "text_to_motion")).merge_and_unload()
    ours, other = merged_state(out, "text_to_motion"), merged_state(out, "motion_to_text")
    name = "model.layers.0.self_attn.q_proj.weight"
    assert not torch.equal(ours[name], other[name])
    for key, value in merged.state_dict().items():
        if key != "lm_head.weight":
            torch.testing.assert_close(value, ours[key])


def test_low_rank_updates_are_added_with_their_scale() -> None:
    a, b = torch.arange(6.0).view(1, 6), torch.arange(4.0).view(4, 1)
    adapter = {"base_model.model.x.lora_A.weight": a, "base_model.model.x.lora_B.weight": b}
    out = add_lora({"x.weight": torch.ones(4, 6)}, adapter, {"lora_alpha": 6, "r": 2})
    torch.testing.assert_close(out["x.weight"], 1 + 3 * b @ a)


def test_a_foreign_base_is_adapted_and_loaded_by_its_folder(tmp_path: Path) -> None:
    folder = tmp_path / "foreign"
    base = built_in_base(320, seed=9, width=32, layers=1)
    base.save_pretrained(folder)
    _save_tokenizer(folder)
    trainer = _trainer(tmp_path, str(folder), num_text=320)
    losses = trainer.train_all()
    readers = {"naming", "counting", "lexical", "tuning"}
    assert set(losses) == {*readers, "text_to_motion", "motion_to_text"}
    model = new_model(trainer.vocabulary, FakeWords.width, 0, str(folder))
    write_card(tmp_path / "out", model, asdict(trainer.config), {})
    loaded = MotionLanguageModel.load(tmp_path / "out", base=str(folder))
    loaded._encoder = FakeWords()  # type: ignore[assignment]
    ((_, codes),) = loaded.generate_motion(["she nods"], 2.0)
    assert len(codes) == 50
    with pytest.raises(ValueError, match="was trained on the base"):
        MotionLanguageModel.load(tmp_path / "out", base="another/base")


def _save_tokenizer(folder: Path) -> None:
    from transformers import PreTrainedTokenizerFast

    path = folder / "tokenizer.json"
    make_codec().save(path)
    tokenizer: Any = PreTrainedTokenizerFast
    tokenizer(tokenizer_file=str(path)).save_pretrained(folder)


def test_new_rows_leave_the_old_ones_alone() -> None:
    base = built_in_base(50, seed=1, width=32, layers=1)
    before = base.get_input_embeddings().weight.detach().clone()
    append_rows(base, 60, seed=0)
    after = base.get_input_embeddings().weight
    assert after.shape[0] == 60
    assert torch.equal(after[:50], before)
    assert after[50:].std() > 0
    assert base.get_output_embeddings().weight is after


def test_a_base_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="must be a folder or hub id"):
        load_base(str(tmp_path / "nothing"), is_local=True)


def test_sizes_that_teach_nothing_are_refused() -> None:
    with pytest.raises(ValueError, match="`clip_batch` must be at least 1, got 0"):
        TrainLlmConfig(clip_batch=0)


def test_training_goes_on_from_an_earlier_model_though_the_lexicon_changed(
    trained: Trained, tmp_path: Path
) -> None:
    start = trained[0] / "out"
    old = Vocabulary.load(start / "vocabulary.json")
    names, sides = list(old.entries), list(old.entry_sides)
    vocabulary = replace(old, entries=("new", *names[::-1]), entry_sides=(("both",), *sides[::-1]))
    model = new_model(vocabulary, FakeWords.width, 5)
    fresh = model.tokens.clone()
    begin_from(model, vocabulary, start)
    saved = load_file(start / "base/model.safetensors")["model.embed_tokens.weight"].float()
    for name in names:
        torch.testing.assert_close(
            model.tokens[vocabulary.entry(name)], saved[old.entry(name)], rtol=0, atol=0
        )
    assert torch.equal(model.tokens[vocabulary.entry("new")], fresh[vocabulary.entry("new")])
    motion = model.tokens[vocabulary.motion_start :]
    assert torch.equal(motion, saved[old.motion_start :])
    assert model.prefix.sentence is not None
    reader = load_file(start / "prefix.safetensors")["sentence.entries"].float()
    assert torch.equal(model.prefix.sentence.entries[1:].flip(0), reader)


def test_stages_of_no_steps_are_left_out(trained: Trained, tmp_path: Path) -> None:
    start = trained[0] / "out"
    trainer = _trainer(tmp_path)
    none = Schedule(0)
    config = replace(trainer.config, start=start, naming=none, text=none)
    losses = replace(trainer, config=config).train_all()
    assert not losses["naming"] and not losses["text"] and len(losses["mixed"]) == QUICK.steps


def test_an_earlier_model_learns_to_count_and_else_stays_bit_for_bit(
    trained: Trained, tmp_path: Path
) -> None:
    start = tmp_path / "start"
    shutil.copytree(trained[0] / "out", start, ignore=shutil.ignore_patterns("work"))
    prefix = load_file(start / "prefix.safetensors")
    older = {name: value for name, value in prefix.items() if not name.startswith("counter.")}
    save_file(older, start / "prefix.safetensors")
    trainer, none = _trainer(tmp_path), Schedule(0)
    config = replace(trainer.config, start=start, naming=none, text=none, mixed=none, adapter=none)

    losses = replace(trainer, config=config).train_all()

    out = config.out
    made = load_file(out / "prefix.safetensors")
    assert len(losses["counting"]) == QUICK.steps
    assert set(made) == set(prefix)
    assert all(torch.equal(made[name], value) for name, value in older.items())
    adapters = (f"{direction}/adapter_model.safetensors" for direction in DIRECTIONS)
    for file in ("base/model.safetensors", *adapters):
        old, new = load_file(start / file), load_file(out / file)
        assert old.keys() == new.keys() and all(torch.equal(old[x], new[x]) for x in old)


def test_one_adapter_goes_on_from_where_it_was_and_the_other_stays(
    trained: Trained, tmp_path: Path
) -> None:
    start = trained[0] / "out"
    trainer, none = _trainer(tmp_path), Schedule(0)
    slow = replace(QUICK, steps=1, learning_rate=1e-9, weight_decay=0.0)
    config = replace(
        trainer.config, start=start, naming=none, counting=none, text=none, mixed=none,
        adapter=slow, directions=("text_to_motion",),
    )  # fmt: skip

    losses = replace(trainer, config=config).train_all()

    assert len(losses["text_to_motion"]) == 1 and not losses["motion_to_text"]
    for direction in DIRECTIONS:
        file = f"{direction}/adapter_model.safetensors"
        old, new = load_file(start / file), load_file(config.out / file)
        assert old.keys() == new.keys()
        is_equal = direction == "motion_to_text"
        assert all(torch.allclose(old[x], new[x], atol=0 if is_equal else 1e-6) for x in old)
        assert max(float(value.abs().max()) for value in new.values()) > 1e-3


def test_adapters_stay_only_with_their_base(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="Adapters can stay"):
        TrainLlmConfig(adapter=Schedule(0))
    with pytest.raises(ValueError, match="Adapters can stay"):
        TrainLlmConfig(start=tmp_path, adapter=Schedule(0), text=Schedule(0), naming=Schedule(0))
    with pytest.raises(ValueError, match="Adapters can stay"):
        TrainLlmConfig(start=tmp_path, directions=("text_to_motion",))


def test_a_start_must_be_a_built_in_model(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="found no card"):
        check_start(tmp_path)
    (tmp_path / "card.json").write_text('{"base": "somebody/else"}')
    with pytest.raises(ValueError, match="built-in base"):
        check_start(tmp_path)
    with pytest.raises(ValueError, match="cannot go with"):
        TrainLlmConfig(start=tmp_path, base="x")


def test_a_start_without_part_of_its_prefix_is_refused(trained: Trained, tmp_path: Path) -> None:
    start = tmp_path / "start"
    shutil.copytree(trained[0] / "out", start, ignore=shutil.ignore_patterns("work"))
    prefix = load_file(start / "prefix.safetensors")
    del prefix["sentence.entries"]
    save_file(prefix, start / "prefix.safetensors")
    vocabulary = Vocabulary.load(start / "vocabulary.json")
    with pytest.raises(ValueError, match="lacks 'sentence.entries'"):
        begin_from(new_model(vocabulary, FakeWords.width, 5), vocabulary, start)
