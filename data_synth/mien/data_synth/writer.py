"""The writer: a performance in words, from a single word to a director's note."""

import random
import re

from mien.data_synth.clauses import (
    Speaker,
    noun_phrase,
    restraint,
    spoken_seconds,
    tag,
    verb_phrase,
)
from mien.data_synth.grammar import (
    PEOPLE_NAMED,
    PERSONS,
    YOU,
    Form,
    inflect,
    sentence,
)
from mien.data_synth.lexicon import Lexicon
from mien.data_synth.performance import Action, Performance
from mien.data_synth.phrases import Split
from mien.data_synth.score import intensity_word
from mien.data_synth.wording import Wording

_REGISTERS = {  # odds for one action, for more
    "command": (18, 22),
    "told": (19, 27),
    "wish": (16, 17),
    "asked": (4, 3),
    "noted": (6, 8),
    "screenplay": (4, 5),
    "plain": (9, 9),
    "word": (12, 0),
    "tags": (4, 8),
    "timed": (3, 7),
    "scene": (9, 3),
}
_OVERLAP_S = 0.25  # less common time than this still reads as one after the other


def write(
    performance: Performance,
    rng: random.Random,
    lexicon: Lexicon | None = None,
    split: Split = "train",
) -> str:
    """Write one of the many texts that a performance may have been asked for by.

    Args:
        performance: What is done.
        rng: Chance.
        lexicon: Where the phrases are; the shipped one when not given.
        split: "test" uses only frames and phrases that training never saw, where there are such.
    """
    lexicon = lexicon or Lexicon.default()
    odds = [pair[len(performance.actions) > 1] for pair in _REGISTERS.values()]
    register = rng.choices(list(_REGISTERS), odds)[0]
    people = PEOPLE_NAMED if register == "screenplay" else PERSONS
    speaker = Speaker(rng, lexicon, split, rng.choice(people), Wording.default())
    if register == "scene" and not lexicon[performance.actions[0].entry].phrases.scenes.train:
        register = "told"
    if register == "word":
        text = _word(speaker, performance.actions[0])
    elif register == "tags":
        text = rng.choice((", ", ", ", " + ", " then ", " -> ", "; ", " / ")).join(
            tag(speaker, a) for a in performance.actions
        )
    elif register == "timed":
        text = _timed(speaker, performance)
    elif register == "scene":
        text = _scene(speaker, performance)
    else:
        text = _framed(speaker, performance, register)
    return _surface(rng, text, register)


def write_label(action: Action, lexicon: Lexicon | None = None) -> str:
    """The plain name of an action: "slight wink, left".

    Example:
        >>> write_label(Action("smile", "both", 0.9, 0.0, 0.3, 1.0, 1.2))
        'strong smile'
    """
    lexicon = lexicon or Lexicon.default()
    words = lexicon[action.entry].phrases.words.train
    name = words[0] if words else action.entry.replace("-", " ")
    word = intensity_word(action.intensity)
    side = "" if action.side == "both" else f", {action.side}"
    return ("" if word == "mid" else f"{word} ") + name + side


def write_events(
    performance: Performance, lexicon: Lexicon | None = None
) -> list[tuple[float, float, str]]:
    """Every action as (start, end, name), seconds."""
    return [(a.start_s, a.end_s, write_label(a, lexicon)) for a in performance.actions]


def overlaps(performance: Performance, index: int) -> bool:
    """Whether an action happens during the one before it."""
    before, action = performance.actions[index - 1 : index + 1]
    return action.start_s < before.end_s - _OVERLAP_S


def _word(speaker: Speaker, action: Action) -> str:
    entry = speaker.lexicon[action.entry]
    forms = ("words", "words", "looks" if entry.phrases.looks.train else "words")
    form = speaker.rng.choice(forms)
    word = speaker.phrase(entry, form)
    side = speaker.side(action)
    if side and side not in word and (entry.kind != "emotion"):
        word = speaker.rng.choice((f"{side} {word}", f"{word} {side}"))
    strength = speaker.strength(action, "before" if form == "looks" else "tag")
    return f"{strength} {word}" if strength else word


def _framed(speaker: Speaker, performance: Performance, register: str) -> str:
    frame = speaker.pick("frames", register)
    if _is_to_you(frame):
        speaker = Speaker(speaker.rng, speaker.lexicon, speaker.split, YOU, speaker.wording)
    whole = frame in ("{S}", "{I}", "{P}")
    person = speaker.person
    if person.is_plural:
        frame = frame.replace("{P}", "{S}")
    slots: dict[str, str] = {
        "name": person.name,
        "NAME": person.name.upper(),
        "they": person.they,
        "them": person.them,
        "whom": person.them if person.name == person.they else person.name,
        "their": person.their,
    }
    for slot, form in _SLOTS.items():
        if f"{{{slot}}}" in frame:
            text = _chain(speaker, performance, form, whole)
            slots[slot] = f"{person.name} {text}" if slot in "SP" else text
    if "{N}" in frame:
        slots["N"] = _noun_chain(speaker, performance)
    return frame.format(**slots)


def _is_to_you(frame: str) -> bool:
    """Whether a frame speaks to the performer."""
    about = any(f"{{{slot}}}" in frame for slot in ("name", "NAME", "they", "them", "whom"))
    return "{I}" in frame or ("{B}" in frame and not about)


_SLOTS: dict[str, Form] = {
    "S": "third",
    "V": "third",
    "B": "base",
    "I": "base",
    "G": "gerund",
    "P": "past",
}


def _chain(speaker: Speaker, performance: Performance, form: Form, whole: bool) -> str:
    """All actions as verb phrases joined in order."""
    person, rng, actions = speaker.person, speaker.rng, performance.actions
    if form == "third":
        form = person.form
    text, done = _first(speaker, performance, form)
    for i in range(done, len(actions)):
        key = "overlap" if overlaps(performance, i) else "seq"
        if key == "seq" and i == len(actions) - 1 and i > 1 and rng.random() < 0.4:
            key = "last"
        table = "joins"
        if key == "seq" and whole and rng.random() < 0.22:
            key = "new_sentence"
        join = _pick_join(speaker, table, key, form)
        text += _fill_join(speaker, join, actions[i], form)
    return text + restraint(speaker, performance)


def _first(speaker: Speaker, performance: Performance, form: Form) -> tuple[str, int]:
    """The first action, or the first two in one: "nods sadly"; and how many that were."""
    rng, actions = speaker.rng, performance.actions
    first = actions[0]
    entry = speaker.lexicon[first.entry]
    if len(actions) > 1 and overlaps(performance, 1) and entry.kind == "emotion":
        adverb = speaker.phrase(entry, "adverbs")
        if adverb and intensity_word(first.intensity) == "mid" and rng.random() < 0.3:
            return f"{verb_phrase(speaker, actions[1], form)} {adverb}", 2
    if len(actions) > 1 and not overlaps(performance, 1) and rng.random() < 0.18:
        return _opening(speaker, first, form), 1
    text = verb_phrase(speaker, first, form)
    if first.start_s >= 0.8 and rng.random() < 0.15 and form == "base":
        text = speaker.pick("lengths", "late").format(t=text)
    return text, 1


def _opening(speaker: Speaker, action: Action, form: Form) -> str:
    """Open with "first"; behind a person's name, with "starts by"."""
    if speaker.person is YOU and form == "base":
        return _fill_join(speaker, speaker.pick("joins", "opening"), action, form)
    return f"{inflect('start', form)} by {verb_phrase(speaker, action, 'gerund')}"


def _pick_join(speaker: Speaker, table: str, key: str, form: Form) -> str:
    """A join whose pronoun, if any, agrees with the form."""
    for _ in range(8):
        join = speaker.pick(table, key)
        if form != "gerund" or "{they}" not in join:
            return join
    return ", {g} at the same time" if key == "overlap" else ", then {x}"


def _fill_join(speaker: Speaker, join: str, action: Action, form: Form) -> str:
    they = speaker.person.they
    if "{n}" in join:
        return join.format(n=noun_phrase(speaker, action), they=they)
    form = "gerund" if "{g}" in join else form
    if "{they}" in join and form in ("third", "base"):
        form = speaker.person.pronoun_form
    if speaker.person is YOU and ". " in join:
        join, form = join.replace("{they} ", ""), "base"
    phrase = verb_phrase(speaker, action, form)
    return join.format(x=phrase, g=phrase, they=they)


def _noun_chain(speaker: Speaker, performance: Performance) -> str:
    """All actions as noun phrases joined in order."""
    actions = performance.actions
    text = noun_phrase(speaker, actions[0])
    for i in range(1, len(actions)):
        if overlaps(performance, i):
            key = "noun_overlap"
        elif _grows(speaker.lexicon, actions[i - 1], actions[i]) and speaker.rng.random() < 0.5:
            key = "noun_grow"
        else:
            key = "noun_last" if i == len(actions) - 1 and i > 1 else "noun_seq"
        text += speaker.pick("joins", key).format(n=noun_phrase(speaker, actions[i]))
    return text


def _grows(lexicon: Lexicon, first: Action, second: Action) -> bool:
    kinds = {lexicon[a.entry].kind for a in (first, second)}
    return kinds <= {"emotion", "expression"} and second.start_s - first.end_s < 0.3


def _scene(speaker: Speaker, performance: Performance) -> str:
    """A situation that implies the first action, then the others."""
    scene = speaker.phrase(speaker.lexicon[performance.actions[0].entry], "scenes")
    if speaker.person.name != speaker.person.they and scene.startswith(f"{speaker.person.they} "):
        scene = speaker.person.name + scene[len(speaker.person.they) :]
    for i, action in enumerate(performance.actions[1:], 1):
        form = speaker.person.pronoun_form
        join = ", and {they} {x}" if overlaps(performance, i) else ". Then {they} {x}"
        scene += _fill_join(speaker, join, action, form)
    return scene


_TIMED = (
    "at {s} s {x} for {d} s",
    "at {s} seconds {x} for {d} seconds",
    "{s}-{e}s: {x}",
    "[{s} - {e}] {x}",
    "from {s} to {e} seconds {x}",
    "{x} from {s} s to {e} s",
    "{s}s {x} until {e}s",
)


def _timed(speaker: Speaker, performance: Performance) -> str:
    """Every action with its times."""
    line = speaker.rng.choice(_TIMED)
    speaker = Speaker(speaker.rng, speaker.lexicon, speaker.split, YOU, speaker.wording)
    parts = []
    for a in performance.actions:
        words = verb_phrase(speaker, a, "base") if speaker.rng.random() < 0.7 else tag(speaker, a)
        length = spoken_seconds(a.end_s - a.start_s)
        parts.append(line.format(x=words, s=f"{a.start_s:g}", e=f"{a.end_s:g}", d=length))
    return speaker.rng.choice(("; ", ", ", ". ", "\n", ", then ")).join(parts)


def _surface(rng: random.Random, text: str, register: str) -> str:
    """Capitals, the full stop, and now and then a slip of the finger."""
    style = rng.random()
    if rng.random() < 0.4:
        text = contract(text)
    if register in ("word", "tags", "timed", "plain"):
        text = text if style < 0.7 else text[:1].upper() + text[1:]
    elif style < 0.5:
        text = sentence(text)
    elif style < 0.85:
        text = text.lower().rstrip(".")
    if rng.random() < 0.05:
        text = text.rstrip(".!?") + rng.choice(
            ("!", "!!", "...", " pls", " please", " :)", "?", " now")
        )
    if rng.random() < 0.006:
        text = text.upper()
    return _typo(rng, text) if rng.random() < 0.025 else text


_CONTRACTIONS = (
    (r"\b([Ss]?[Hh]e|[Ii]t|[Tt]here|[Tt]hat|[Ww]hat) is\b", r"\1's"),
    (
        r"\b([Ss]?[Hh]e) has (just|lost|had|been|won|bitten|not|never|failed|worked|heard)\b",
        r"\1's \2",
    ),
    (r"\b([Tt]hey|[Yy]ou|[Ww]e) are\b", r"\1're"),
    (
        r"\b([Tt]hey|[Yy]ou|I) have (just|lost|had|been|won|bitten|not|never|failed|heard)\b",
        r"\1've \2",
    ),
    (r"\bI am\b", "I'm"),
    (r"\b(do|does|did|could|would|should|is|was|are|were) not\b", r"\1n't"),
    (r"\bcannot\b", "can't"),
    (r"\bwill not\b", "won't"),
    (r"\b(she|he|they|you) will\b", r"\1'll"),
)


def contract(text: str) -> str:
    """Contract as one does when writing quickly.

    Example:
        >>> contract("She is sad, it cannot be true and he has lost")
        "She's sad, it can't be true and he's lost"
    """
    for pattern, short in _CONTRACTIONS:
        text = re.sub(pattern, short, text)
    return text


def _typo(rng: random.Random, text: str) -> str:
    if len(text) < 8:
        return text
    at = rng.randrange(1, len(text) - 2)
    if rng.random() < 0.5:
        return text[:at] + text[at + 1 :]
    return text[:at] + text[at + 1] + text[at] + text[at + 2 :]
