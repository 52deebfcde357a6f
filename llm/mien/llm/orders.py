"""Orders in a prompt: parts that each name one thing in so many words ("frown, then look up").

What is surely named must come in the plan, in that order; a language model leaves one of several
out at times.
"""

import itertools
import re
from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from mien.data_synth.lexicon import Lexicon
from mien.data_synth.performance import clash
from mien.llm.parts import WHOSE, Part
from mien.llm.plan import Line, shift_lines

_SURE = 0.65  # the share of a part that its entry must answer to count as named
_SURE_OF_MOVEMENT = 0.4  # the same of what has fewer names: feelings are read into anything
_HEARD = 0.005  # and of the whole prompt
_FAVOR = 2.0  # what the next missing entry gains besides what speaks for the end
_LEAST_TICKS = 8  # 1.6 s: what one of several things in a row keeps of its time
_SEEN_TICKS = 5  # 1 s: what is shorter is hardly seen
_HOLDS = re.compile(
    r"\b(?:(?:the whole|the entire|all the) (?:time|while)|throughout|all along"
    r"|from (?:start|beginning) to (?:finish|end))\b",
    re.IGNORECASE,
)
_LASTING = {"blink": "close-eyes", "slow-blink": "close-eyes"}  # what one that holds amounts to
_NOT_TO = "stifle-laugh"  # what says in itself that something is not done
_ACROSS = {"left": "right", "right": "left"}
_UNDONE = re.compile(
    r"\b(?:not|never|without|zero|nothing|alone|instead|after|no(?=\s+(?!with\b|to\b)\w))\b|n['’]t\b"
    r"|\b(?:do|does|did|ca|wo|is|are)nt\b|\bopen (?:the whole|all the) (?:time|while)\b",
    re.IGNORECASE,
)
_OF_FACE = "eye|brow|eyebrow|cheek|corner|side|one|half|lid|eyelid|nostril|lip"
_SIDE = re.compile(
    rf"\b(?:{WHOSE})\s+(left|right)\b|\b(left|right)\s+(?:{_OF_FACE})s?\b", re.IGNORECASE
)
_EITHER = re.compile(
    r"\b(?:one|a single|an?) (?:brow|eyebrow|cheek|nostril|corner|side)\b", re.IGNORECASE
)
_OTHER = re.compile(
    r"\b(?:the )?(?:other|opposite) (?:one|eye|brow|eyebrow|cheek|corner|side|way|"
    r"direction|shoulder)\b|\bvice versa\b",
    re.IGNORECASE,
)
_DIRECTION = re.compile(  # of what was named last, where a part says nothing more
    rf"\W*(?:(?:over|back|and|now|go|all the way) )*(?:to )?(?:(?:{WHOSE}) )?"
    r"(?P<side>left|right)(?: (?:side|again|too|now))?\W*",
    re.IGNORECASE,
)
_SAME = re.compile(r"\b(?:left|right) one\b|\bthe same (?:on|with|to)\b", re.IGNORECASE)


@dataclass(frozen=True)
class Order:
    """An entry that a prompt surely names.

    Attributes:
        entry: Of the lexicon.
        follows: Whether it comes behind the order before it.
        side: The only side that the prompt names with it.
        beside: Whether it comes with the order before it.
        holds: Whether it lasts as long as all that is done.
    """

    entry: str
    follows: bool
    side: str | None = None
    beside: bool = False
    holds: bool = False

    def is_met_by(self, line: Line) -> bool:
        """Whether a line of a plan does it."""
        return line.entry == self.entry and self.side in (None, line.side)


class Named(NamedTuple):
    """What a prompt names.

    Attributes:
        orders: What it surely names, in its order; none where that is not several.
        is_all: Whether it asks for nothing else.
    """

    orders: tuple[Order, ...]
    is_all: bool


def named_orders(
    parts: Sequence[Part],
    names: Sequence[Float[Tensor, "w e"]],
    whole: Float[Tensor, " e"],
    entry_sides: Mapping[str, Sequence[str]],
    barred: Bool[Tensor, " e"] | None = None,
) -> Named:
    """What parts of a prompt surely name.

    Args:
        parts: As `spoken_parts` gave them.
        names: For each of the wordings of each the logarithm of the share of it that each entry
            answers.
        whole: The same of the whole prompt.
        entry_sides: The entries, with the sides that each can have.
        barred: Entries that the prompt forbids.
    """
    entries = list(entry_sides)
    forbidden = set() if barred is None else {entries[i] for i in barred.nonzero()[:, 0]}
    found: list[Order] = []
    follows, is_all, is_free = False, True, True
    for part, wordings in zip(parts, names, strict=True):
        follows = follows or part.follows  # what is not sure may stand between
        entry = _best(part, wordings, entries, whole)
        if not part.core or (_denies(part) and entry != _NOT_TO):
            continue
        order = _once_more(part, found, entry_sides)
        if order is None and entry is not None and entry not in forbidden:
            order = _named(part, entry, found, entry_sides)
        if order is not None:
            found.append(_placed(order, part, follows and bool(found), bool(found), entry_sides))
            follows = False
        is_all = is_all and (entry is not None or order is not None)
        is_free = is_free and entry not in forbidden
    is_one = len(found) == 1 and is_all and is_free and barred is not None
    return Named(tuple(found), is_all) if len(found) > 1 or is_one else Named((), False)


def _denies(part: Part) -> bool:
    """Whether a part says that something is not done."""
    return _UNDONE.search(part.core) is not None


def _placed(
    order: Order, part: Part, follows: bool, is_later: bool, entries: Container[str]
) -> Order:
    """An order with where its part says it comes, and for how long."""
    holds = _HOLDS.search(part.text) is not None
    entry = _LASTING.get(order.entry, order.entry) if holds else order.entry
    return replace(
        order,
        entry=entry if entry in entries else order.entry,
        follows=follows,
        beside=part.beside and is_later and not follows,
        holds=holds,
    )


def asked_for(
    parts: Sequence[Part], names: Sequence[Float[Tensor, "w e"]], entries: Sequence[str]
) -> Bool[Tensor, " e"]:
    """Which entries parts of a prompt name, whatever the whole sounds like."""
    asked = torch.zeros(len(entries), dtype=torch.bool)
    for part, wordings in zip(parts, names, strict=True):
        entry = _best(part, wordings, entries)
        if entry is not None and part.core and not _denies(part):
            asked[entries.index(entry)] = True
    return asked


def _best(
    part: Part,
    wordings: Float[Tensor, "w e"],
    entries: Sequence[str],
    whole: Float[Tensor, " e"] | None = None,
) -> str | None:
    """The entry that a part surely names, in the first of its wordings that does."""
    for shares in wordings:
        best = int(shares.argmax())
        sure = _SURE_OF_MOVEMENT if _is_movement(entries[best]) else _SURE
        is_heard = whole is None or whole[best].exp() >= _HEARD
        if is_heard and _share_of(part, shares, entries) >= sure:
            return entries[best]
    return None


def _share_of(part: Part, shares: Float[Tensor, " e"], entries: Sequence[str]) -> float:
    """How much of a part its best entry answers, to either side where it names none."""
    best = int(shares.argmax())
    share, across = float(shares[best].exp()), _mirrored(entries[best])
    if across is not None and across in entries and _bare_side_of(part.text) is None:
        share += float(shares[entries.index(across)].exp())
    return share


def _is_movement(entry: str) -> bool:
    """Whether an entry is neither a feeling nor an expression."""
    lexicon = Lexicon.default()
    return entry in lexicon and lexicon[entry].kind in ("action", "head", "gaze")


def _named(
    part: Part, entry: str, before: Sequence[Order], entry_sides: Mapping[str, Sequence[str]]
) -> Order | None:
    """An entry by its name, which counts once, or once a side."""
    sides, side = entry_sides[entry], _side_of(part.text)
    if side is None and "both" not in sides:
        side = _bare_side_of(part.text)
    if side is None and _EITHER.search(part.text):
        side = "left"
    if side not in sides:
        side = None
    known = [order.side for order in before if order.entry == entry]
    is_new = not known or not (side is None or side in known or None in known)
    return Order(entry, False, side) if is_new else None


def _once_more(
    part: Part, before: Sequence[Order], entry_sides: Mapping[str, Sequence[str]]
) -> Order | None:
    """What "the other one" or "the same on the left" asks for, behind what was named last."""
    side = _side_of(part.text)
    direction = _DIRECTION.fullmatch(part.text)
    if direction is not None:
        side = direction["side"].lower()
    is_other = _OTHER.search(part.text) is not None
    is_same = direction is not None or _SAME.search(part.text) is not None
    if not before or not (is_other or (side and is_same)):
        return None
    last = before[-1]
    if is_other:
        side = None if last.side is None else _ACROSS[last.side]
    if side is not None and side in entry_sides[last.entry]:
        return Order(last.entry, False, side)
    if side is not None and side in last.entry.split("-"):
        return None
    across = _mirrored(last.entry)
    return Order(across, False) if across is not None and across in entry_sides else None


def _mirrored(entry: str) -> str | None:
    """The entry that does the same to the other side; None for one that names no side."""
    across = re.sub("left|right", lambda match: _ACROSS[match.group()], entry)
    return None if across == entry else across


def _side_of(text: str) -> str | None:
    """The only side that a text names."""
    return _only({(match[1] or match[2]).lower() for match in _SIDE.finditer(text)})


def _bare_side_of(text: str) -> str | None:
    """The only side that a text names, of whatever."""
    return _only(set(re.findall(r"\b(?:left|right)\b", text.lower())))


def _only(named: set[str]) -> str | None:
    return named.pop() if len(named) == 1 else None


def unmet(orders: Sequence[Order], lines: Sequence[Line]) -> list[Order]:
    """Orders that no line of a plan does; each line does one."""
    left = list(orders)
    for line in lines:
        met = next((order for order in left if order.is_met_by(line)), None)
        if met is not None:
            left.remove(met)
    return left


def put_in_row(lines: Sequence[Line], orders: Sequence[Order]) -> tuple[Line, ...]:
    """Move lines of a plan as the prompt wants them: one behind the other, or together.

    So does what it names in a row and a face cannot do at once ("eyes right, left").

    Args:
        lines: In order of their starts.
        orders: In the order of the prompt.

    Returns:
        Lines in order of their starts, none that is wanted shorter than can be seen: a line that
        lasts into one that follows it ends earlier, and where that is not enough the other and
        all behind it come later.
    """
    wanted = [line for line in lines if any(order.is_met_by(line) for order in orders)]
    moved = [
        replace(line, stop=max(line.stop, line.start + _SEEN_TICKS)) if line in wanted else line
        for line in lines
    ]
    for order, other in itertools.pairwise(orders):
        at = next((i for i, line in enumerate(moved) if order.is_met_by(line)), None)
        to = next((i for i, line in enumerate(moved) if other.is_met_by(line) and i != at), None)
        if at is None or to is None:
            continue
        can_meet = not _cannot_meet(order.entry, other.entry)
        if other.beside and can_meet:
            first, second = min(at, to), max(at, to)
            moved[second] = _brought_to(moved[first], moved[second])
        if at > to or (can_meet and not other.follows):
            continue
        stop = min(moved[at].stop, max(moved[to].start, moved[at].start + _LEAST_TICKS))
        late = max(0, stop - moved[to].start)
        moved[at] = replace(moved[at], stop=stop)
        moved = [*moved[:to], *shift_lines(moved[to:], late)]
    lasting = [order for order in orders if order.holds]
    moved = [_held(x, moved) if any(order.is_met_by(x) for order in lasting) else x for x in moved]
    return tuple(sorted(moved, key=lambda line: line.start))


def _held(line: Line, lines: Sequence[Line]) -> Line:
    """A line that lasts as long as all of them."""
    return replace(line, start=min(x.start for x in lines), stop=max(x.stop for x in lines))


def _brought_to(line: Line, other: Line) -> Line:
    """Another line, moved to begin with a line that it should come with and misses."""
    if min(line.stop, other.stop) - max(line.start, other.start) >= _SEEN_TICKS:
        return other
    (brought,) = shift_lines([other], line.start - other.start)
    return brought


def _cannot_meet(first: str, second: str) -> bool:
    """Whether two entries need the same part of the face; one that is not known needs none."""
    lexicon = Lexicon.default()
    return first in lexicon and second in lexicon and clash(lexicon[first], lexicon[second])


def insist(
    logits: Float[Tensor, " k"], ids: Sequence[int], missing: Sequence[int], close: int
) -> Float[Tensor, " k"]:
    """Let a plan not end before what is missing, and that come in its order.

    The next of it takes over what speaks for the end, and a little more.

    Args:
        logits: Of what may come next.
        ids: Their ids.
        missing: Ids of entries, in the order in which they were named.
        close: Id of the end.
    """
    if not missing or missing[0] not in ids:
        return logits
    logits = logits.clone()
    at = ids.index(missing[0])
    if close in ids:
        logits[at] = torch.logaddexp(logits[at], logits[ids.index(close)])
    logits[at] += _FAVOR
    later = {*missing[1:], close} - {missing[0]}
    return logits.masked_fill(torch.tensor([token in later for token in ids]), -torch.inf)
