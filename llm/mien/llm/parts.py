"""Cutting a prompt into parts that each say one thing: "frown, then look up"."""

import re
from dataclasses import dataclass

_MOST_PARTS = 9  # a longer text tells a story
THEN = r"then|finally|next|(?:un)?til+|afterwards?|after (?:it|that|this|which)"
_SOMEONE = r"(?:you|u|i|he|she|they)\b"
_ONCE = r"(?<!at )(?<!without )(?<!not )(?<!never )(?<!even )once(?! (?:more|again|or twice)\b)"
_SINCE = rf"(?:only )?(?:after|{_ONCE}|as soon as)(?= (?:{_SOMEONE}|\w+ing\b))"  # what came first
_BECOMING = (
    r"(?:(?:fad|turn|melt|grow|chang|dissolv|morph|shift|slid|collaps|crumbl|soften|harden)"
    r"(?:e|es|s|d|ed|ing)? (?:slowly |quickly |gradually )?into|(?:giv(?:e|es|ing)|gave) way to)"
)
_SOONER_OR_LATER = rf"{THEN}|{_ONCE}|now|before|{_BECOMING}"
_AS = r"as(?! (?:an?|if|though|soon)\b)"  # not "as a warning"
_OVER = (  # "brows up over closed eyes"
    r"(?:over|under|above|beneath)"
    r"(?= (?!(?:the|your|ur|his|her|their|my|its|upper|lower|top|bottom|left|right)\b)\w+"
    r" (?:eyes|lids|eyelids|brows|eyebrows|lips|cheeks)\b)"
)
WHOSE = "the|your|ur|his|her|their|my|its|only|just|one's"
PARTS = "eyes?|gaze|lids?|eyelids?|brows?|eyebrows?|lips?|mouth|jaw|tongue|cheeks?|nose|head|chin"
_WITH = (  # not what it is done with ("say no with your head")
    rf"with(?! (?:(?:just|only|both) )?(?:{WHOSE}) (?:(?:left|right|whole) )?(?:{PARTS}|forehead)"
    r"(?: (?:only|alone))?\s*(?:$|[,.;:!?)\n]|\b(?:and|but|then|n|while|to|like)\b))"
)
_AND_AFTER = re.compile(  # "to your right and after to your left"
    rf"\band after(?= (?:to|{_SOMEONE}|\w+ing)\b)", re.IGNORECASE
)
_WITHOUT = re.compile(r"\s(?:w/o|w/out)\b", re.IGNORECASE)
_JOINT = re.compile(
    r"\s*(?:[,;.!?:+&>/\n()\"“”]|->|→|\s[-–—]\s|\s(?=(?:without|minus|sans)\b)"
    rf"|\b(?:and|n|while|{_WITH}|plus|{_SINCE}|{_AS}|but|{_OVER}|{_SOONER_OR_LATER})\b)+\s*",
    re.IGNORECASE,
)
_DEEDS = "wink|blink|smirk|look|glance|tilt|turn"
_UNJOINED = re.compile(rf"\b(left|right) (?={_DEEDS})", re.IGNORECASE)  # "wink left wink right"
_FROM_TO = re.compile(  # "goes from calm to furious", but not from left to right
    r"\bfrom (?!(?:the )?(?:left|right|side|ear|top|up|down|head|time|start|one|here|corner)\b)"
    r"((?:[\w'’-]+ ){1,4}?)to (?=[a-z])",
    re.IGNORECASE,
)
_UNPARTED = re.compile(  # "once you have nodded you wink"
    rf"^(\W*(?:{_SINCE}|before) (you|u|i|he|she|they)\b[^,;.!?]*?) (?=\2\b)", re.IGNORECASE
)
_EARLIER = re.compile(r"\b(?:after|once|as soon as)\s*$", re.IGNORECASE)
_LATER = re.compile(r"\bbefore\s*$", re.IGNORECASE)
_BEHIND = re.compile(rf"[.;?!\n]|->|→|\b(?:{_SOONER_OR_LATER})\b", re.IGNORECASE)
_BESIDE = re.compile(r"\b(?:while|with|as|over|under|above|beneath)\b", re.IGNORECASE)
_AT_ONCE = re.compile(
    r"\b(?:(?:at )?the same time|(?:both|all) at once|(?:both|all) together|simultaneously"
    r"|together\W*$)",
    re.IGNORECASE,
)
_ASIDE = re.compile(r"\b(?:like|as if|as though|so|because|bc|if)\b.*$", re.IGNORECASE)
_SAYS_NOTHING = re.compile(  # who is spoken to, and how something else is done
    r"\W*(?:love|dear|darling|sweetheart|honey|mate|bro|guys|team|kids|everyone|please|pls|ok|okay"
    r"|firmly|slowly|quickly|gently|softly|hard|more|again|twice|thrice|three times|repeat)\W*",
    re.IGNORECASE,
)
_ENDING = re.compile(r"\s*(?:end|finish|close|stop|wind up)(?:s|ing)?\b", re.IGNORECASE)
_FACE = f"{PARTS}|face"
_SUBJECT = re.compile(rf"\b(?:{_FACE})\b", re.IGNORECASE)
_BEGINS = re.compile(rf"\W*(?:(?:{WHOSE}) )?(?:{_FACE}) \w", re.IGNORECASE)
_GOES_ON = re.compile(  # a verb that lacks its subject ("snaps shut")
    r"\W*(?!(?:is|as|this|his|yes|always)\b)[a-z]+[a-rt-z]s\b", re.IGNORECASE
)
_WAY = r"(?:(?:over|back|off|away) )?(?:to (?:(?:the|your|ur|his|her|their|my) )?)?"
_HEADING = re.compile(  # "looks down at the ball": what follows may say only "up at the sky"
    rf"\b{_WAY}(?:left|right|up|down|upwards?|downwards?|sideways)\b", re.IGNORECASE
)
_HEADED = re.compile(rf"\W*(?:{_HEADING.pattern})(?! (?:and|or)\b)", re.IGNORECASE)
_STATE = re.compile(  # what a part of the face is said to be or to do behind one that names it
    r"\W*(?:(?:snap|pop|fl|spring|go|com)(?:s|es|ies|y|e)? )?(?:very |super |real(?:ly)? )?"
    r"(?:wide open|open wide|wide|open(?:s|ed)?|shut(?:s)?|close[sd]?|huge)\b",
    re.IGNORECASE,
)
_THEM = re.compile(  # behind a word for what is done with it ("slide them left")
    r"^(\W*(?:(?:now|slowly|quickly) )?(?!(?:is|was|this|that|like|for|to|if|about)\b)\w+)"
    r" (?:it|them|'em|em)\b",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class Part:
    """A part of a prompt.

    Attributes:
        text: Its words.
        follows: Whether the text says that it comes behind the part before it.
        full: Its words with those of the part before that it leaves out ("look down, then up at
            the sky": "look up at the sky").
        beside: Whether the text says that it comes with the part before it.
    """

    text: str
    follows: bool
    full: str
    beside: bool = False

    @property
    def core(self) -> str:
        """What it says without likening and reasons; empty where that is nothing of its own."""
        core = _ASIDE.sub("", _AT_ONCE.sub("", self.text))
        return core if re.search(r"\w", core) and _SAYS_NOTHING.fullmatch(core) is None else ""

    @property
    def wordings(self) -> tuple[str, ...]:
        """What it may be named by, the best first: all of its words, and those at its core."""
        core = _ASIDE.sub("", self.full).strip()
        return (self.full, core) if core and core != self.full.strip() else (self.full,)


def spoken_parts(text: str) -> tuple[Part, ...]:
    """Cut a text into parts, in the order in which they happen.

    None where it is of one part or of more than nine.

    Example:
        >>> [(part.text, part.follows) for part in spoken_parts("frown, then look up and smile")]
        [('frown', False), ('look up', True), ('smile', False)]
        >>> [part.text for part in spoken_parts("shake your head, but only after you have nodded")]
        ['you have nodded', 'shake your head']
        >>> spoken_parts("a smile")
        ()
    """
    at_once = _AT_ONCE.search(text) is not None
    parts: list[Part] = []
    for joint, words in _cut(text):
        full = _completed(words, parts[-1].full) if parts else words
        is_behind = _BEHIND.search(joint) is not None or _ENDING.match(words) is not None
        follows = bool(parts) and is_behind
        is_beside = bool(parts) and (at_once or _BESIDE.search(joint) is not None)
        parts.append(Part(words, follows, full, is_beside and not follows))
    return tuple(parts) if 2 <= len(parts) <= _MOST_PARTS else ()


def _cut(text: str) -> list[tuple[str, str]]:
    """The words of each part, with what joins them to those before; what comes first is first."""
    text = _AND_AFTER.sub("and then", _WITHOUT.sub(" without", text))
    text = _FROM_TO.sub(r"\1then ", _UNJOINED.sub(r"\1, ", _UNPARTED.sub(r"\1, ", text)))
    cut: list[tuple[str, str]] = []
    at, joint = 0, ""
    for match in (*_JOINT.finditer(text), None):
        words = text[at : match.start()] if match else text[at:]
        if any(c.isalpha() for c in words):
            cut.append((joint, words))
            joint = ""
        if match:
            joint, at = joint + match.group(), match.end()
    return _as_it_happens(cut)


def _as_it_happens(cut: list[tuple[str, str]]) -> list[tuple[str, str]]:
    """Parts in the order of what happens: "nod after you blink", "before you smile, frown"."""
    cut = list(cut)
    for i, (joint, words) in enumerate(cut):
        has_next = i + 1 < len(cut)
        opens = i == 0 or re.search(r"[.;!?\n]" + ("|," if has_next else ""), joint) is not None
        is_earlier = _EARLIER.search(joint) is not None
        if is_earlier and not opens:
            cut[i - 1 : i + 1] = [(cut[i - 1][0], words), ("then", cut[i - 1][1])]
        elif is_earlier and has_next:
            cut[i + 1] = ("then", cut[i + 1][1])
        elif opens and has_next and _LATER.search(joint):
            cut[i : i + 2] = [("", cut[i + 1][1]), ("then", words)]
    return cut


def _completed(text: str, before: str) -> str:
    """A part with the words that it leaves to the part before.

    Example:
        >>> _completed("up at the sky", "she looks down")
        'she looks up at the sky'
        >>> _completed("slide them left", "purse the lips")
        'slide the lips left'
    """
    heading, own, nouns = _HEADING.search(before), _SUBJECT.search(text), _SUBJECT.findall(before)
    if heading and heading.start() and _HEADED.match(text):
        is_alike = own is None or own[0] in before[heading.start() :]
        return before[: heading.start()] + text.strip() if is_alike else text
    if nouns and own is None:
        if _STATE.match(text) or (_BEGINS.match(before) and _GOES_ON.match(text)):
            return f"{nouns[-1]} {text.strip()}"
        return _THEM.sub(rf"\1 the {nouns[-1]}", text, count=1)
    return text
