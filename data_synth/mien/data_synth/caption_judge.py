"""The judge of captions: marks of 1 to 5 for emotion, action and intensity, by rules alone.

It reads which entries a text mentions, by the lexicon's phrases in any inflection, with their
sides and words of strength, and compares them with the performance. Near misses count by how alike
the recipes are.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache

import numpy as np

from mien.data_synth.evidence import movement
from mien.data_synth.lexicon import Entry, Lexicon
from mien.data_synth.performance import Action, Performance
from mien.data_synth.score import INTENSITIES, intensity_word
from mien.data_synth.strength import has_degrees
from mien.data_synth.wording import Wording

_LONGEST = 9  # words in a phrase that is looked for
_ALIKE = 0.5  # recipes less alike than this are different things
_EXTRA = 0.5  # marks off for a thing that the performance does not show
_FORMS = ("words", "verbs", "nouns", "looks", "adverbs", "scenes", "likes", "sided")
_DROPPED = frozenset((
    "a", "an", "the", "her", "his", "their", "your", "my", "its", "she", "he", "they", "you",
    "it", "him", "them", "herself", "himself", "themself", "yourself", "person", "face", "of",
    "at", "to", "is", "are", "be",
))  # fmt: skip
_TOO_PLAIN = frozenset(
    ["left", "right", "up", "down", "no", "yes", "rest", "nothing", "lost", "please", "look"]
    + ["do", "get", "show", "make", "as", "if", "like", "one", "side", "time", "eye", "mouth"]
    + ["head", "bit", "low", "smal", "moment", "then", "and", "down", "much", "too much"]
)


@dataclass(frozen=True)
class Mention:
    """One thing that a text says.

    Attributes:
        entries: Ids that the words can stand for.
        side: "left", "right" or "" where none is named.
        intensity: One of the score's words; "mid" where none is given.
        at: Position in the text, in words.
    """

    entries: frozenset[str]
    side: str
    intensity: str
    at: int


@dataclass(frozen=True)
class CaptionMarks:
    """Marks of 1 to 5; None where the performance has nothing of the kind.

    Attributes:
        emotion: Of the emotions shown.
        action: Of the expressions and movements, their sides and their order.
        intensity: Of the strength of what was found.
        mentions: What was read from the text.
    """

    emotion: float | None
    action: float | None
    intensity: float | None
    mentions: tuple[Mention, ...]


def judge_caption(
    text: str, performance: Performance, lexicon: Lexicon | None = None
) -> CaptionMarks:
    """Mark a caption against the performance it describes.

    Example:
        >>> nod = Action("nod", "both", 0.9, 0.2, 0.5, 1.0, 1.2)
        >>> marks = judge_caption("They nod strongly.", Performance((nod,), 2.0))
        >>> marks.emotion, marks.action, marks.intensity
        (None, 5.0, 5.0)
    """
    lexicon = lexicon or Lexicon.default()
    mentions = tuple(read_mentions(text, lexicon))
    emotions = [a for a in performance.actions if lexicon[a.entry].kind == "emotion"]
    actions = [a for a in performance.actions if lexicon[a.entry].kind != "emotion"]
    extra = [_best(m, performance, lexicon) < 0.3 for m in mentions]
    of_emotion = [_is_emotion(m, lexicon) for m in mentions]
    return CaptionMarks(
        _mark(emotions, mentions, sum(map(min, zip(extra, of_emotion, strict=True))), lexicon),
        _mark(
            actions, mentions, sum(e > o for e, o in zip(extra, of_emotion, strict=True)), lexicon
        ),
        _intensity_mark(performance, mentions, lexicon),
        mentions,
    )


def _mark(
    actions: list[Action], mentions: tuple[Mention, ...], extra: int, lexicon: Lexicon
) -> float | None:
    if not actions:
        return None
    found = [_find(a, mentions, lexicon) for a in actions]
    recall = float(np.mean([likeness for likeness, _ in found]))
    places = [m.at for likeness, m in found if m is not None and likeness > 0.3]
    steps = list(zip(places, places[1:], strict=False))
    order = float(np.mean([a <= b for a, b in steps])) if steps else 1.0
    return max(1.0, 1.0 + 4.0 * recall * (0.6 + 0.4 * order) - _EXTRA * extra)


def _intensity_mark(
    performance: Performance, mentions: tuple[Mention, ...], lexicon: Lexicon
) -> float | None:
    marks = []
    for action in performance.actions:
        likeness, mention = _find(action, mentions, lexicon)
        if not has_degrees(lexicon[action.entry]):
            continue
        if mention is None or likeness < 0.3:
            marks.append(1.0)
            continue
        apart = INTENSITIES.index(intensity_word(action.intensity)) - INTENSITIES.index(
            mention.intensity
        )
        marks.append(5.0 - 2.0 * abs(apart))
    return float(np.mean(marks)) if marks else None


def _find(
    action: Action, mentions: tuple[Mention, ...], lexicon: Lexicon
) -> tuple[float, Mention | None]:
    """The mention that is most like an action."""
    scored = [(_likeness(action, m, lexicon), m) for m in mentions]
    return max(scored, key=lambda s: s[0], default=(0.0, None))


def _best(mention: Mention, performance: Performance, lexicon: Lexicon) -> float:
    return max((_likeness(a, mention, lexicon) for a in performance.actions), default=0.0)


def _likeness(action: Action, mention: Mention, lexicon: Lexicon) -> float:
    alike = max(likeness(action.entry, e, lexicon) for e in mention.entries)
    entry = lexicon[action.entry]
    if action.side == "both" or entry.kind == "emotion":
        return alike
    if not mention.side:
        return 0.8 * alike
    return alike if mention.side == action.side else 0.3 * alike


@cache
def likeness(first: str, second: str, lexicon: Lexicon) -> float:
    """How alike two entries look, 0 to 1; 0 below a half."""
    if first == second:
        return 1.0
    a, b = (movement(lexicon[entry]).ravel() for entry in (first, second))
    cosine = float(a @ b / max(1e-9, np.linalg.norm(a) * np.linalg.norm(b)))
    return cosine if cosine > _ALIKE else 0.0


def _is_emotion(mention: Mention, lexicon: Lexicon) -> bool:
    return all(lexicon[e].kind == "emotion" for e in mention.entries)


def read_mentions(text: str, lexicon: Lexicon) -> Iterator[Mention]:
    """Find what a text mentions, the longest phrases first."""
    words = _words(text)
    index, strengths = _index(lexicon), _strengths()
    spans = list(_spans(words, index))
    for number, (start, stop, entries, side) in enumerate(spans):
        after = spans[number + 1][0] if number + 1 < len(spans) else len(words)
        before = spans[number - 1][1] if number else 0
        level = _level_near(words, max(before, start - 3), start, stop, after, strengths)
        side = side or next(
            (w for w in words[stop : min(after, stop + 4)] if w in ("left", "right")), ""
        )
        yield Mention(entries, side, level, start)


_Index = dict[tuple[str, ...], tuple[frozenset[str], str]]


def _spans(words: list[str], index: _Index) -> Iterator[tuple[int, int, frozenset[str], str]]:
    start = 0
    while start < len(words):
        for size in range(min(_LONGEST, len(words) - start), 0, -1):
            found = index.get(tuple(words[start : start + size]))
            if found:
                yield start, start + size, *found
                start += size - 1
                break
        start += 1


def _level_near(
    words: list[str], first: int, start: int, stop: int, last: int, strengths: dict[str, str]
) -> str:
    """The word of strength right before a mention, or else the first one behind it."""
    for at in range(start - 1, first - 1, -1):
        if words[at] in strengths:
            return strengths[words[at]]
        break
    behind = words[stop:last]
    follows_adjective = last < len(words)
    for at, word in enumerate(behind):
        if word in strengths and not (follows_adjective and at == len(behind) - 1 and at > 0):
            return strengths[word]
    return "mid"


@cache
def _index(lexicon: Lexicon) -> _Index:
    """Every phrase of the lexicon, in plain words, with what it stands for."""
    found: dict[tuple[str, ...], set[str]] = {}
    sides: dict[tuple[str, ...], str] = {}
    for entry in lexicon.entries.values():
        for phrase, side in _phrases(entry):
            key = tuple(_words(phrase))
            if key and not (len(key) == 1 and key[0] in _TOO_PLAIN):
                found.setdefault(key, set()).add(entry.id)
                sides[key] = side
    return {key: (frozenset(ids), sides[key]) for key, ids in found.items()}


def _phrases(entry: Entry) -> Iterator[tuple[str, str]]:
    for form in _FORMS:
        phrases = getattr(entry.phrases, form)
        for phrase in (*phrases.train, *phrases.test):
            if "{side}" in phrase:
                for side in ("left", "right"):
                    yield _bare(phrase.replace("{side}", side)), side
            else:
                yield _bare(phrase), ""


def _bare(phrase: str) -> str:
    return re.sub(
        r"\{(s)\}", "s", re.sub(r" ?\{(she|her|him|herself|has|is|does|was)\}", "", phrase)
    )


@cache
def _strengths() -> dict[str, str]:
    """Words of strength, stemmed, by the score's word for them."""
    wording = Wording.default()
    levels: dict[str, str] = {}
    for level in ("mid", "slight", "strong"):
        for place in ("before", "noun", "tag", "after"):
            lines = wording.tables[level][place]
            for line in (*lines.train, *lines.test):
                words = [w for w in _words(line) if w not in _NO_STRENGTH and w != "|"]
                if len(words) == 1:
                    levels[words[0]] = level
    levels |= {_stem(w): "strong" for w in ("might", "lot", "much", "extreme", "utmost", "hard")}
    levels |= {_stem(w): "slight" for w in ("bit", "little", "tiny", "hint", "touch")}
    return levels


_NO_STRENGTH = frozenset(
    ["only", "just", "with", "so", "ever", "as", "in", "normal", "possibl", "really"]
)


def _words(text: str) -> list[str]:
    """Stems, with a bar where a comma or stop parts them."""
    words = re.findall(r"[a-z]+|[,.;:!?]", text.lower().replace("'", ""))
    return [_stem(w) if w.isalpha() else "|" for w in words if w not in _DROPPED]


@cache
def _stem(word: str) -> str:
    """Take off what inflection adds; rough, but the same on both sides."""
    for ending in ("ing", "ies", "es", "ed", "s", "ly"):
        if word.endswith(ending) and len(word) - len(ending) >= 3:
            word = word[: -len(ending)] + ("y" if ending == "ies" else "")
            break
    word = word.removesuffix("e")
    return word[:-1] if len(word) > 3 and word[-1] == word[-2] else word
