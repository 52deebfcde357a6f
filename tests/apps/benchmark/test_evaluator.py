from pathlib import Path

import numpy as np
import pytest
import torch
from tests.apps.benchmark.benchmark_world import FakeWords, make_clips

from mien.apps.benchmark.evaluator import Evaluator, EvaluatorConfig, pad
from mien.apps.benchmark.training import TrainEvaluatorConfig, info_nce, train_evaluator
from mien.tokenizer.features import FaceSpace

SIZES = EvaluatorConfig(basis=8, word_width=32, width=16, embedding=12, heads=2)
STEPS = TrainEvaluatorConfig(steps=60, batch=12, texts=1, learning_rate=4e-3, check_every=20)
SPACE = FaceSpace.default()


@pytest.fixture(scope="module")
def trained() -> Evaluator:
    clips = make_clips(12, "train")
    lines: list[str] = []
    evaluator, figures = train_evaluator(clips, clips, FakeWords(), STEPS, SIZES, lines.append)
    assert figures["r_precision_3"] >= 0.5 and "step 60/60" in lines[-1]
    return evaluator


def test_it_learns_to_find_the_text_of_a_motion(trained: Evaluator) -> None:
    clips = make_clips(12, "train")
    texts = trained.embed_texts([clip.texts[0] for clip in clips], FakeWords())
    motions = trained.embed_motions([clip.curves for clip in clips], SPACE)
    assert texts.shape == motions.shape == (12, 12)
    np.testing.assert_allclose(np.linalg.norm(motions, axis=1), 1.0, rtol=1e-5)
    own = np.linalg.norm(texts - motions, axis=1).mean()
    others = np.linalg.norm(texts - np.roll(motions, 1, axis=0), axis=1).mean()
    assert own < 0.8 * others


def test_a_clip_is_embedded_alone_as_in_a_batch(trained: Evaluator) -> None:
    curves = [clip.curves for clip in make_clips(3, "train")]
    assert len({len(c) for c in curves}) > 1
    together = trained.embed_motions(curves, SPACE)
    alone = np.concatenate([trained.embed_motions([c], SPACE) for c in curves])
    np.testing.assert_allclose(together, alone, atol=1e-5)
    texts = ["a nod", "she smiles and then looks away"]
    both = trained.embed_texts(texts, FakeWords())
    each = np.concatenate([trained.embed_texts([t], FakeWords()) for t in texts])
    np.testing.assert_allclose(both, each, atol=1e-5)


def test_the_order_of_what_happens_matters(trained: Evaluator) -> None:
    curves = make_clips(1, "train")[0].curves
    there, back = trained.embed_motions([curves, curves[::-1].copy()], SPACE)
    assert np.linalg.norm(there - back) > 0.01


def test_training_again_gives_the_same_weights() -> None:
    clips = make_clips(6, "train")
    few = TrainEvaluatorConfig(steps=3, batch=4, texts=1)
    first, second = (
        train_evaluator(clips, clips, FakeWords(), few, SIZES, lambda line: None)[0]
        for _ in range(2)
    )
    for a, b in zip(first.state_dict().values(), second.state_dict().values(), strict=True):
        torch.testing.assert_close(a, b, rtol=0, atol=0)


def test_a_saved_evaluator_comes_back(trained: Evaluator, tmp_path: Path) -> None:
    trained.save(tmp_path, {"corpus_hash": "abc"})
    loaded = Evaluator.load(tmp_path)
    assert loaded.card["corpus_hash"] == "abc" and not loaded.training
    curves = [make_clips(1, "train")[0].curves]
    np.testing.assert_allclose(
        loaded.embed_motions(curves, SPACE), trained.embed_motions(curves, SPACE), atol=5e-3
    )  # half precision
    with pytest.raises(ValueError, match="must hold an evaluator"):
        Evaluator.load(tmp_path / "nowhere")


def test_it_refuses_to_learn_from_other_splits() -> None:
    clips = [*make_clips(3, "train"), *make_clips(1, "test", first=3)]
    with pytest.raises(ValueError, match="some of test"):
        train_evaluator(clips, clips, FakeWords(), STEPS, SIZES)


def test_info_nce_of_texts_that_fit_nothing_is_that_of_guessing() -> None:
    loss = info_nce(torch.eye(4), torch.zeros(4, 4), torch.tensor(10.0))
    assert float(loss) == pytest.approx(np.log(4))


def test_padding_is_told_apart() -> None:
    rows, mask = pad([torch.ones(2, 3), torch.ones(5, 3)])
    assert rows.shape == (2, 5, 3) and mask.sum(1).tolist() == [2, 5]
