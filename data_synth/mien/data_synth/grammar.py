"""Just enough English: verb forms, persons and articles for the phrases of the lexicon."""

import re
from dataclasses import dataclass
from functools import cache
from typing import Literal

Form = Literal["base", "third", "plural", "first", "gerund", "past"]


_PRONOUN_FORMS: dict[str, Form] = {"they": "plural", "you": "plural", "I": "first"}


@dataclass(frozen=True)
class Person:
    """Whom a text is about.

    Attributes:
        name: At first mention: "the woman".
        they: Subject pronoun.
        them: Object pronoun.
        their: Possessive.
        themself: Reflexive.
        is_plural: Whether verbs stay plain behind the name: they, you, I.
    """

    name: str
    they: str
    them: str
    their: str
    themself: str
    is_plural: bool = False

    @property
    def form(self) -> Form:
        """The verb form of the present tense behind the name."""
        return self.pronoun_form if self.is_plural else "third"

    @property
    def pronoun_form(self) -> Form:
        """The verb form of the present tense behind the pronoun."""
        return _PRONOUN_FORMS.get(self.they, "third")


_SHE = ("she", "her", "her", "herself")
_HE = ("he", "him", "his", "himself")
_THEY = ("they", "them", "their", "themself")
YOU = Person("you", "you", "you", "your", "yourself", True)
FACE = Person("the person", "they", "them", "their", "themself")


def _people(names: str, pronouns: tuple[str, str, str, str]) -> list[Person]:
    return [Person(name, *pronouns) for name in names.split(", ")]


PERSONS: tuple[Person, ...] = (
    *_people("she, she, she, the woman, a woman, a young woman, the girl, Anna", _SHE),
    *_people("the actress, a mother, an old woman, Maria, a lady, the queen", _SHE),
    *_people("he, he, he, the man, a man, a young man, the boy, Tom, the actor", _HE),
    *_people("an old man, a father, Jack, a guy, the king", _HE),
    Person("they", *_THEY, True),
    Person("I", "I", "me", "my", "myself", True),
    *_people("the person, a person, someone, the character, the avatar", _THEY),
)
PEOPLE_NAMED: tuple[Person, ...] = tuple(p for p in PERSONS if p.name != p.they)

_IRREGULAR: dict[str, tuple[str, str, str]] = {
    "be": ("is", "being", "was"),
    "have": ("has", "having", "had"),
    "do": ("does", "doing", "did"),
    "go": ("goes", "going", "went"),
    "can": ("can", "being able to", "could"),
    "cannot": ("cannot", "not being able to", "could not"),
    "die": ("dies", "dying", "died"),
    "make": ("makes", "making", "made"),
    "give": ("gives", "giving", "gave"),
    "take": ("takes", "taking", "took"),
    "get": ("gets", "getting", "got"),
    "let": ("lets", "letting", "let"),
    "put": ("puts", "putting", "put"),
    "set": ("sets", "setting", "set"),
    "shut": ("shuts", "shutting", "shut"),
    "shed": ("sheds", "shedding", "shed"),
    "spit": ("spits", "spitting", "spat"),
    "hurt": ("hurts", "hurting", "hurt"),
    "cut": ("cuts", "cutting", "cut"),
    "split": ("splits", "splitting", "split"),
    "burst": ("bursts", "bursting", "burst"),
    "break": ("breaks", "breaking", "broke"),
    "bite": ("bites", "biting", "bit"),
    "blow": ("blows", "blowing", "blew"),
    "throw": ("throws", "throwing", "threw"),
    "grow": ("grows", "growing", "grew"),
    "know": ("knows", "knowing", "knew"),
    "see": ("sees", "seeing", "saw"),
    "hear": ("hears", "hearing", "heard"),
    "feel": ("feels", "feeling", "felt"),
    "fall": ("falls", "falling", "fell"),
    "find": ("finds", "finding", "found"),
    "think": ("thinks", "thinking", "thought"),
    "say": ("says", "saying", "said"),
    "tell": ("tells", "telling", "told"),
    "speak": ("speaks", "speaking", "spoke"),
    "sing": ("sings", "singing", "sang"),
    "sink": ("sinks", "sinking", "sank"),
    "shrink": ("shrinks", "shrinking", "shrank"),
    "stick": ("sticks", "sticking", "stuck"),
    "hang": ("hangs", "hanging", "hung"),
    "hold": ("holds", "holding", "held"),
    "keep": ("keeps", "keeping", "kept"),
    "weep": ("weeps", "weeping", "wept"),
    "show": ("shows", "showing", "showed"),
    "draw": ("draws", "drawing", "drew"),
    "come": ("comes", "coming", "came"),
    "become": ("becomes", "becoming", "became"),
    "lose": ("loses", "losing", "lost"),
    "leave": ("leaves", "leaving", "left"),
    "fly": ("flies", "flying", "flew"),
    "fight": ("fights", "fighting", "fought"),
    "stand": ("stands", "standing", "stood"),
    "swing": ("swings", "swinging", "swung"),
    "suck": ("sucks", "sucking", "sucked"),
    "swell": ("swells", "swelling", "swelled"),
    "steal": ("steals", "stealing", "stole"),
    "bring": ("brings", "bringing", "brought"),
    "catch": ("catches", "catching", "caught"),
    "freeze": ("freezes", "freezing", "froze"),
    "eat": ("eats", "eating", "ate"),
    "read": ("reads", "reading", "read"),
    "shoot": ("shoots", "shooting", "shot"),
    "grit": ("grits", "gritting", "gritted"),
    "fret": ("frets", "fretting", "fretted"),
    "meet": ("meets", "meeting", "met"),
    "dig": ("digs", "digging", "dug"),
    "rub": ("rubs", "rubbing", "rubbed"),
    "see-saw": ("see-saws", "see-sawing", "see-sawed"),
    "panic": ("panics", "panicking", "panicked"),
    "begin": ("begins", "beginning", "began"),
    "send": ("sends", "sending", "sent"),
    "hit": ("hits", "hitting", "hit"),
    "buy": ("buys", "buying", "bought"),
    "bear": ("bears", "bearing", "bore"),
    "beat": ("beats", "beating", "beat"),
    "behold": ("beholds", "beholding", "beheld"),
    "bend": ("bends", "bending", "bent"),
    "bind": ("binds", "binding", "bound"),
    "build": ("builds", "building", "built"),
    "choose": ("chooses", "choosing", "chose"),
    "cling": ("clings", "clinging", "clung"),
    "creep": ("creeps", "creeping", "crept"),
    "drink": ("drinks", "drinking", "drank"),
    "drive": ("drives", "driving", "drove"),
    "fling": ("flings", "flinging", "flung"),
    "forget": ("forgets", "forgetting", "forgot"),
    "forgive": ("forgives", "forgiving", "forgave"),
    "grind": ("grinds", "grinding", "ground"),
    "hide": ("hides", "hiding", "hid"),
    "kneel": ("kneels", "kneeling", "knelt"),
    "lay": ("lays", "laying", "laid"),
    "lead": ("leads", "leading", "led"),
    "lend": ("lends", "lending", "lent"),
    "lie": ("lies", "lying", "lay"),
    "light": ("lights", "lighting", "lit"),
    "mean": ("means", "meaning", "meant"),
    "overthink": ("overthinks", "overthinking", "overthought"),
    "pay": ("pays", "paying", "paid"),
    "quit": ("quits", "quitting", "quit"),
    "reset": ("resets", "resetting", "reset"),
    "ride": ("rides", "riding", "rode"),
    "ring": ("rings", "ringing", "rang"),
    "rise": ("rises", "rising", "rose"),
    "run": ("runs", "running", "ran"),
    "seek": ("seeks", "seeking", "sought"),
    "shake": ("shakes", "shaking", "shook"),
    "shine": ("shines", "shining", "shone"),
    "sit": ("sits", "sitting", "sat"),
    "sleep": ("sleeps", "sleeping", "slept"),
    "slide": ("slides", "sliding", "slid"),
    "slink": ("slinks", "slinking", "slunk"),
    "spend": ("spends", "spending", "spent"),
    "spin": ("spins", "spinning", "spun"),
    "spread": ("spreads", "spreading", "spread"),
    "spring": ("springs", "springing", "sprang"),
    "sting": ("stings", "stinging", "stung"),
    "strike": ("strikes", "striking", "struck"),
    "swear": ("swears", "swearing", "swore"),
    "sweep": ("sweeps", "sweeping", "swept"),
    "swim": ("swims", "swimming", "swam"),
    "teach": ("teaches", "teaching", "taught"),
    "tear": ("tears", "tearing", "tore"),
    "thrust": ("thrusts", "thrusting", "thrust"),
    "tie": ("ties", "tying", "tied"),
    "understand": ("understands", "understanding", "understood"),
    "undo": ("undoes", "undoing", "undid"),
    "wake": ("wakes", "waking", "woke"),
    "wear": ("wears", "wearing", "wore"),
    "win": ("wins", "winning", "won"),
    "wind": ("winds", "winding", "wound"),
    "withdraw": ("withdraws", "withdrawing", "withdrew"),
    "wring": ("wrings", "wringing", "wrung"),
    "write": ("writes", "writing", "wrote"),
}
_DOUBLED = frozenset(("unwrap", "regret", "admit", "commit", "refer", "rebel", "compel", "unzip"))
_SHORT = re.compile(
    r"(?:[^aeiou]*|qu|squ)[aeiou][bcdfghjklmnpqrstvz]"
)  # "nod", not "look" or "chew"
_NOT_VERBS = frozenset((
    "barely", "hardly", "quickly", "slowly", "slightly", "softly", "gently", "playfully",
    "cheekily", "eagerly", "faintly", "subtly", "just", "hugely", "strongly", "intensely",
    "only", "clearly", "noticeably", "moderately", "visibly", "deeply", "really",
))  # fmt: skip


_SECOND = frozenset((
    "laugh", "jerk", "let", "close", "shut", "open", "blow", "sniff", "enjoy", "cringe",
    "shiver", "stick", "frown", "turn", "sing", "keep", "raise", "show", "tuck",
))  # fmt: skip


@cache
def inflect(phrase: str, form: Form) -> str:
    """Put the verb of a verb phrase into a form.

    Example:
        >>> inflect("raise {her} eyebrows", "third"), inflect("slowly nod", "gerund")
        ('raises {her} eyebrows', 'slowly nodding')
    """
    if form == "base":
        return phrase
    words = phrase.split(" ")
    at = next(i for i, w in enumerate(words) if w not in _NOT_VERBS)
    if words[at] == "not":
        helper = {"third": "does not", "past": "did not", "gerund": "not"}.get(form, "do not")
        verb = words[at + 1]
        rest = [inflect(verb, "gerund") if form == "gerund" else verb, *words[at + 2 :]]
        return " ".join([*words[:at], helper, *rest])
    words[at] = _verb(words[at], form)
    for i in range(at + 2, len(words)):
        if words[i - 1] in ("and", "or") and words[i] in _SECOND:
            words[i] = _verb(words[i], form)
    return " ".join(words)


def _verb(verb: str, form: Form) -> str:
    stem, hyphen, tail = verb.partition("-")
    if hyphen and stem in ("half",):
        return f"{stem}-{_verb(tail, form)}"
    if form in ("plural", "first"):
        return {"be": "are" if form == "plural" else "am"}.get(verb, verb)
    if verb in _IRREGULAR:
        return _IRREGULAR[verb][{"third": 0, "gerund": 1, "past": 2}[form]]
    last_y = verb.endswith("y") and verb[-2] not in "aeiou"
    if form == "third":
        if last_y:
            return verb[:-1] + "ies"
        return verb + ("es" if verb.endswith(("s", "sh", "ch", "x", "z", "o")) else "s")
    is_doubled = verb in _DOUBLED or _SHORT.fullmatch(verb)
    doubled = verb + verb[-1] if is_doubled else verb
    if form == "gerund":
        return doubled[:-1] + "ing" if _drops_e(verb) else doubled + "ing"
    if last_y:
        return verb[:-1] + "ied"
    return verb + "d" if verb.endswith("e") else doubled + "ed"


def _drops_e(verb: str) -> bool:
    return verb.endswith("e") and not verb.endswith(("ee", "oe", "ye"))


@cache
def fill(phrase: str, person: Person, side: str = "") -> str:
    """Put a person and a side into a phrase's placeholders.

    Example:
        >>> fill("{she} feel{s} sick and {is} in {her} bed", YOU)
        'you feel sick and are in your bed'
    """
    if "{" not in phrase:
        return phrase
    form = person.pronoun_form
    phrase = re.sub(r"(\w+)\{s\}", lambda m: inflect(m[1], form), phrase)
    plural = form != "third"
    return phrase.format(
        she=person.they,
        her=person.their,
        him=person.them,
        herself=person.themself,
        has="have" if plural else "has",
        does="do" if plural else "does",
        was="were" if plural else "was",
        side=side,
        **{"is": inflect("be", form)},
    )


def with_adjective(noun: str, adjective: str) -> str:
    """Put an adjective behind a noun phrase's article.

    Example:
        >>> with_adjective("an open mouth", "slightly"), with_adjective("tears", "big")
        ('a slightly open mouth', 'big tears')
    """
    article, _, rest = noun.partition(" ")
    if article in ("a", "an"):
        return f"{'an' if adjective[0] in 'aeiou' else 'a'} {adjective} {rest}"
    if article in ("the", "{her}"):
        return f"{article} {adjective} {rest}"
    return f"{adjective} {noun}"


def sentence(text: str) -> str:
    """The text with a capital letter and a full stop."""
    text = text[:1].upper() + text[1:]
    return text if text.endswith((".", "!", "?")) else text + "."
