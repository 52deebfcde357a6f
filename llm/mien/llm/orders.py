"""Orders in a prompt: parts that each name one thing in so many words ("frown, then look up").

What is surely named must come in the plan, in that order; a language model leaves one of several
out at times.
"""

import re
from collections.abc import Sequence

import torch
from jaxtyping import Bool, Float
from torch import Tensor

_SURE = 0.65  # the share of a part that its entry must answer to count as named
_HEARD = 0.005  # and of the whole prompt
_FAVOR = 2.0  # what the next missing entry gains besides what speaks for the end
_MOST_PARTS = 6  # a longer text tells a story
_JOINT = re.compile(
    r"\s*(?:[,;.!?:+&>/\n()\"“”]|->|→|\s[-–—]\s"
    r"|\b(?:then|and|while|with|plus|as|until|once|but|finally|next|now|before)\b)+\s*",
    re.IGNORECASE,
)
_UNDONE = re.compile(
    r"\b(?:not?|never|without|only|just|nothing|alone|instead|after|like|if)\b|n['’]t\b",
    re.IGNORECASE,
)


def spoken_parts(text: str) -> tuple[str, ...]:
    """Cut a text into parts; none where it is of one part or of more than six.

    Example:
        >>> spoken_parts("frown, then look up and smile")
        ('frown', 'look up', 'smile')
        >>> spoken_parts("a smile")
        ()
    """
    parts = tuple(part for part in _JOINT.split(text) if any(c.isalpha() for c in part))
    return parts if 2 <= len(parts) <= _MOST_PARTS else ()


def named_entries(
    parts: Sequence[str],
    names: Float[Tensor, "p e"],
    whole: Float[Tensor, " e"],
    barred: Bool[Tensor, " e"] | None = None,
) -> tuple[int, ...]:
    """Entries that parts of a prompt surely name, in their order; none where that is not several.

    Args:
        parts: As `spoken_parts` gave them.
        names: For each the logarithm of the share of it that each entry answers.
        whole: The same of the whole prompt.
        barred: Entries that the prompt forbids.
    """
    found: list[int] = []
    for part, shares in zip(parts, names.exp(), strict=True):
        best = int(shares.argmax())
        is_barred = barred is not None and bool(barred[best])
        is_named = bool(shares[best] >= _SURE and whole[best].exp() >= _HEARD)
        if is_named and not is_barred and best not in found and not _UNDONE.search(part):
            found.append(best)
    return tuple(found) if len(found) > 1 else ()


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
