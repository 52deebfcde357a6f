"""What people call a look or a movement: phrases by their grammar, train and test apart."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, Literal

Split = Literal["train", "val", "test"]
HELD_OUT = "*"  # a phrase that starts so is kept for the test split


@dataclass(frozen=True)
class PhraseSet:
    """Phrases of one grammatical form.

    Attributes:
        train: For the train and validation splits.
        test: Only for the test split.
    """

    train: tuple[str, ...] = ()
    test: tuple[str, ...] = ()

    def of(self, split: Split) -> tuple[str, ...]:
        """The phrases of a split; those for training where none is held out."""
        return self.test if split == "test" and self.test else self.train

    def mirrored(self) -> "PhraseSet":
        """The same with left and right exchanged."""
        return PhraseSet(tuple(map(swap_sides, self.train)), tuple(map(swap_sides, self.test)))


@dataclass(frozen=True)
class Phrases:
    """What an entry is called.

    In a phrase, {she} {her} {him} {herself} stand for the person, {is} {has} {does} and {s} for
    what follows the person's grammar ("{she} feel{s} sick"), {side} for left or right.

    Attributes:
        words: One or two words that name it alone: "smile", "joy".
        verbs: Verb phrases whose first word is a plain verb: "smile", "raise {her} eyebrows".
        nouns: Noun phrases with their article: "a smile".
        looks: Adjectives: "happy", "close to tears".
        adverbs: "happily".
        scenes: Whole clauses that imply it: "{she} {has} just won the lottery".
        likes: Similes: "like a child on Christmas morning".
        sided: Verb phrases with {side}: "wink with {her} {side} eye".
    """

    words: PhraseSet = PhraseSet()
    verbs: PhraseSet = PhraseSet()
    nouns: PhraseSet = PhraseSet()
    looks: PhraseSet = PhraseSet()
    adverbs: PhraseSet = PhraseSet()
    scenes: PhraseSet = PhraseSet()
    likes: PhraseSet = PhraseSet()
    sided: PhraseSet = PhraseSet()

    def mirrored(self) -> "Phrases":
        """The same with left and right exchanged."""
        return Phrases(**{f.name: getattr(self, f.name).mirrored() for f in fields(self)})


def read_phrases(table: Mapping[str, Any]) -> Phrases:
    """Read the phrases of one entry.

    Raises:
        ValueError: If the table has a field that is no grammatical form.
    """
    forms = {f.name for f in fields(Phrases)}
    if unknown := set(table) - forms:
        raise ValueError(f"Phrases must be of the forms {sorted(forms)}, got {sorted(unknown)}.")
    return Phrases(**{form: read_set(phrases) for form, phrases in table.items()})


def read_set(phrases: list[str]) -> PhraseSet:
    """Read a list whose held-out phrases start with a star."""
    train = tuple(p for p in phrases if not p.startswith(HELD_OUT))
    return PhraseSet(train, tuple(p.removeprefix(HELD_OUT) for p in phrases if p not in train))


def swap_sides(text: str) -> str:
    """Exchange left and right."""
    return text.replace("left", "\0").replace("right", "left").replace("\0", "right")
