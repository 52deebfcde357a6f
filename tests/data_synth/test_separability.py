from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mien.data_synth.clip import make_clip, make_drill
from mien.data_synth.lexicon import Lexicon
from mien.data_synth.separability import (
    MEAD,
    drills,
    features_of,
    is_for_test,
    picture,
    probe,
    single_actions,
)


def clusters(spread: float) -> tuple[np.ndarray, list[str], list[bool]]:
    """Sixty points around three places."""
    rng = np.random.default_rng(0)
    labels = [("a", "b", "c")[i % 3] for i in range(60)]
    centers = {"a": (0.0, 3.0, 0.0), "b": (3.0, 0.0, 0.0), "c": (0.0, 0.0, 3.0)}
    points = np.array([centers[label] for label in labels])
    test = [i % 5 == 0 for i in range(60)]
    return points + rng.normal(0, spread, points.shape), labels, test


def test_clear_clusters_are_told_apart_and_noise_is_not() -> None:
    clear = probe(*clusters(0.2))
    assert clear.accuracy == 1.0 and clear.chance == pytest.approx(1 / 3)
    assert (clear.num_train, clear.num_test) == (48, 12)
    assert probe(*clusters(200.0)).accuracy < 0.8


def test_shuffled_labels_are_not_learned() -> None:
    points, labels, test = clusters(0.2)
    rng = np.random.default_rng(1)
    shuffled = [str(label) for label in rng.permutation(labels)]
    assert probe(points, shuffled, test).accuracy < 0.8


def test_a_probe_of_nothing_is_refused() -> None:
    points, labels, _ = clusters(0.2)
    with pytest.raises(ValueError, match="0 of 60 to test"):
        probe(points, labels, [False] * 60)


def test_features_tell_a_smile_from_a_frown() -> None:
    acts = [(e.id, s) for e in Lexicon.default().entries.values() for s in e.sides]
    place = acts.index(("smile", "both")), acts.index(("frown", "both"))
    pairs = [[features_of(make_drill(k, i)) for k in (1, 2)] for i in place]
    within = max(np.linalg.norm(a - b) for a, b in pairs)
    assert np.isfinite(pairs).all()
    between = np.linalg.norm(np.mean(pairs[0], 0) - np.mean(pairs[1], 0))
    assert between > 0.5 * within > 0


def test_clips_of_one_action_are_taken_and_performers_are_split() -> None:
    clips = [make_clip(0, i) for i in range(40)]
    chosen = list(single_actions(clips))
    assert 0 < len(chosen) < 40
    assert all(len(c.performance.actions) == 1 for c in chosen)
    assert 0.1 < np.mean([is_for_test(c) for c in clips]) < 0.5


def test_the_eight_labels_are_in_the_lexicon_and_drills_hold_every_category() -> None:
    assert set(MEAD) <= set(Lexicon.default().entries) and len(MEAD) == 8
    count = sum(len(e.sides) for e in Lexicon.default().entries.values())
    first = next(drills(1))
    assert first.performance.actions[0].entry == next(iter(Lexicon.default().entries))
    assert count >= 200


@pytest.mark.filterwarnings("ignore::FutureWarning")  # scikit-learn's
def test_the_picture_is_drawn(tmp_path: Path) -> None:
    points, _, test = clusters(0.5)
    labels = [("happy", "smile", "sad")[i % 3] for i in range(60)]
    found = probe(points, labels, test)
    picture(tmp_path / "it.png", points, labels, (found, found))
    with Image.open(tmp_path / "it.png") as image:
        assert image.width > image.height > 300
    assert (tmp_path / "it.png").stat().st_size < 300_000
