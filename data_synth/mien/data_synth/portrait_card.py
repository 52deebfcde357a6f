"""Portraits counted: whom they show, how evenly and from where; that nobody is in two splits."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from mien.data_synth.lexicon import Lexicon
from mien.data_synth.portrait_reader import ShardFile
from mien.data_synth.portrait_shards import check_shards, read_manifest
from mien.data_synth.portraits import REST
from mien.data_synth.shards import write_whole

__all__ = ["count_portraits", "describe_portraits", "write_portrait_card"]

_AGES = (("infant", 0.0), ("child", 0.12), ("teenager", 0.42), ("adult", 0.56), ("old", 0.8))
_SKINS = (("pale", 0.0), ("light", 0.2), ("light brown", 0.45), ("brown", 0.95), ("dark", 1.6))
_STEP_DEG = 15


def write_portrait_card(folder: Path) -> dict[str, Any]:
    """Count a finished collection and write `data_card.json` and `data_card.md` beside it.

    Raises:
        ValueError: If it is unfinished or damaged.
    """
    card = count_portraits(folder)
    write_whole(folder / "data_card.json", (json.dumps(card, indent=1) + "\n").encode())
    write_whole(folder / "data_card.md", describe_portraits(card).encode())
    return card


def count_portraits(folder: Path) -> dict[str, Any]:
    """Everything the card says, as plain numbers; a function of the shards alone."""
    manifest = read_manifest(folder)
    counts: dict[str, Counter[str]] = {
        name: Counter()
        for name in ("splits", "subsets", "ages", "skins", "hair", "expressions", "yaw", "pitch")
    }
    splits_of: dict[str, set[str]] = {}
    size = 0
    for path in check_shards(folder):
        shard = ShardFile.open(path)
        size += path.stat().st_size
        for person in shard.people:
            splits_of.setdefault(person["identity"], set()).add(person["split"])
            counts["ages"][_band(person["traits"]["age"], _AGES)] += 1
            counts["skins"][_band(person["look"]["melanin"], _SKINS)] += 1
            counts["hair"][person["look"]["hair"]] += 1
        for instant in shard.instants:
            counts["expressions"][instant["expression"]] += 1
        for number, picture in enumerate(shard.pictures):
            person = shard.person_of(number)
            counts["splits"][person["split"]] += 1
            counts["subsets"][person["subset"]] += 1
            yaw, pitch = _angles(np.array(picture["camera"]["viewmat"]))
            counts["yaw"][_bin(yaw)] += 1
            counts["pitch"][_bin(pitch)] += 1
    expressions = counts.pop("expressions")
    return {
        **{k: v for k, v in manifest.items() if k != "shards"},
        "pictures": counts["splits"].total(),
        "people": len(splits_of),
        "people_in_two_splits": sum(len(splits) > 1 for splits in splits_of.values()),
        "megabytes": round(size / 2**20, 2),
        **{name: dict(sorted(counter.items(), key=_order)) for name, counter in counts.items()},
        "instants_at_rest": expressions.pop(REST, 0),
        "expressions": _evenness(expressions),
    }


def describe_portraits(card: dict[str, Any]) -> str:
    """The card in words, as Markdown."""
    lines = [
        "# Portraits",
        "",
        f"{card['pictures']:,} pictures of {card['people']:,} made-up people, "
        f"{card['size']}x{card['size']}, {card['megabytes']:,} MB. None of them is real.",
        f"Made from seed {card['seed']} by recipe {card['recipe']}; hash "
        f"{card['portraits_hash'][:16]}.",
        f"People in two splits: {card['people_in_two_splits']}.",
        "",
    ]
    units = {"splits": "pictures", "subsets": "pictures", "yaw": "pictures", "pitch": "pictures"}
    for name in ("splits", "subsets", "ages", "skins", "hair", "yaw", "pitch"):
        found = ", ".join(f"{key} {count:,}" for key, count in card[name].items())
        lines.append(f"- {name} ({units.get(name, 'people')}): {found}")
    even = card["expressions"]
    lines += [
        f"- expressions: {even['shown']} of {even['entries']} entries of the lexicon, each "
        f"{even['fewest']} to {even['most']} times; {card['instants_at_rest']:,} instants at rest",
        "",
        "What they are not: photographs. Skin, hair and cloth are painted with Gaussians; there "
        "are no beards, glasses, jewels, hands or teeth but the one set; lines of expression "
        "are drawn from a table of places and units, not measured on people.",
        "",
    ]
    return "\n".join(lines)


def _evenness(expressions: Counter[str]) -> dict[str, int]:
    shown = [expressions[name] for name in Lexicon.default().entries if expressions[name]]
    return {
        "entries": len(Lexicon.default()),
        "shown": len(shown),
        "fewest": min(shown, default=0),
        "most": max(shown, default=0),
    }


def _band(value: float, bands: Iterable[tuple[str, float]]) -> str:
    return [name for name, start in bands if value >= start][-1]


def _angles(viewmat: np.ndarray) -> tuple[float, float]:
    """Where the camera stands round the head: yaw to the subject's left and pitch up, degrees."""
    way = -viewmat[2, :3]
    return math.degrees(math.atan2(way[0], way[2])), math.degrees(
        math.asin(max(-1.0, min(1.0, way[1])))
    )


def _bin(degrees: float) -> str:
    start = math.floor(degrees / _STEP_DEG) * _STEP_DEG
    return f"{start:+d}..{start + _STEP_DEG:+d}"


def _order(item: tuple[str, int]) -> tuple[float, str]:
    name = item[0]
    for bands in (_AGES, _SKINS):
        starts = dict(bands)
        if name in starts:
            return starts[name], name
    return (float(name.split("..")[0]), name) if ".." in name else (0.0, name)
