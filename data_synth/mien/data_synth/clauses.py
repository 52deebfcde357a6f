"""One action in words: as a verb phrase, as a noun phrase, as tags."""

import random
import re
from dataclasses import dataclass

from mien.data_synth.grammar import Form, Person, fill, inflect, with_adjective
from mien.data_synth.lexicon import Entry, Lexicon
from mien.data_synth.performance import Action, Performance
from mien.data_synth.phrases import Split
from mien.data_synth.score import intensity_word
from mien.data_synth.wording import Wording

_WORD_ODDS = {"slight": 0.88, "mid": 0.05, "strong": 0.88}
_LOOK_VERBS = ("look", "look", "look", "look", "be", "seem", "appear", "get", "become", "feel")
_SHOW_VERBS = ("show", "make", "have", "put on", "give")
_SIDE_ENDINGS = (" on the {side}", " on {her} {side} side", ", {side} side only", " ({side})")


@dataclass(frozen=True)
class Speaker:
    """What it takes to word an action.

    Attributes:
        rng: Chance.
        lexicon: Where the phrases are.
        split: Which phrases may be used.
        person: Whom it is about.
        wording: Joins and words of strength.
    """

    rng: random.Random
    lexicon: Lexicon
    split: Split
    person: Person
    wording: Wording

    def pick(self, table: str, key: str) -> str:
        """A line of the wording."""
        return self.rng.choice(self.wording.of(table, key, self.split))

    def strength(self, action: Action, place: str) -> str:
        """A word of strength for an action, or nothing."""
        entry = self.lexicon[action.entry]
        word = intensity_word(action.intensity)
        if entry.intensity[1] - entry.intensity[0] < 0.4 or self.rng.random() > _WORD_ODDS[word]:
            return ""
        return fill(self.pick(word, place), self.person)

    def side(self, action: Action) -> str:
        """The side to mention, or nothing."""
        entry = self.lexicon[action.entry]
        if action.side == "both":
            return ""
        odds = 1.0 if "both" in entry.sides else 0.35 if entry.kind == "emotion" else 0.85
        return action.side if self.rng.random() < odds else ""

    def phrase(self, entry: Entry, form: str, side: str = "") -> str:
        """One of an entry's phrases of a grammatical form, or nothing."""
        options = getattr(entry.phrases, form).of(self.split)
        return fill(self.rng.choice(options), self.person, side) if options else ""


def verb_phrase(speaker: Speaker, action: Action, form: Form) -> str:
    """An action as a verb phrase in a form: "smiles slightly", "looking very sad"."""
    rng, entry = speaker.rng, speaker.lexicon[action.entry]
    side = speaker.side(action)
    word = intensity_word(action.intensity)
    kind = _kind_of_phrase(rng, entry, side, word)
    if kind == "looks":
        phrase = _look(speaker, action, entry)
    elif kind == "nouns":
        noun = noun_phrase(speaker, action, side)
        if not noun.startswith(("a ", "an ", "the ")):
            return inflect(_plain(speaker, action, entry, side), form)
        phrase = f"{rng.choice(_SHOW_VERBS)} {noun}"
    elif kind in ("scenes", "likes"):
        phrase = _implied(speaker, entry, kind)
    else:
        phrase = _plain(speaker, action, entry, side)
    return inflect(phrase, form)


def _kind_of_phrase(rng: random.Random, entry: Entry, side: str, word: str) -> str:
    if side and entry.phrases.sided.train:
        return "verbs"
    phrases = entry.phrases
    odds = {"verbs": 1.0, "nouns": 0.14}
    if phrases.looks.train:
        odds["looks"] = 1.3 if entry.kind == "emotion" else 0.2
    rare = 0.25 if word != "mid" else 1.0  # an implied look carries no word of strength
    if phrases.scenes.train:
        odds["scenes"] = 0.4 * rare
    if phrases.likes.train:
        odds["likes"] = 0.25 * rare
    return rng.choices(list(odds), list(odds.values()))[0]


def _look(speaker: Speaker, action: Action, entry: Entry) -> str:
    adjective = speaker.phrase(entry, "looks")
    strength = speaker.strength(action, "before")
    return f"{speaker.rng.choice(_LOOK_VERBS)} {strength} {adjective}".replace("  ", " ")


def _implied(speaker: Speaker, entry: Entry, kind: str) -> str:
    implied = speaker.phrase(entry, kind)
    if kind == "scenes":
        return f"{speaker.rng.choice(('look', 'look', 'react', 'act'))} as if {implied}"
    if entry.kind == "emotion" or speaker.rng.random() < 0.3:
        return f"look {implied}"
    return f"{speaker.phrase(entry, 'verbs')} {implied}"


def _plain(speaker: Speaker, action: Action, entry: Entry, side: str) -> str:
    rng = speaker.rng
    sided = bool(side) and rng.random() < 0.9
    phrase = speaker.phrase(entry, "sided", side) if sided else ""
    if not phrase:
        phrase = speaker.phrase(entry, "verbs", side)
        if side:
            phrase += fill(rng.choice(_SIDE_ENDINGS), speaker.person, side)
    if rng.random() < 0.25:
        phrase = re.sub(r"to the (left|right)\b", rf"to {speaker.person.their} \1", phrase)
    strength = speaker.strength(action, "after")
    if strength.endswith("ly") and " " not in strength and rng.random() < 0.35:
        phrase = f"{strength} {phrase}" if _may_lead(strength) else f"{phrase} {strength}"
    elif strength:
        phrase = f"{phrase} {strength}"
    return phrase + _length(speaker, action, entry)


_LEADING = frozenset(
    ["slightly", "faintly", "subtly", "gently", "softly", "strongly", "hugely", "intensely"]
)


def _may_lead(adverb: str) -> bool:
    return adverb in _LEADING


def _length(speaker: Speaker, action: Action, entry: Entry) -> str:
    seconds = action.end_s - action.start_s
    if speaker.rng.random() > 0.12:
        return ""
    if seconds <= 0.8 and entry.kind in ("expression", "head", "gaze"):
        return " " + speaker.pick("lengths", "brief")
    if seconds >= 1.4 and speaker.rng.random() < 0.5:
        return " " + speaker.pick("lengths", "timed").format(d=spoken_seconds(seconds))
    return " " + speaker.pick("lengths", "long") if seconds >= 3.4 else ""


def spoken_seconds(seconds: float) -> str:
    """Seconds to the half, as one says them.

    Example:
        >>> spoken_seconds(2.0), spoken_seconds(1.4)
        ('2', '1.5')
    """
    return f"{max(0.5, round(seconds * 2) / 2):g}"


def noun_phrase(speaker: Speaker, action: Action, side: str | None = None) -> str:
    """An action as a noun phrase: "a slight smile on the left"."""
    entry = speaker.lexicon[action.entry]
    noun = speaker.phrase(entry, "nouns") or speaker.phrase(entry, "words")
    strength = speaker.strength(action, "noun")
    if strength:
        is_tag = len(noun.split()) > 2 and not noun.startswith(("a ", "an ", "the "))
        noun = f"{noun} ({strength})" if is_tag else with_adjective(noun, strength)
    side = speaker.side(action) if side is None else side
    if side and side not in noun:
        endings = (" on the {side}", " on the {side} side", " ({side})")
        noun += speaker.rng.choice(endings).format(side=side)
    return noun


def tag(speaker: Speaker, action: Action) -> str:
    """An action as a tag: "slight smile", "wink (left)"."""
    rng, entry = speaker.rng, speaker.lexicon[action.entry]
    name = speaker.phrase(entry, "words") if rng.random() < 0.85 else entry.id.replace("-", " ")
    side, strength = speaker.side(action), speaker.strength(action, "tag")
    if side and side not in name:
        name = rng.choice((f"{side} {name}", f"{name} {side}", f"{name} ({side})"))
    if strength:
        name = rng.choice((f"{strength} {name}", f"{strength} {name}", f"{name} ({strength})"))
    return name


_RESTRAINTS = {
    "jawOpen": (", without opening {her} mouth", ", mouth closed", " with {her} mouth shut"),
    "head": (", without moving {her} head", " with {her} head still", ", head still"),
    "gaze": (", eyes on the camera", ", looking at the camera", " while facing the camera"),
}


def restraint(speaker: Speaker, performance: Performance) -> str:
    """Sometimes say what does not happen, where it indeed does not."""
    if speaker.rng.random() > 0.05:
        return ""
    part = speaker.rng.choice(("jawOpen", "head", "gaze"))
    entries = (speaker.lexicon[a.entry] for a in performance.actions)
    tracks = (t for e in entries for u in (e.units, e.wave, *(s for _, s in e.steps)) for t in u)
    if any(t.startswith(part) for t in tracks):
        return ""
    return fill(speaker.rng.choice(_RESTRAINTS[part]), speaker.person)
