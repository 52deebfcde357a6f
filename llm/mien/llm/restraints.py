"""What a prompt forbids in so many words: "without moving the mouth", "only the eyes", "no smile".

A plan can leave a thing out but cannot forbid it, so what is forbidden bars the entries of the
lexicon that do it, and the motion codes that show it: a look to the left turns the head a little,
unless the head is to keep still.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Literal

import numpy as np
import torch
from jaxtyping import Bool, Float
from numpy import ndarray
from torch import Tensor

from mien.arkit import CHANNEL_NAMES
from mien.data_synth.lexicon import TRACKS, Entry, Lexicon, Units
from mien.llm.parts import THEN

Binds = Literal["all", "first", "later"]

# What moves each part of the face: beginnings of tracks, each with how much of it shows at full
# strength. A leading "+" or "-" means that direction alone.
_OPENING: Units = {"jawOpen": 0.2, "tongueOut": 0.2}
_PARTS: Mapping[str, Units] = {
    "mouth": {**_OPENING, "jaw": 0.2, "cheekPuff": 0.2, "mouth": 0.3},
    "jaw": {"jaw": 0.2},
    "eyes": {"eye": 0.35, "cheekSquint": 0.3, "gaze": 0.3, "crossEyes": 0.3},
    "brows": {"brow": 0.25},
    "head": {"head": 0.2},
    "nose": {"nose": 0.25},
    "cheeks": {"cheek": 0.3},
    "tongue": {"tongueOut": 0.2},
    "teeth": {"jawOpen": 0.2, "mouthUpperUp": 0.25, "mouthLowerDown": 0.25},
}
_COMPANIONS: Mapping[str, Sequence[str]] = {  # what else moves where a part moves alone
    "mouth": ("cheekPuff",),
    "jaw": ("mouth",),
    "nose": ("mouthUpperUp", "cheekSquint", "eyeSquint", "browDown"),
    "cheeks": ("eyeSquint", "mouth"),
    "tongue": ("jawOpen", "mouthLowerDown"),
    "teeth": ("mouth", "jawOpen"),
}
_CHANNELS: Mapping[str, Sequence[str]] = {  # what tracks are called in curves
    "gaze": ("eyeLook",),
    "+gazePitch": ("eyeLookDown",),
    "-gazePitch": ("eyeLookUp",),
    "+gazeYaw": ("eyeLookOutLeft", "eyeLookInRight"),
    "-gazeYaw": ("eyeLookInLeft", "eyeLookOutRight"),
    "+mouthSide": ("mouthLeft",),
    "-mouthSide": ("mouthRight",),
    "+jawSide": ("jawLeft",),
    "-jawSide": ("jawRight",),
}
_LEEWAY = 1.5  # how much more the rest of the face may show where one part "only" is to move
MAIN = 0.6  # of its strongest track: what an entry must keep to be seen as itself
_IDLE = 0.25  # share of what bars an entry that may show beside others,
_IDLE_HEAD = 0.1  # and of the head, whose least turn shows
_NOUNS: Mapping[str, str] = {
    "mouth": "mouth|lips?|gob|trap",
    "jaw": "jaw",
    "eyes": "eyes?|lids?|eyelids?|gaze|peepers?",
    "brows": "brows?|eyebrows?|forehead",
    "head": "head|neck|chin|noggin|facing",
    "nose": "nose|nostrils?|conk|snout",
    "cheeks": "cheeks?",
    "tongue": "tongue",
    "teeth": "teeth|tooth",
}
_HELD: Mapping[tuple[str, str], Units] = {  # what must not happen where a part is held like that
    **{
        (part, how): _OPENING
        for part in ("mouth", "jaw")
        for how in ("closed", "shut", "sealed", "together", "zipped", "clamped", "locked")
    },
    ("jaw", "open"): {},
    **{("mouth", how): {} for how in ("open", "high", "up", "in")},
    ("nose", "in"): {},
    **{("eyes", how): {} for how in ("closed", "shut", "sealed", "together", "high", "up")},
    ("eyes", "open"): {"eyeBlink": 0.4},
    **{("head", how): {"+headPitch": 0.12} for how in ("high", "up")},
    **{("brows", how): {} for how in ("high", "up", "together")},
    **{("teeth", how): {} for how in ("closed", "shut", "together")},
}
_DEEDS: Mapping[str, Units] = {  # by words, as patterns
    "smil(?:es?|ing)|grin(?:s|ning)?": {"mouthSmile": 0.5},
    "frown(?:s|ing)?|scowl(?:s|ing)?": {"mouthFrown": 0.3, "browDown": 0.4},
    "blink(?:s|ing)?": {"eyeBlink": 0.6},
    "squint(?:s|ing)?": {"eyeSquint": 0.4},
    "nod(?:s|ding)?": {"headPitch": 0.2},
    "tilt(?:s|ing)?": {"headRoll": 0.1},
    "sob(?:s|bing)?": {"jawOpen": 0.3},
    "look(?:s|ing)? down": {"+headPitch": 0.12, "+gazePitch": 0.3},
}

_MOVE = (
    "(?:mov|us|involv|chang|turn|tilt|rais|lower|lift|narrow|widen|clench|wrinkl|scrunch|crinkl"
    "|furrow|flar|budg|stir|shift|twitch|wiggl)(?:e|es|ing)?"
)
# Forms are written in words; what stands in braces is one of these.
_SLOTS: Mapping[str, str] = {
    "not": "(?:without|w/o|do not|don['’]?t|does not|doesn['’]?t|never)"
    "(?: (?:even|ever|any|a|so much as a|(?:a|the|any) (?:hint|trace|sign|flicker) of(?: an?)?))?",
    "wont": "(?:without|never|cannot|(?:do|does|will|must|should|can) not"
    "|(?:do|does|wo|must|should|ca)n['’]?t)",
    "the": "(?:the|your|ur|her|his|their|my|our|its|any|both|either|that|this)",
    "part": f"(?:(?:whole|left|right|upper|lower) )?(?P<part>{'|'.join(_NOUNS.values())})",
    "move": f"{_MOVE}(?: (?:or|and|nor) {_MOVE})?",
    "keep": "(?:keep|hold|keeps|holds|keeping|holding|with)",
    "leave": "(?:leave|leaves|leaving)",
    "stay": "(?:(?:must |should )?(?:stay|remain)(?:s|ing)?|kept|held|is kept|are kept)",
    "still": "(?:(?:perfectly|completely|absolutely|totally|very|dead|stock|firmly|tightly) )?"
    "(?P<how>still|asleep|quiet|idle|fixed|parked|flat|zipped|clamped|steady|neutral|normal"
    "|relaxed|motionless|unmoved|frozen|locked|level|straight"
    "|put|at rest|(?:as|where) (?:it is|they are)|out of (?:it|this)|facing|forward|high|up|open"
    "|in|inside|closed|shut|sealed|together)",
}
_FORBIDDING = (
    "{not} {move}(?: {the})? {part}",
    "(?:not|no) (?:moving|using|turning)(?: {the})? {part}",
    "{not} (?P<act>open|part|show)(?:s|ing)?(?: {the})? {part}",
    "without (?:{the} )?{part} (?:mov|do|join|tak|chang)ing",
    "(?:{keep}|{leave}) (?:{the} )?{part} {still}",
    "{leave} (?:{the} )?{part} (?:alone|be|out of (?:it|this)|as (?:it is|they are))",
    "{part} {stay} {still}",
    "{part} (?:(?:must|should|may|will|can) )?(?:{not}|not|{wont}) "
    "(?:mov|join|chang|turn)(?:es?|s|ing)?(?! otherwise)",
    "{part} do(?:es|ing)? nothing",
    "(?:{the} )?{part}(?: (?:is|are))? (?:(?:perfectly|completely|totally) )?"
    "(?P<how>frozen|asleep|motionless|unmoving)(?! (?:in (?!place)|open|wide|mid))",
    "(?:but|and) not {move} {the} {part}",
    "{part} (?:{not}|not) (?P<act>open|part)(?:s|ing)?",
    "{wont} (?P<end>clos|shut)(?:es?|s|ing)?(?: {the})? (?P<part>eyes?)",
    "{wont} (?P<end>hang|drop|lower|bow)(?:s|ing)?(?: {the})? (?P<part>head)",
    "{wont} (?:put|stick|poke)(?:s|ing)?(?: out)?(?: {the})? (?P<part>tongue)",
    "without {the} (?P<part>eyes|brows?|eyebrows?|mouth|lips|head|teeth)(?=[,.;:!)]|$)",
    "nothing (?:a?round|about|in) {the} {part}",
    "no {part} (?:move?(?:ments?|ing)|moving|(?:turn|tilt)(?:s|ing)?)",
    "{part} (?P<how>open) (?:the whole|all the) (?:time|while)",
    "{not} let {the} {part} (?:(?:pop|fall|come|slip|go) )?(?P<end>clos|shut|open|mov|turn|drop)"
    "(?:es?|s)?",
    "no (?P<act>open) {part}",
    "{keep} (?P<part>facing) (?:forwards?|(?:the )?(?:front|camera|viewer))",
    "no (?P<part>tongue)(?=[,.;:!]|$)",
    "(?P<part>mouth|lips|jaw)(?: (?:firmly|tightly|well))? (?P<how>closed|shut|sealed|zipped)",
    "(?P<part>head)(?: (?:dead|stock|perfectly))? (?P<how>still|level|straight|locked)(?! up)",
    "(?:no|not (?:one|a|a single)) (?P<part>teeth|tooth)(?: show(?:s|ing)| visible)?(?=[,.;:!]|$)",
    "(?:but|and|above all|especially|least of all) not (?:with )?{the} {part}",
    "(?:not|n['’]?t|never)(?: quite| really)? reach(?:es|ing)? {the} (?P<part>eyes)",
)
_ALLOWING = (
    "(?:only|just|nothing(?: moves)? but) {the} {part}",
    "(?:{the} )?{part} (?:only|alone)(?! (?:just|for|a|half))",
)
_NOT_DOING = (
    "(?:{not}|no|zero) (?P<deed>{deeds})",
    "(?:nobody(?: at the \\w+)?|no one) (?:may|must|can|should|will) see (?:a|the|your) "
    "(?P<deed>{deeds})",
)
_BEHIND = re.compile(rf"\b(?:{THEN}|after)\b|->|→", re.IGNORECASE)
_TURN = re.compile(r"\b(?:head|nod|shak|tilt|turn|bow|lean|chin)", re.IGNORECASE)
_ELSEWHERE = re.compile(rf"\b(?:{'|'.join((*_NOUNS.values(), *_DEEDS))})\b", re.IGNORECASE)
_UNDONE = re.compile(  # what stands before a form that does not mean what it says
    r"(?:\b(?:not|can|cannot|above|under|below|around|round|stop)|n['’]?t|\b(?:barely|hardly))$",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class Restraint:
    """What must not happen.

    Attributes:
        tracks: How much each track of the face may show at most, by its beginning.
        entries: What is forbidden by name.
        is_joint: Whether only what shows all of the tracks is meant: a laugh opens the jaw and
            smiles, and who forbids it forbids neither.
        binds: Which actions. Those behind the first alone, where the text says it behind a "then"
            (but a head that nothing has turned before is to keep still all the while); the first
            alone, where one part "only" is to move and behind a "then" others do.
    """

    tracks: Units
    binds: Binds = "all"
    entries: frozenset[str] = frozenset()
    is_joint: bool = False

    @property
    def looks(self) -> tuple[Units, ...]:
        """Tracks of which any, for each of several groups all of which must be shown."""
        each = tuple({track: most} for track, most in self.tracks.items())
        return each if self.is_joint else (self.tracks,)


def restraints(text: str) -> tuple[Restraint, ...]:
    """Read what a text forbids.

    Example:
        >>> [dict(each.tracks) for each in restraints("a laugh, no teeth")]
        [{'jawOpen': 0.2, 'mouthUpperUp': 0.25, 'mouthLowerDown': 0.25}]
        >>> restraints("a laugh, then a frown")
        ()
    """
    text = " ".join(text.split())
    found = []
    for pattern, is_allowing in _patterns():
        for match in pattern.finditer(text):
            before = text[: match.start()].rstrip()
            if _UNDONE.search(before) is None:
                found.append(_restraint(match, is_allowing))
        text = pattern.sub(lambda match: " " * len(match.group()), text)  # each is read once
    return tuple(each for each in found if each.tracks)


def barred_entries(
    found: Sequence[Restraint], entries: Sequence[str]
) -> tuple[Bool[Tensor, " e"], ...]:
    """Which entries of the lexicon restraints forbid.

    Args:
        found: The restraints.
        entries: Names in the order of the result.

    Returns:
        One mask for the first action and one for those behind it; nothing where there are no
        restraints. A mask that would leave no entry bars none.
    """
    if not found:
        return ()
    shown = _shown(tuple(entries))
    masks = []
    for place in ("first", "later"):
        barred = np.zeros(len(entries), bool)
        for each in found:
            if each.binds in ("all", place):
                barred |= np.isin(entries, list(each.entries))
                if each.tracks:
                    shows = [(shown >= _most(look)).any(axis=(1, 2)) for look in each.looks]
                    barred |= np.all(shows, axis=0)
        masks.append(torch.from_numpy(barred & (not barred.all())))
    return tuple(masks)


def keep_their_look(found: Sequence[Restraint], entries: Sequence[str]) -> Bool[Tensor, " e"]:
    """Which entries are still to be seen where restraints keep part of the face from them.

    A gasp without the brows is one of mouth and eyes; a nod that does not move the head is none.
    """
    shown = _shown(tuple(entries))
    free = np.ones_like(shown, bool)
    forbidden = np.zeros(len(entries), bool)
    for each in found:
        forbidden |= np.isin(entries, list(each.entries))
        for look in each.looks:
            free &= shown < _most(look)
    most = shown.max(axis=(1, 2))
    left = np.where(free, shown, 0.0).max(axis=(1, 2))
    return torch.from_numpy((left >= MAIN * most) & ~forbidden)


def barred_codes(
    found: Sequence[Restraint], poses: Float[ndarray, "c channel"]
) -> Bool[Tensor, " c"] | None:
    """Which motion codes restraints forbid all the while.

    Args:
        found: The restraints.
        poses: What each code shows on a face at rest, as ARKit curves (`mien.arkit`).

    Returns:
        A mask, or None where nothing of them binds all that is done.
    """
    binding = [each for each in found if each.binds == "all" and each.tracks]
    if not binding:
        return None
    barred = np.zeros(len(poses), bool)
    for each in binding:
        barred |= np.all([_show(poses, look) for look in each.looks], axis=0)
    return torch.from_numpy(barred & (not barred.all()))


def _show(poses: Float[ndarray, "c channel"], look: Units) -> Bool[ndarray, " c"]:
    """Which poses show any of some tracks more than may be in passing."""
    shows = np.zeros(len(poses), bool)
    for channel, most in _limits(look).items():
        shown = poses[:, CHANNEL_NAMES.index(channel.lstrip("+-"))]
        idle = most * (_IDLE_HEAD if "head" in channel else _IDLE)
        shows |= {"+": shown, "-": -shown}.get(channel[0], np.abs(shown)) > idle
    return shows


@cache
def _patterns() -> tuple[tuple[re.Pattern[str], bool], ...]:
    """The forms, with whether they allow one part (and forbid all others)."""
    deeds = [form.replace("{deeds}", "|".join(_DEEDS)) for form in _NOT_DOING]
    forms = [*((form, False) for form in (*_FORBIDDING, *deeds)), *((f, True) for f in _ALLOWING)]
    return tuple(
        (re.compile(rf"(?<![\w'’-])(?:{form.format(**_SLOTS)})(?![\w-])", re.IGNORECASE), allowing)
        for form, allowing in forms
    )


def _restraint(match: re.Match[str], is_allowing: bool) -> Restraint:
    """What a form forbids, and which actions that binds."""
    words = match.groupdict().get("part")
    part = _part(words.lower()) if words else ""
    after = match.string[match.end() :]
    binds, ahead = bound(match.string[: match.start()], part == "head"), _BEHIND.search(after)
    if is_allowing and ahead and _names_another(after[ahead.end() :], part):
        return Restraint({} if binds == "later" else _allowed(part), "first")
    return Restraint(_allowed(part) if is_allowing else _forbidden(match), binds)


def _names_another(text: str, part: str) -> bool:
    """Whether a text names another part of the face, or a deed."""
    named = (match[0].lower() for match in _ELSEWHERE.finditer(text))
    return any(re.fullmatch(_NOUNS[part], word) is None for word in named)


def bound(before: str, of_head: bool) -> Binds:
    """Which actions a restraint binds, by what the text says before it."""
    behind = _BEHIND.search(before)
    if behind and not (of_head and _TURN.search(before[: behind.start()]) is None):
        return "later"
    return "all"


def _forbidden(match: re.Match[str]) -> Units:
    """Tracks that a form forbids."""
    words = {name: word.lower() for name, word in match.groupdict().items() if word}
    if "deed" in words:
        return next(u for pattern, u in _DEEDS.items() if re.fullmatch(pattern, words["deed"]))
    part = _part(words["part"])
    if part == "eyes" and words.get("end") in ("clos", "shut"):
        return _HELD["eyes", "open"]
    if part == "head" and words.get("end") in ("hang", "drop", "lower", "bow"):
        return _HELD["head", "up"]
    if words.get("end") == "open" and part != "eyes":
        return _OPENING if part in ("mouth", "jaw", "teeth") else {}
    if "act" in words and (part != "teeth" or words["act"] == "part"):
        return _OPENING if part in ("mouth", "jaw", "teeth") else {}
    return _HELD.get((part, words.get("how", "still")), _PARTS[part])


def _allowed(part: str) -> Units:
    """Tracks that a form forbids which allows one part."""
    own = (*_PARTS[part], *_COMPANIONS.get(part, ()))
    others = (track for units in _PARTS.values() for track in _spread(units).items())
    return {
        track: most if track.startswith("head") else most * _LEEWAY
        for track, most in others
        if not track.startswith(own)
    }


def _part(noun: str) -> str:
    return next(part for part, words in _NOUNS.items() if re.fullmatch(words, noun))


def _spread(units: Units) -> dict[str, float]:
    """The tracks that begin like these; of several beginnings the longest counts."""
    return _spread_over(TRACKS, units)


def _limits(units: Units) -> dict[str, float]:
    """The same for the channels of curves, where gaze is four directions an eye."""
    named = {look: most for name, most in units.items() for look in _CHANNELS.get(name, (name,))}
    return _spread_over(CHANNEL_NAMES, named)


def _spread_over(tracks: Sequence[str], units: Units) -> dict[str, float]:
    out = {}
    for track in tracks:
        names = [name for name in units if track.startswith(name.lstrip("+-"))]
        if names:
            name = max(names, key=len)
            sign = name[0] if name[0] in "+-" else ""
            out[sign + track] = units[name]
    return out


@cache
def _shown(entries: tuple[str, ...]) -> Float[ndarray, "e 2 track"]:
    """How far entries move each track at full strength, above 0 and below it."""
    out = np.zeros((len(entries), 2, len(TRACKS)))
    for entry, rows in zip(entries, out, strict=True):
        recipe = Lexicon.default().entries.get(entry, Entry(entry, "action"))
        for i, track in enumerate(TRACKS):
            held, wave = recipe.units.get(track, 0.0), abs(recipe.wave.get(track, 0.0))
            places = [
                held - wave,
                held + wave,
                *(step.get(track, 0.0) for _, step in recipe.steps),
            ]
            rows[:, i] = max(places), -min(places)
        # A jaw that drops behind pressed lips chews and opens nothing.
        rows[:, TRACKS.index("jawOpen")] -= recipe.units.get("mouthPressLeft", 0.0)
    return out


def _most(tracks: Units) -> Float[ndarray, "2 track"]:
    """From where on a track shows, above 0 and below it; infinite where it may show."""
    spread = _spread(tracks)
    either = np.array([spread.get(track, np.inf) for track in TRACKS])
    signed = np.array([[spread.get(sign + track, np.inf) for track in TRACKS] for sign in "+-"])
    most: Float[ndarray, "2 track"] = np.minimum(either, signed)
    return most
