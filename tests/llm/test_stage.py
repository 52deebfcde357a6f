from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from tests.llm.llm_world import make_mixture, make_model

from mien.llm.stage import Progress, Rule, Schedule, load_trainable, train_stage

SCHEDULE = Schedule(24, learning_rate=3e-3, warmup=4, checkpoint_every=6)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("rule", ["adamw", "muon"])
def test_an_interrupted_run_goes_on_to_the_same_losses(tmp_path: Path, rule: Rule) -> None:
    schedule = replace(SCHEDULE, rule=rule)
    mixture = make_mixture(tmp_path / "pool")
    vocabulary = mixture.writer.vocabulary
    whole = train_stage(make_model(vocabulary), mixture, schedule, tmp_path / "a", 1)
    first = train_stage(
        make_model(vocabulary), mixture, schedule, tmp_path / "b", 1, stop_after=15
    )
    resumed_model = make_model(vocabulary)
    resumed = train_stage(resumed_model, mixture, schedule, tmp_path / "b", 1)
    assert first == whole[:15]
    assert resumed == whole


def test_training_learns(tmp_path: Path) -> None:
    mixture = make_mixture(tmp_path / "pool", {"text_to_plan": 1.0})
    seen: list[Progress] = []
    losses = train_stage(
        make_model(mixture.writer.vocabulary),
        mixture,
        Schedule(60, learning_rate=5e-3, warmup=5, checkpoint_every=0),
        tmp_path / "run",
        1,
        seen.append,
    )
    assert sum(losses[-5:]) < 0.5 * sum(losses[:5])
    assert [p.step for p in seen] == [50, 60]


def test_a_batch_is_a_function_of_seed_step_and_worker(tmp_path: Path) -> None:
    mixture = make_mixture(tmp_path / "pool")
    (task, batch), (same_task, same) = mixture.draw(1, 7), mixture.draw(1, 7)
    other_task, other = mixture.draw(1, 7, worker=1)
    assert task == same_task == other_task
    assert torch.equal(batch.input_ids, same.input_ids)
    assert torch.equal(batch.words, same.words)
    assert batch.input_ids.shape != other.input_ids.shape or not torch.equal(
        batch.input_ids, other.input_ids
    )


def test_batches_are_of_like_length_and_every_text_has_its_turn(tmp_path: Path) -> None:
    mixture = make_mixture(tmp_path / "pool", {"text_to_motion": 1})
    pool, drawn = mixture.texts, []
    rng = np.random.default_rng(0)
    spreads = []
    for step in range(400):
        group = mixture._alike("text_to_motion", 3, step % 8, rng)
        lengths = [mixture._length("text_to_motion", index) for index in group]
        spreads.append(max(lengths) - min(lengths))
        drawn += group
    lengths = [mixture._length("text_to_motion", index) for index in range(len(pool))]
    assert np.mean(spreads) < 0.25 * (max(lengths) - min(lengths))
    counts = np.bincount(drawn, minlength=len(pool))
    expected = len(drawn) / len(pool)
    assert counts.min() > 0.6 * expected and counts.max() < 1.5 * expected


def test_the_rate_rises_then_falls() -> None:
    rates = [SCHEDULE.rate(step) for step in range(24)]
    assert rates.index(max(rates)) in (3, 4)
    assert rates[-1] < 0.2 * max(rates)


def test_a_checkpoint_of_another_model_is_refused(tmp_path: Path) -> None:
    model = make_model(make_mixture(tmp_path).writer.vocabulary)
    with pytest.raises(ValueError, match="belongs to another model"):
        load_trainable(model, {"nonsense": torch.zeros(1)})
