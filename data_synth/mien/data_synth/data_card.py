"""A corpus counted: what it holds, how even it is, how much its texts repeat, what leaks.

`python -m mien.data_synth.data_card FOLDER` writes `data_card.json` and `data_card.md` beside the
shards; `mien synth` does it at the end.
"""

import json
import re
import sys
from collections import Counter
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

from mien.data_synth.grammar import PERSONS
from mien.data_synth.held_out import text_key
from mien.data_synth.lexicon import KINDS, Lexicon
from mien.data_synth.performance import Performance
from mien.data_synth.score import intensity_word
from mien.data_synth.shards import read_manifest, write_whole
from mien.data_synth.wording import Wording

__all__ = ["TEMPLATE_LIMIT", "count_corpus", "describe_card", "skeleton", "write_card"]

TEMPLATE_LIMIT = 0.02  # of all texts; no template should hold more
SPLITS = ("train", "val", "test")
_COLUMNS = ["index", "split", "seconds", "texts", "performance"]
_MOST = 20  # lines of a list
_BARE = "_"
_SLOT = re.compile(r"\{\w+\}")
_WORD = re.compile(r"[a-z']+|[^\w\s]")
_MARKS = frozenset('.,;:!?()[]/+->"')


def write_card(folder: Path) -> dict[str, Any]:
    """Count a finished corpus and write the card beside its shards.

    Raises:
        ValueError: If there is no finished corpus.
    """
    card = count_corpus(folder)
    write_whole(folder / "data_card.json", (json.dumps(card, indent=1) + "\n").encode())
    write_whole(folder / "data_card.md", describe_card(card).encode())
    return card


def count_corpus(folder: Path) -> dict[str, Any]:
    """Everything the card says, as plain numbers; a function of the shards alone."""
    manifest = read_manifest(folder)
    paths = [folder / name for name in manifest["shards"]]
    tally = _Tally()
    for row in _rows(paths):
        tally.add(row)
    made_by = {k: v for k, v in manifest.items() if k != "shards"}
    return {**made_by, **tally.result(), "leaks": _leaks(paths)}


class _Tally:
    """Counts that grow row by row."""

    def __init__(self) -> None:
        names = ("entries", "sides", "intensities", "actions", "seconds", "words", "skeletons")
        self.counts: dict[str, Counter[Any]] = {name: Counter() for name in names}
        self.texts: Counter[int] = Counter()
        self.splits = {s: {"clips": 0, "texts": 0, "hours": 0.0} for s in SPLITS}
        self.example: dict[int, str] = {}

    def add(self, row: dict[str, Any]) -> None:
        """Count one clip."""
        performance, counts = Performance.from_json(row["performance"]), self.counts
        for action in performance.actions:
            counts["entries"][action.entry] += 1
            counts["sides"][action.side] += 1
            counts["intensities"][intensity_word(action.intensity)] += 1
        counts["actions"][len(performance.actions)] += 1
        counts["seconds"][int(performance.seconds)] += 1
        for text in row["texts"]:
            self._add_text(text)
        split = self.splits[row["split"]]
        split["clips"] += 1
        split["texts"] += len(row["texts"])
        split["hours"] += performance.seconds / 3600

    def _add_text(self, text: str) -> None:
        self.counts["words"][len(text.split())] += 1
        self.counts["skeletons"][skeleton(text)] += 1
        key = text_key(text)
        self.texts[key] += 1
        self.example.setdefault(key, text)

    def result(self) -> dict[str, Any]:
        """The counts, sorted, with shares and means."""
        counts = self.counts
        total = sum(self.texts.values())
        key, most = self.texts.most_common(1)[0] if total else (0, 0)
        return {
            "clips": sum(s["clips"] for s in self.splits.values()),
            "hours": round(sum(s["hours"] for s in self.splits.values()), 4),
            "splits": {k: {**s, "hours": round(s["hours"], 4)} for k, s in self.splits.items()},
            "kinds": _by_kind(counts["entries"]),
            "entries": {e: counts["entries"][e] for e in Lexicon.default().entries},
            "sides": dict(sorted(counts["sides"].items())),
            "intensities": {w: counts["intensities"][w] for w in ("slight", "mid", "strong")},
            "actions_per_clip": _ordered(counts["actions"]),
            "clips_of_seconds": _ordered(counts["seconds"]),
            "texts": total,
            "different_texts": len(self.texts),
            "most_frequent_text": {
                "text": self.example.get(key, ""),
                "share": round(most / max(total, 1), 6),
            },
            "words_per_text": _spread_of(counts["words"]),
            "templates": _templates(counts["skeletons"], total),
        }


def skeleton(text: str) -> str:
    """What is left of a text without what it is about: the words that frames and joins use.

    All else, one word or many, becomes `_`; people of all names become `who`. A text that only
    names a look or a movement is `_`.

    Example:
        >>> skeleton("Make her wiggle her ears, then pout!")
        'make who _ , then _'
        >>> skeleton("pout")
        '_'
    """
    lowered = text.casefold()
    for name in _names():
        lowered = re.sub(rf"\b{re.escape(name)}\b", "who", lowered)
    known = _frame_words()
    tokens = [t for t in _WORD.findall(lowered) if t not in _MARKS or t in ",;"]
    kept = [t if t in known or t in ",;" else _BARE for t in tokens]
    shown = [t for i, t in enumerate(kept) if i == 0 or t != _BARE or kept[i - 1] != _BARE]
    while shown and shown[-1] in ",;":
        shown.pop()
    return _without_owners(" ".join(shown))


def _without_owners(line: str) -> str:
    """Runs of gaps and people inside a phrase ("_ who _") are one gap."""
    return re.sub(r"_(?: who _)+", _BARE, line) or _BARE


@cache
def _names() -> tuple[str, ...]:
    """People as texts name them, the longest first, so that "a young woman" goes before "a"."""
    words = {w.casefold() for p in PERSONS for w in (p.name, p.they, p.them, p.their, p.themself)}
    return tuple(sorted(words, key=lambda w: (-len(w), w)))


@cache
def _frame_words() -> frozenset[str]:
    """Every word of the frames and joins of `wording.toml`, and `who`."""
    found = {"who"}
    for table in ("frames", "joins"):
        for lines in Wording.default().tables[table].values():
            for line in (*lines.train, *lines.test):
                found.update(_WORD.findall(_SLOT.sub(" ", line).casefold()))
    return frozenset(found) - _MARKS


def _templates(skeletons: Counter[str], total: int) -> dict[str, Any]:
    """The share of bare texts, and the largest templates that have words of their own."""
    bare = Counter({line: n for line, n in skeletons.items() if _is_bare(line)})
    framed = skeletons - bare
    most = [(line, round(n / max(total, 1), 6)) for line, n in framed.most_common(_MOST)]
    plain = [(line, round(n / max(total, 1), 6)) for line, n in bare.most_common(4)]
    largest = most[0][1] if most else 0.0
    return {
        "limit": TEMPLATE_LIMIT,
        "largest_share": largest,
        "holds": largest <= TEMPLATE_LIMIT,
        "different": len(skeletons),
        "bare_share": round(bare.total() / max(total, 1), 6),
        "bare": plain,
        "largest": most,
    }


def _is_bare(line: str) -> bool:
    """Whether nothing is said but who does what: no word of a frame or join."""
    return not set(line.split()) - {_BARE, "who", ",", ";", "a", "an", "the"}


def _leaks(paths: list[Path]) -> dict[str, Any]:
    """What two splits share: texts and performers; both should be none."""
    texts: dict[str, set[int]] = {"val": set(), "test": set()}
    people: dict[str, set[int]] = {"val": set(), "test": set()}
    for row in _rows(paths):
        if row["split"] in texts:
            texts[row["split"]].update(map(text_key, row["texts"]))
            people[row["split"]].add(_performer(row))
    shared: Counter[str] = Counter()
    for row in _rows(paths):
        if row["split"] != "train":
            continue
        for split in texts:
            shared[f"texts train and {split}"] += sum(
                text_key(text) in texts[split] for text in row["texts"]
            )
            shared[f"performers train and {split}"] += _performer(row) in people[split]
    shared["texts val and test"] = len(texts["val"] & texts["test"])
    shared["performers val and test"] = len(people["val"] & people["test"])
    return {"none": not any(shared.values()), **dict(sorted(shared.items()))}


def _performer(row: dict[str, Any]) -> int:
    return Performance.from_json(row["performance"]).style_seed


def _rows(paths: Iterable[Path]) -> Iterator[dict[str, Any]]:
    """The rows without their curves, shard by shard."""
    import pyarrow.parquet

    for path in paths:
        yield from pyarrow.parquet.read_table(path, columns=_COLUMNS).to_pylist()


def _by_kind(entries: Counter[str]) -> dict[str, dict[str, float]]:
    """A kind's actions, and how uneven its entries are: the rarest and the commonest."""
    kinds: dict[str, dict[str, float]] = {}
    lexicon = Lexicon.default()
    for kind in KINDS:
        counts = [entries[e.id] for e in lexicon.of_kind(kind)]
        kinds[kind] = {
            "entries": len(counts),
            "actions": sum(counts),
            "rarest": min(counts),
            "commonest": max(counts),
        }
    return kinds


def _ordered(counts: Counter[int]) -> dict[str, int]:
    return {str(k): counts[k] for k in sorted(counts)}


def _spread_of(counts: Counter[int]) -> dict[str, float]:
    """Mean and percentiles of counted whole numbers."""
    total = sum(counts.values())
    if not total:
        return {}
    found: dict[str, float] = {"mean": round(sum(k * n for k, n in counts.items()) / total, 2)}
    for percent in (5, 50, 95, 100):
        seen, wanted = 0, percent / 100 * total
        for value in sorted(counts):
            seen += counts[value]
            if seen >= wanted:
                found[f"p{percent}"] = value
                break
    return found


def describe_card(card: dict[str, Any]) -> str:
    """The card in words and tables, Markdown."""
    templates, leaks, top = card["templates"], card["leaks"], card["most_frequent_text"]
    verdict = "holds" if templates["holds"] else "does not hold"
    rare = sorted(card["entries"].items(), key=lambda e: e[1])
    lines = [
        "# Data card",
        f"{card['clips']:,} clips, {card['hours']:.2f} hours at 25 frames a second, "
        f"{card['texts']:,} texts of which {card['different_texts']:,} differ. Seed "
        f"{card['seed']}, recipe `{card['recipe']}`, corpus `{card['corpus_hash']}`.",
        "## Splits",
        _table(("split", "clips", "texts", "hours"), _split_rows(card["splits"])),
        f"Between splits: {'nothing is shared' if leaks['none'] else 'something is shared'} ("
        + ", ".join(f"{k} {v}" for k, v in leaks.items() if k != "none")
        + ").",
        "## Texts",
        f"Words a text: {_listed(card['words_per_text'])}. The most frequent text, "
        f"{top['text']!r}, is {top['share']:.3%} of all. A template is what is left of a text "
        "without what it is about; the largest with words of its own is "
        f"{templates['largest_share']:.2%} of all texts (the limit of {templates['limit']:.0%} "
        f"{verdict}). Without any frame or join are {templates['bare_share']:.1%}: "
        + ", ".join(f"`{line}` {share:.2%}" for line, share in templates["bare"])
        + ".",
        _table(("template", "share"), [(f"`{k}`", f"{v:.2%}") for k, v in templates["largest"]]),
        "## Actions",
        _table(
            ("kind", "entries", "actions", "rarest", "commonest"),
            [(kind, *counts.values()) for kind, counts in card["kinds"].items()],
        ),
        f"Sides: {_listed(card['sides'])}. Strength: {_listed(card['intensities'])}. "
        f"Actions a clip: {_listed(card['actions_per_clip'])}. "
        f"Clips by whole seconds: {_listed(card['clips_of_seconds'])}.",
        f"Rarest entries: {_listed(dict(rare[:8]))}; commonest: {_listed(dict(rare[-8:]))}. "
        "All are in `data_card.json`.",
    ]
    return "\n\n".join(lines) + "\n"


def _split_rows(splits: dict[str, dict[str, float]]) -> list[tuple[Any, ...]]:
    return [
        (k, f"{s['clips']:,}", f"{s['texts']:,}", f"{s['hours']:.2f}") for k, s in splits.items()
    ]


def _listed(counts: dict[str, Any]) -> str:
    return ", ".join(f"{k} {v:,}" for k, v in counts.items())


def _table(head: tuple[str, ...], rows: list[tuple[Any, ...]]) -> str:
    lines = [head, tuple("---" for _ in head), *rows]
    return "\n".join("| " + " | ".join(map(str, line)) + " |" for line in lines)


if __name__ == "__main__":
    write_card(Path(sys.argv[1]))
