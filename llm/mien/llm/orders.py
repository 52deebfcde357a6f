"""Orders in a prompt: parts that each name one thing in so many words ("frown, then look up").

What is surely named must come in the plan, in that order; a language model leaves one of several
out at times.
"""

import itertools
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from mien.llm.plan import Line, shift_lines

_SURE = 0.65  # the share of a part that its entry must answer to count as named
_HEARD = 0.005  # and of the whole prompt
_FAVOR = 2.0  # what the next missing entry gains besides what speaks for the end
_LEAST_TICKS = 8  # 1.6 s: what one of several things in a row keeps of its time
_MOST_PARTS = 6  # a longer text tells a story
_JOINT = re.compile(
    r"\s*(?:[,;.!?:+&>/\n()\"“”]|->|→|\s[-–—]\s"
    r"|\b(?:then|and|while|with|plus|as|until|once|but|finally|next|now|before)\b)+\s*",
    re.IGNORECASE,
)
_BEHIND = re.compile(
    r"[.;?!\n]|->|→|\b(?:then|until|once|finally|next|now|before)\b", re.IGNORECASE
)
_UNDONE = re.compile(
    r"\b(?:not?|never|without|only|just|nothing|alone|instead|after|like|if)\b|n['’]t\b",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class Part:
    """A part of a prompt.

    Attributes:
        text: Its words.
        follows: Whether the text says that it comes behind the part before it.
    """

    text: str
    follows: bool


@dataclass(frozen=True)
class Order:
    """An entry that a prompt surely names.

    Attributes:
        entry: Its number in the lexicon.
        follows: Whether it comes behind the order before it.
    """

    entry: int
    follows: bool


def spoken_parts(text: str) -> tuple[Part, ...]:
    """Cut a text into parts; none where it is of one part or of more than six.

    Example:
        >>> [(part.text, part.follows) for part in spoken_parts("frown, then look up and smile")]
        [('frown', False), ('look up', True), ('smile', False)]
        >>> spoken_parts("a smile")
        ()
    """
    parts: list[Part] = []
    at, joint = 0, ""
    for match in (*_JOINT.finditer(text), None):
        words = text[at : match.start()] if match else text[at:]
        if any(c.isalpha() for c in words):
            parts.append(Part(words, bool(parts) and _BEHIND.search(joint) is not None))
            joint = ""
        if match:
            joint, at = joint + match.group(), match.end()
    return tuple(parts) if 2 <= len(parts) <= _MOST_PARTS else ()


def named_orders(
    parts: Sequence[Part],
    names: Float[Tensor, "p e"],
    whole: Float[Tensor, " e"],
    barred: Bool[Tensor, " e"] | None = None,
) -> tuple[Order, ...]:
    """Entries that parts of a prompt surely name, in their order; none where that is not several.

    Args:
        parts: As `spoken_parts` gave them.
        names: For each the logarithm of the share of it that each entry answers.
        whole: The same of the whole prompt.
        barred: Entries that the prompt forbids.
    """
    found: dict[int, Order] = {}
    follows = False
    for part, shares in zip(parts, names.exp(), strict=True):
        best = int(shares.argmax())
        follows = follows or part.follows  # what is not sure may stand between
        is_barred = barred is not None and bool(barred[best])
        is_named = bool(shares[best] >= _SURE and whole[best].exp() >= _HEARD)
        if is_named and not is_barred and best not in found and not _UNDONE.search(part.text):
            found[best] = Order(best, follows and bool(found))
            follows = False
    return tuple(found.values()) if len(found) > 1 else ()


def put_in_row(lines: Sequence[Line], row: Sequence[tuple[str, bool]]) -> tuple[Line, ...]:
    """Move apart lines of a plan that the prompt wants one behind the other.

    Args:
        lines: In order of their starts.
        row: Entries in the order of the prompt, with whether each follows the one before it.

    Returns:
        Lines in order of their starts: a line that lasts into one that follows it ends earlier,
        and where that is not enough the other and all behind it come later.
    """
    moved = list(lines)
    for (entry, _), (other, follows) in itertools.pairwise(row):
        at = next((i for i, line in enumerate(moved) if line.entry == entry), None)
        to = next((i for i, line in enumerate(moved) if line.entry == other), None)
        if not follows or at is None or to is None or at > to:
            continue
        stop = min(moved[at].stop, max(moved[to].start, moved[at].start + _LEAST_TICKS))
        late = max(0, stop - moved[to].start)
        moved[at] = replace(moved[at], stop=stop)
        moved = [*moved[:to], *shift_lines(moved[to:], late)]
    return tuple(moved)


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
    later = [token in missing[1:] or token == close for token in ids]
    return logits.masked_fill(torch.tensor(later), -torch.inf)
