"""Do looks of different names move differently? A linear probe over the lexicon, and a picture.

`python -m mien.data_synth.separability [CORPUS] -o docs/separability.png` takes the clips of a
corpus that hold one action; without a corpus, drills are made on the spot. A clip is the mean, and
the spread about it, of its face points and of its head's turn; a linear classifier is trained on
the clips of some performers and tested on those of others. Beside it stands what a corpus with the
eight labels of MEAD would see of the same faces.
"""

import json
import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
import torch
import tyro
from jaxtyping import Float, Int
from numpy import ndarray
from torch import Tensor

from mien.arkit import motion_from_curves
from mien.data_synth.clip import FPS, Clip, make_drill
from mien.data_synth.corpus import clip_from_row, read_corpus
from mien.data_synth.lexicon import Lexicon
from mien.head import Head

__all__ = ["MEAD", "Probe", "features_of", "main", "picture", "probe"]

MEAD = ("neutral", "angry", "contemptuous", "disgusted", "afraid", "happy", "sad", "surprised")
EVERY = 3  # frames of which one is looked at
PARTS = 96  # principal parts that the probe reads
TEST_PERCENT = 30
_STEPS, _DECAY = 60, 1e-3
_MIN_CLIPS = 3  # of a category


@dataclass(frozen=True, eq=False)
class Probe:
    """What a linear classifier tells apart.

    Attributes:
        names: The categories.
        num_train: Clips that it was trained on.
        num_test: Clips of other performers.
        accuracy: Share of test clips whose category it says.
        top5: Share whose category is among its first five.
        chance: Accuracy of saying the category that is commonest among the test clips.
    """

    names: tuple[str, ...]
    num_train: int
    num_test: int
    accuracy: float
    top5: float
    chance: float

    def __str__(self) -> str:
        """One line for people."""
        return (
            f"{len(self.names)} categories: {self.accuracy:.1%} right, {self.top5:.1%} within "
            f"five, chance {self.chance:.1%} ({self.num_train} clips to train on, "
            f"{self.num_test} of other performers to test)"
        )


def features_of(clip: Clip) -> Float[ndarray, " d"]:
    """Mean and spread over time of the face points (head turned back) and of the head's turn."""
    motion = motion_from_curves(clip.curves[::EVERY], FPS / EVERY)
    points = Head.default().point_model()
    with torch.no_grad():
        moved = points(motion.expr, motion.jaw_pose, motion.eye_pose).flatten(1)
    series = torch.cat([moved, motion.neck_pose], 1)
    return torch.cat([series.mean(0), series.std(0, correction=0)]).numpy()


def single_actions(clips: Iterable[Clip]) -> Iterator[Clip]:
    """Clips of one action alone, whose category is sure."""
    return (clip for clip in clips if len(clip.performance.actions) == 1)


def is_for_test(clip: Clip) -> bool:
    """Whether a clip's performer is one to test on."""
    return clip.performance.style_seed * 2654435761 % (1 << 32) * 100 >> 32 < TEST_PERCENT


def probe(features: Float[ndarray, "n d"], labels: Sequence[str], test: Sequence[bool]) -> Probe:
    """Train a linear classifier on the clips that are not for testing, and test it.

    Args:
        features: A row a clip.
        labels: Its category.
        test: Whether its performer is one to test on.

    Raises:
        ValueError: If either part is empty, or there are fewer than two categories.
    """
    names = tuple(sorted(set(labels)))
    held = torch.tensor(list(test))
    if len(names) < 2 or not held.any() or held.all():
        raise ValueError(
            f"A probe wants two categories, clips to train on and clips to test, got {len(names)} "
            f"categories and {int(held.sum())} of {len(held)} to test."
        )
    targets = torch.tensor([names.index(label) for label in labels])
    inputs = _principal(torch.from_numpy(features).float(), ~held)
    weights = _fit(inputs[~held], targets[~held], len(names))
    order = (_with_one(inputs[held]) @ weights).argsort(dim=1, descending=True)
    right = order == targets[held, None]
    most = Counter(targets[held].tolist()).most_common(1)[0][1]
    return Probe(
        names,
        int((~held).sum()),
        int(held.sum()),
        float(right[:, 0].float().mean()),
        float(right[:, :5].any(1).float().mean()),
        most / int(held.sum()),
    )


def _principal(features: Float[Tensor, "n d"], train: Tensor) -> Float[Tensor, "n p"]:
    """The principal parts of the training clips, each of spread 1."""
    mean = features[train].mean(0)
    _, spread, parts = torch.linalg.svd(features[train] - mean, full_matrices=False)
    kept = parts[: min(PARTS, int((spread > 1e-4 * spread[0]).sum()))]
    found = (features - mean) @ kept.T
    scaled: Tensor = found / found[train].std(0).clamp(min=1e-8)
    return scaled


def _with_one(inputs: Float[Tensor, "n p"]) -> Float[Tensor, "n q"]:
    return torch.cat([inputs, inputs.new_ones(len(inputs), 1)], 1)


def _fit(
    inputs: Float[Tensor, "n p"], targets: Int[Tensor, " n"], count: int
) -> Float[Tensor, "q c"]:
    """Multinomial logistic regression with a little weight decay."""
    inputs = _with_one(inputs)
    weights = inputs.new_zeros(inputs.shape[1], count, requires_grad=True)
    search = torch.optim.LBFGS([weights], max_iter=_STEPS, line_search_fn="strong_wolfe")

    def loss() -> Tensor:
        search.zero_grad()
        value = torch.nn.functional.cross_entropy(inputs @ weights, targets)
        value = value + _DECAY * weights.square().sum() / 2
        value.backward()  # type: ignore[no-untyped-call]
        return value

    search.step(loss)  # type: ignore[no-untyped-call]
    return weights.detach()


def picture(
    path: Path, features: Float[ndarray, "n d"], labels: Sequence[str], probes: tuple[Probe, Probe]
) -> None:
    """Draw a t-SNE of all clips, and of those that MEAD has a label for, as a PNG."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    places = _tsne(features)
    kinds = [Lexicon.default()[label].kind for label in labels]
    few = np.array([label in MEAD for label in labels])
    figure, (left, right) = plt.subplots(1, 2, figsize=(11, 5.4), dpi=80)
    names = np.array(labels)
    for axes, title in (
        (left, f"{len(probes[0].names)} categories, linear probe {probes[0].accuracy:.0%}"),
        (right, f"8 labels of MEAD, linear probe {probes[1].accuracy:.0%}"),
    ):
        axes.set(title=title, xticks=[], yticks=[])
    marks = {"emotion": "o", "expression": "s", "action": "^", "head": "D", "gaze": "v"}
    wheel = plt.get_cmap("hsv")(np.linspace(0, 1, len(probes[0].names), endpoint=False))
    number = {name: i for i, name in enumerate(probes[0].names)}
    for kind, mark in marks.items():
        rows = np.array([k == kind for k in kinds])
        colors = [wheel[number[name] * 83 % len(wheel)] for name in names[rows]]
        left.scatter(*places[rows].T, s=7, c=colors, marker=mark, lw=0, label=kind)
    left.legend(fontsize=7, loc="lower right")
    right.scatter(*places[~few].T, s=3, c="#dddddd", lw=0)
    for name in MEAD:
        right.scatter(*places[names == name].T, s=14, lw=0, label=name)
    right.legend(fontsize=7, loc="lower right")
    figure.tight_layout()
    figure.savefig(path)
    plt.close(figure)


def _tsne(features: Float[ndarray, "n d"]) -> Float[ndarray, "n 2"]:
    from sklearn.manifold import TSNE

    inputs = _principal(torch.from_numpy(features).float(), torch.ones(len(features)).bool())
    near = min(20.0, (len(features) - 1) / 3)
    places: ndarray = TSNE(perplexity=near, init="pca", random_state=0).fit_transform(
        inputs.numpy()
    )
    return places


def measure(clips: Iterable[Clip], path: Path) -> tuple[Probe, Probe]:
    """Probe all categories and MEAD's eight, and draw the picture.

    Raises:
        ValueError: If there are too few clips of one action.
    """
    chosen = list(single_actions(clips))
    counts = Counter(clip.performance.actions[0].entry for clip in chosen)
    chosen = [c for c in chosen if counts[c.performance.actions[0].entry] >= _MIN_CLIPS]
    if len(chosen) < 50:
        raise ValueError(f"Wanted at least 50 clips of one action, got {len(chosen)}.")
    labels = [clip.performance.actions[0].entry for clip in chosen]
    features = np.stack([features_of(clip) for clip in chosen])
    test = [is_for_test(clip) for clip in chosen]
    few = [i for i, label in enumerate(labels) if label in MEAD]
    probes = (
        probe(features, labels, test),
        probe(features[few], [labels[i] for i in few], [test[i] for i in few]),
    )
    picture(path, features, labels, probes)
    return probes


def drills(rounds: int, seed: int = 0) -> Iterator[Clip]:
    """Every entry on every side of its own, so many times."""
    lexicon = Lexicon.default()
    count = sum(len(entry.sides) for entry in lexicon.entries.values())
    return (make_drill(seed, index, lexicon) for index in range(rounds * count))


@dataclass(frozen=True)
class Options:
    """Measure how far looks of different names can be told apart by their motion."""

    corpus: Annotated[Path | None, tyro.conf.Positional] = None
    """A folder that `mien synth` made; drills are made where none is given."""
    out: Annotated[Path, tyro.conf.arg(aliases=["-o"], metavar="PNG")] = Path("separability.png")
    """The picture."""
    rounds: int = 12
    """Drills of each category and side."""


def main() -> None:
    """Measure, print, draw."""
    options = tyro.cli(Options)
    torch.set_num_threads(1)
    if options.corpus is None:
        clips: Iterable[Clip] = drills(options.rounds)
    else:
        rows = read_corpus(options.corpus)
        single = (row for row in rows if json.loads(row["performance"])["actions"][1:] == [])
        clips = map(clip_from_row, single)
    every, eight = measure(clips, options.out)
    sys.stdout.write(f"lexicon: {every}\nMEAD's labels: {eight}\n{options.out}\n")


if __name__ == "__main__":
    main()
