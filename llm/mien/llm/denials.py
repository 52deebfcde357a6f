"""What a prompt denies in words of its own: "cheeks not puffed", "refusing to look up".

`restraints` knows how people say that a part of the face is to keep still; what else a face may
not do has as many names as what it may. So what is denied is cut out and read like what is asked
for: where the reader of sentences surely names an action of the lexicon, that is forbidden.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor

from mien.arkit import other_side
from mien.data_synth.lexicon import Entry, Lexicon
from mien.llm.parts import PARTS
from mien.llm.restraints import MAIN, Binds, Restraint, bound

_SURE = 0.9  # the share of what is denied that its entry must answer
_LEFT = 0.5  # the share of that which may show
_MOST_WORDS = 6
_FACE = f"(?:{PARTS}|forehead|nostrils?|teeth|tooth|corners?)"
_AUXILIARY = r"(?:do|does|did|is|are|was|were|must|should|will|would|may)"
_HINT = r"(?:hint|trace|sign|flicker|shadow|ghost|touch|bit) of"
_DENIES = re.compile(
    r"(?<![\w'’-])(?:without(?: (?:once|ever|even))?|w/o|minus|sans|zero|no|nor|never"
    r"|(?P<bare>not)"
    rf"|{_AUXILIARY} ?n(?:o|['’])?t|won['’]?t|refus(?:e|es|ing) to|avoid(?:s|ing)?"
    r"|(?P<instead>instead of|rather than))\s+"
    r"(?P<filling>(?:(?:even|ever|any|a|an|one|single|the|your|ur|his|her|their|my|its|you dare"
    rf"|dare|to|be|so much as|{_HINT}|show(?:s|ing)?|mak(?:e|es|ing)|do(?:ing)?|giv(?:e|es|ing)"
    r"|let)\s+)*)",
    re.IGNORECASE,
)
_CORRECTS = re.compile(  # "not a smile, a smirk", "not pressed, rolled in"
    rf"(?:a|an|the)\s+(?!{_HINT})|\w+ed,", re.IGNORECASE
)
_ENDS = re.compile(
    r"\s*(?:[,.;:!?()\"“”\n–—]|\s-\s|->|→|$|\b(?:and|but|or|nor|then|while|as|because|cause|bc|so"
    r"|just|only|please|pls|plz|though|tho|yet|at all|until|when|if|with|after|before|for|that"
    r"|who|which|either|too|this time|whatsoever)\b)",
    re.IGNORECASE,
)
_WHO = re.compile(rf"\b(?P<part>{_FACE})(?: {_AUXILIARY})?\s*$", re.IGNORECASE)  # "cheeks not ..."
_PART = re.compile(rf"\b{_FACE}\b", re.IGNORECASE)
_OPEN_EYES = re.compile(r"\bopen\b.*\beyes?\b|\beyes?\b.*\bopen", re.IGNORECASE)
_MEANT = re.compile(  # what a denial of it would ask for
    r"\W*(?:without|not|forget|stop|fail|mind|worry|hesitate|know|need|want|have|been|only|just"
    r"|like|quite|exactly|entirely)\b",
    re.IGNORECASE,
)
_UNDONE = re.compile(
    r"(?:\b(?:why|not|never|can|could)|n['’]t)(?: \w+)?\s*$", re.IGNORECASE
)  # what stands before a denial that is none


@dataclass(frozen=True)
class Denial:
    """Words that say what a face is not to do.

    Attributes:
        words: They, without what denies them.
        binds: Which actions, as a `Restraint` does.
        is_correction: Whether something else is meant that may look much the same.
    """

    words: str
    binds: Binds
    is_correction: bool


def spoken_denials(text: str) -> tuple[Denial, ...]:
    """Cut out of a text what it denies.

    Example:
        >>> [each.words for each in spoken_denials("swing your mouth right, cheeks not puffed")]
        ['cheeks puffed']
        >>> [each.words for each in spoken_denials("glare, but don't forget to smile")]
        []
    """
    found = []
    for match in _DENIES.finditer(text):
        before, behind = text[: match.start()], text[match.end() :]
        words = _ENDS.split(behind, maxsplit=1)[0]
        is_meant = _MEANT.match(words) or _OPEN_EYES.search(words) or _UNDONE.search(before)
        if not words.strip() or is_meant:
            continue
        who = None if _PART.search(words) else _WHO.search(before)
        words = f"{who['part']} {words}" if who else words
        if len(words.split()) <= _MOST_WORDS:
            corrects = match["bare"] and _CORRECTS.match(match["filling"] + behind)
            of_head = re.search(r"\b(?:head|chin)\b", words, re.IGNORECASE) is not None
            is_correction = bool(corrects or match["instead"])
            found.append(Denial(words, bound(before, of_head), is_correction))
    return tuple(found)


def forbidden(
    denials: Sequence[Denial], names: Float[Tensor, "d e"], entries: Sequence[str]
) -> tuple[Restraint, ...]:
    """What denials forbid.

    Args:
        denials: As `spoken_denials` gave them.
        names: For each the logarithm of the share of it that each entry answers.
        entries: Their names.

    Returns:
        Restraints of those that surely name a movement or an expression, and say so in so many
        words: who has "no glasses" may squint.
    """
    lexicon = Lexicon.default()
    found = []
    for denial, shares in zip(denials, names, strict=True):
        best = int(shares.argmax())
        entry = lexicon.entries.get(entries[best])
        if entry is None or entry.kind == "emotion" or float(shares[best].exp()) < _SURE:
            continue
        if _PART.search(denial.words) or _says(denial.words, entry.id):
            found.append(_restraint(entry, denial))
    return tuple(found)


def _says(words: str, entry: str) -> bool:
    """Whether words have a word of an entry's name in any form."""
    stems = [word.removesuffix("e") for word in entry.split("-") if len(word) > 2]
    return any(re.search(rf"\b{stem}", words, re.IGNORECASE) for stem in stems)


def _restraint(entry: Entry, denial: Denial) -> Restraint:
    """Forbid an entry, and where nothing like it is meant, what looks like it."""
    look = {} if denial.is_correction else _look(entry)
    tracks = {
        ("-" if value < 0 else "+") + track: _LEFT * abs(value) for track, value in look.items()
    }
    return Restraint(tracks, denial.binds, frozenset({entry.id}), is_joint=True)


def _look(entry: Entry) -> dict[str, float]:
    """The strongest tracks of what both sides hold; nothing where an entry repeats or one does."""
    if entry.wave or entry.steps:
        return {}
    most = max(map(abs, entry.units.values()), default=0.0)
    main = {track: value for track, value in entry.units.items() if abs(value) >= MAIN * most}
    if any(other_side(track) not in (None, *main) for track in main):
        return {}
    return {re.sub("(?:Left|Right)$", "", track): value for track, value in main.items()}
