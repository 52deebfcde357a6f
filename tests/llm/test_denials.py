"""What a prompt denies in words of its own."""

import numpy as np
import pytest
import torch

from mien.arkit import CHANNEL_NAMES
from mien.data_synth.free_wording import FreeWording
from mien.data_synth.lexicon import Lexicon
from mien.llm import MotionLanguageModel
from mien.llm.denials import Denial, forbidden, spoken_denials
from mien.llm.restraints import Restraint, barred_codes, barred_entries

ENTRIES = tuple(Lexicon.default().entries)


@pytest.mark.parametrize(
    ("text", "denied"),
    [
        ("glare, no nose wrinkle pls", ["nose wrinkle"]),
        ("swing the mouth right, then left, cheeks not puffed", ["cheeks puffed"]),
        ("be cross but don't you dare squash your eyebrows down", ["squash your eyebrows down"]),
        ("she swayed her head, and did not smile", ["smile"]),
        ("he nods, not a trace of a smile", ["smile"]),
        ("lower lip out, refusing to look up", ["look up"]),
        ("gasp w/o lifting the brows, no squinting", ["lifting the brows", "squinting"]),
        ("no smirking or winking; a nod", ["smirking"]),
        ("wide eyes, the mouth never opens", ["mouth opens"]),
        ("a nod instead of a bow", ["bow"]),
    ],
)
def test_what_is_denied_is_cut_out(text: str, denied: list[str]) -> None:
    assert [each.words for each in spoken_denials(text)] == denied


@pytest.mark.parametrize(
    "text",
    [
        "a smile",
        "don't forget to smile",
        "why don't you smile",
        "he can't not laugh",
        "never without his grin",
        "not only smiling, beaming",
        "no",
        "she never once in her whole long life had seen a whale",  # too long to name one thing
    ],
)
def test_other_words_deny_nothing(text: str) -> None:
    assert spoken_denials(text) == ()


@pytest.mark.parametrize(
    ("text", "binds", "is_correction"),
    [
        ("a nod, no smile", "all", False),
        ("a nod, then a wink, no smile", "later", False),
        ("not a smile, a smirk", "all", True),
        ("not a hint of a smile", "all", False),
        ("a smirk rather than a smile", "all", True),
    ],
)
def test_a_denial_binds_what_it_is_said_of(text: str, binds: str, is_correction: bool) -> None:
    (found,) = spoken_denials(text)
    assert (found.binds, found.is_correction) == (binds, is_correction)


def _read(words: str, entry: str, share: float = 0.95, is_correction: bool = False) -> set[str]:
    """Entries that are barred where words are read as an entry."""
    found = _restraints(words, entry, share, is_correction)
    masks = barred_entries(found, ENTRIES)
    return {e for e, bars in zip(ENTRIES, masks[0], strict=True) if bars} if masks else set()


def _restraints(
    words: str, entry: str, share: float = 0.95, is_correction: bool = False
) -> tuple[Restraint, ...]:
    names = torch.full((1, len(ENTRIES)), (1 - share) / (len(ENTRIES) - 1))
    names[0, ENTRIES.index(entry)] = share
    return forbidden([Denial(words, "all", is_correction)], names.log(), ENTRIES)


@pytest.mark.parametrize(
    ("words", "entry", "barred", "free"),
    [
        ("nose wrinkle", "nose-wrinkle", "sneer disgusted", "glare smile"),
        ("smile", "smile", "grin happy", "sad talk"),
        ("look up", "look-up", "look-up-left roll-eyes", "look-down look-left"),
        ("swinging your head left", "turn-left", "turn-up-left", "turn-right nod"),
        ("a wink", "wink", "wink", "close-eyes blink"),
        ("laughing", "laugh", "laugh", "smile jaw-open"),
        ("squint", "squint", "squint", "angry"),
    ],
)
def test_what_looks_like_it_is_barred(words: str, entry: str, barred: str, free: str) -> None:
    found = _read(words, entry)
    assert {entry, *barred.split()} <= found
    assert not set(free.split()) & found


def test_only_what_surely_names_a_deed_forbids_it() -> None:
    assert _read("smile", "smile", share=0.8) == set()
    assert _read("glasses", "squint") == set()  # who has none may squint
    assert _read("angry", "angry") == set()
    assert _read("smile", "smile", is_correction=True) == {"smile"}


def test_codes_that_show_what_is_denied_are_barred() -> None:
    poses = np.zeros((4, len(CHANNEL_NAMES)), np.float32)
    poses[1, CHANNEL_NAMES.index("cheekPuff")] = 0.5
    poses[2, CHANNEL_NAMES.index("eyeLookUpLeft")] = 0.5
    poses[3, CHANNEL_NAMES.index("browInnerUp")] = 0.5  # of raised brows only one half

    def barred(words: str, entry: str) -> list[int]:
        mask = barred_codes(_restraints(words, entry), poses)
        return [] if mask is None else mask.nonzero()[:, 0].tolist()

    assert barred("cheeks puffed", "puff-cheeks") == [1]
    assert barred("look up", "look-up") == [2]
    assert barred("lifting the brows", "raise-brows") == []
    assert barred("laughing", "laugh") == []


def test_the_shipped_model_keeps_from_what_is_denied() -> None:
    model = MotionLanguageModel.load()
    texts = ["glare, no nose wrinkle pls", "swing your mouth right, cheeks not puffed"]
    denied = ("nose-wrinkle", "puff-cheeks")
    for prompt, entry in zip(model.read_prompts(texts), denied, strict=True):
        at = model.vocabulary.entries.index(entry)
        assert all(mask[at] for mask in prompt.barred)
        assert prompt.barred_codes is not None and prompt.barred_codes.any()
    (free,) = model.read_prompts(["needle, thread, no glasses"])
    assert not free.barred


def test_free_wording_seldom_denies_what_it_asks_for() -> None:
    model = MotionLanguageModel.load()
    prompts = FreeWording.default().prompts.items()
    asked = [(act.entry, text) for act, texts in prompts for text in texts]
    denying = [(entry, text) for entry, text in asked[::27] if spoken_denials(text)]
    read = model.read_prompts([text for _, text in denying])
    forbidding = [
        (entry, text, prompt.barred[0][model.vocabulary.entries.index(entry)])
        for (entry, text), prompt in zip(denying, read, strict=True)
        if prompt.barred
    ]
    wrong = [text for _, text, is_barred in forbidding if is_barred]
    assert len(forbidding) > 20
    assert len(wrong) < 0.1 * len(forbidding), wrong
