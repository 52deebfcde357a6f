"""Training texts in people's own words: prompts with their plans, alone and joined."""

import itertools
import random
from collections.abc import Sequence
from functools import cache

from mien.data_synth.free_wording import Act, FreeWording, Plan
from mien.data_synth.grammar import PERSONS, YOU, Form, Person, fill, inflect
from mien.data_synth.lexicon import Entry, Lexicon
from mien.data_synth.performance import Performance, clash, on_grid, shaped_action
from mien.data_synth.writer import write
from mien.llm.plan import MAX_LINE_TICKS, TICK_S, Line, format_lines, stretch_lines
from mien.llm.pools import Sample
from mien.llm.vocabulary import MAX_LINES, MAX_TICKS

_KINDS = {"prompt": 0.48, "phrase": 0.1, "plan": 0.24, "joined": 0.18}
_SEQUENTIAL = (
    *(
        ", then ",
        ", then ",
        " then ",
        " and then ",
        ". Then ",
        ", after that ",
        " -> ",
        "; next, ",
    ),
    *(", ", ", ", ". ", "; ", " ... ", ", and finally ", ", followed by: ", ", next: ", " > "),
    *(
        ", and a second later: ",
        ". After that, ",
        ", before: ",
        ", until ",
        ", and a moment later ",
    ),
)
_SIMULTANEOUS = (
    *(
        " while: ",
        " and at the same time ",
        ", all the while ",
        " + ",
        " & ",
        " and ",
        " and ",
        ", ",
    ),
    *(", at the same time ", " with: ", ", meanwhile ", " (also: "),
)
_DENIALS: tuple[tuple[str, Form], ...] = (
    *((", without {x}", "gerund"), (" without {x}", "gerund"), (" w/o {x}", "gerund")),
    *((", no {x}", "gerund"), (", not {x}", "gerund"), (" but not {x}", "gerund")),
    *((", don't {x}", "base"), (" but do not {x}", "base"), (". Don't {x}", "base")),
    *(
        (", never {x}", "gerund"),
        (", and no {x}, please", "gerund"),
        (", refusing to {x}", "base"),
    ),
)
_DENIED = 0.06  # share of prompts that also say what is not to be done
_MOST_DENIED, _TRIES = 30, 20  # letters of what is denied, and draws until it suits a prompt
_WEAK = ("slightly", "a little", "a bit", "faintly", "just a touch", "barely", "very gently")
_STRONG = ("a lot", "strongly", "very much", "as much as possible", "intensely", "really hard")
_FRAMES: tuple[tuple[str, Form], ...] = (
    *(("{x}", "base"), ("{x}", "base"), ("{x}", "gerund"), ("{x}", "third")),
    *(("{name} {x}", "third"), ("{name} {x}", "third"), ("{they} {x}", "third")),
    *(("{name} {x}", "gerund"), ("{name}, {x}", "gerund"), ("{name} {x}", "past")),
    *(("make {them} {x}", "base"), ("have {them} {x}", "base"), ("let {them} {x}", "base")),
    *(("can you {x}?", "base"), ("could you {x}", "base"), ("try to {x}", "base")),
    *(("someone who {x}", "third"), ("a face that {x}", "third"), ("somebody {x}", "gerund")),
    *(("I want to see {them} {x}", "base"), ("I need {them} to {x}", "base")),
    *(("just {x}", "base"), ("please {x}", "base"), ("she should {x}", "base")),
)  # fmt: skip


def free_sample(seed: int, index: int) -> Sample:
    """A prompt in free wording with its score, a function of (seed, index)."""
    rng = random.Random(f"free prompt {seed} {index}")
    kind = rng.choices(list(_KINDS), list(_KINDS.values()))[0]
    text, plan = _joined(rng) if kind == "joined" else _drawn(kind, rng)
    if rng.random() < _DENIED:
        text = _with_denial(text, plan, rng)
    lines = _timed(plan, rng)
    last = max(line.stop for line in lines)
    if last > MAX_TICKS:
        lines, last = stretch_lines(lines, MAX_TICKS / last), MAX_TICKS
    ticks = min(MAX_TICKS, max(10, last + rng.choice((0, 0, 2, 4))))
    return Sample(_surface(text, rng), format_lines(lines), round(ticks * TICK_S, 1), -1 - index)


def _drawn(kind: str, rng: random.Random) -> tuple[str, Plan]:
    """One prompt, phrase or plan of the files."""
    wording = FreeWording.default()
    if kind == "plan":
        return rng.choice(wording.plans)
    if kind == "prompt":
        act, text = _evenly("prompts", rng)
        return text, ((act,),)
    act, phrase = _evenly("phrases", rng)
    level = rng.choices(("slight", "mid", "strong"), (0.15, 0.7, 0.15))[0]
    return _worded(phrase, level, rng), ((Act(act.entry, act.side, level),),)


def _evenly(name: str, rng: random.Random) -> tuple[Act, str]:
    """A text of a table: half of the time every act, else every text is as likely as another."""
    if rng.random() < 0.5:
        table = getattr(FreeWording.default(), name)
        act = rng.choice(list(table))
        return act, rng.choice(table[act])
    return rng.choice(_flat(name))


@cache
def _flat(name: str) -> tuple[tuple[Act, str], ...]:
    table = getattr(FreeWording.default(), name)
    return tuple((act, text) for act, texts in table.items() for text in texts)


def _joined(rng: random.Random) -> tuple[str, Plan]:
    """Two or three texts in a row, or two at once where they need different parts of the face."""
    parts = [_part(rng) for _ in range(rng.choice((2, 2, 2, 3)))]
    pairs = itertools.combinations([groups for _, groups in parts], 2)
    is_together = rng.random() < 0.4 and not any(_clash(*pair) for pair in pairs)
    text = parts[0][0].rstrip(".!? ")
    plan = parts[0][1]
    for words, groups in parts[1:]:
        join = rng.choice(_SIMULTANEOUS if is_together else _SEQUENTIAL)
        keeps_case = join.endswith((". ", "... ")) or words[:2] in ("I ", "I'") or words.isupper()
        words = words if keeps_case else words[:1].lower() + words[1:]
        end = ")" if join.endswith("(also: ") else ""
        text = text.rstrip(".!? ") + join + words + end
        plan = ((*plan[0], *groups[0]),) if is_together else plan + groups
    return text, plan


def _with_denial(text: str, plan: Plan, rng: random.Random) -> str:
    """Say behind a prompt what is not to be done, which changes nothing of what is."""
    asked = [Lexicon.default()[act.entry] for group in plan for act in group]
    for _ in range(_TRIES):
        act, phrase = rng.choice(_flat("phrases"))
        entry = Lexicon.default()[act.entry]
        is_seen = entry.kind != "emotion" and len(phrase) < _MOST_DENIED
        if is_seen and not any(entry == other or clash(entry, other) for other in asked):
            frame, form = rng.choice(_DENIALS)
            return text.rstrip(".!? ") + frame.format(x=fill(inflect(phrase, form), YOU))
    return text  # all that a face has is asked for


def _part(rng: random.Random) -> tuple[str, Plan]:
    """One action in words: free ones, or those of the corpus writer."""
    if rng.random() < 0.3:
        entry = rng.choice(list(Lexicon.default().entries.values()))
        act = Act(entry.id, rng.choice(entry.sides))
        return _written(entry, act, rng), ((act,),)
    while True:
        text, plan = _drawn(rng.choice(("prompt", "phrase", "phrase")), rng)
        if len(text) < 70:
            return text, plan


def _clash(first: Plan, second: Plan) -> bool:
    lexicon = Lexicon.default()
    return clash(lexicon[first[0][0].entry], lexicon[second[0][0].entry])


def _timed(plan: Plan, rng: random.Random) -> tuple[Line, ...]:
    """Give every act its ticks: groups one after the other, a group's acts together."""
    lines: list[Line] = []
    start = rng.choice((0, 1, 1, 2))
    for group in plan:
        made = [_line(act, start, rng) for act in group]
        stop = max(line.stop for line in made)
        lasting = rng.random() < 0.7
        lines += [_held(line, stop) if lasting else line for line in made]
        start = stop + rng.choice((0, 0, 1))
    return tuple(sorted(lines))[:MAX_LINES]


def _held(line: Line, stop: int) -> Line:
    """A look lasts as long as what happens during it; a movement has its own time."""
    is_look = Lexicon.default()[line.entry].kind in ("emotion", "expression")
    return Line(line.start, stop, line.entry, line.side, line.level) if is_look else line


def _line(act: Act, start: int, rng: random.Random) -> Line:
    seconds = rng.uniform(*Lexicon.default()[act.entry].seconds)
    length = min(MAX_LINE_TICKS, max(2, round(seconds / TICK_S)))
    return Line(start, start + length, act.entry, act.side, act.level)


def _worded(phrase: str, level: str, rng: random.Random) -> str:
    """A verb phrase in one of its forms, with a word of strength behind it."""
    frame, form = rng.choice(_FRAMES)
    person = _person(frame, form, rng)
    if form == "third":
        form = person.form if "{name}" in frame else person.pronoun_form
    strength = rng.choice({"slight": _WEAK, "mid": ("",), "strong": _STRONG}[level])
    worded = f"{fill(inflect(phrase, form), person)} {strength}".rstrip()
    return frame.format(x=worded, name=person.name, they=person.they, them=person.them)


def _person(frame: str, form: Form, rng: random.Random) -> Person:
    """Whom a frame is about; it may itself say so."""
    is_told = any(f"{{{slot}}}" in frame for slot in ("name", "they", "them"))
    if form == "base" and not is_told:
        return YOU
    persons: Sequence[Person] = PERSONS
    if not is_told:
        persons = [person for person in PERSONS if person.pronoun_form == "third"]
    return rng.choice(persons)


def _written(entry: Entry, act: Act, rng: random.Random) -> str:
    """The corpus writer's words for one action."""
    end = on_grid(2.0)
    action = shaped_action(entry, act.side, 0.55, 0.0, end, False)
    return write(Performance((action,), end), rng)


def _surface(prompt: str, rng: random.Random) -> str:
    """Vary capital letters, the end, and now and then a letter."""
    kind = rng.random()
    if kind < 0.03:
        return prompt.upper()
    if kind < 0.35:
        return prompt[:1].upper() + prompt[1:] + rng.choice((".", ".", "!", "", ""))
    if kind < 0.55:
        return prompt.lower().rstrip(".") + rng.choice(("", "", "", "...", "!", " pls"))
    return prompt
