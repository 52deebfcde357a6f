import random
import re

import pytest

from mien.data_synth.caption import write_caption
from mien.data_synth.lexicon import Lexicon, Side
from mien.data_synth.performance import Action, Performance, sample_performance
from mien.data_synth.wording import Wording
from mien.data_synth.writer import overlaps, write, write_events, write_label

SLIGHT = re.compile(
    r"slight|little|a bit|faint|subtl|gentl|soft|tiny|restraint|barely|weak|mild|small|light|low"
)
STRONG = re.compile(
    r"strong|a lot|very|huge|intens|might|dramatic|extrem|hard|exaggerat|big|massive|powerful"
    r"|as much as|max"
)


def one(entry: str, intensity: float = 0.55, side: Side = "both") -> Performance:
    return Performance((Action(entry, side, intensity, 0.2, 0.5, 1.5, 1.8),), 2.4)


def texts(performance: Performance, count: int, split: str = "train") -> list[str]:
    rng = random.Random(2)
    return [write(performance, rng, split=split) for _ in range(count)]  # type: ignore[arg-type]


def test_nothing_is_left_to_fill_in() -> None:
    rng = random.Random(4)
    for split in ("train", "val", "test"):
        for _ in range(400):
            performance = sample_performance(rng, Lexicon.default())
            text = write(performance, rng, split=split)
            assert text.strip() and not re.search(r"[{}*@]", text), text
            assert "  " not in text, text


def test_the_same_chance_gives_the_same_text() -> None:
    performance = sample_performance(random.Random(1), Lexicon.default())
    assert texts(performance, 5) == texts(performance, 5)


def test_a_performance_has_many_wordings() -> None:
    assert len(set(texts(one("smile"), 100))) > 80


def test_held_out_phrases_and_frames_never_reach_training() -> None:
    lexicon, wording = Lexicon.default(), Wording.default()
    phrases = lexicon["laugh"].phrases
    held = set(phrases.verbs.test + phrases.words.test + phrases.scenes.test)
    frames = [line for lines in wording.tables["frames"].values() for line in lines.test]
    openings = [f.split("{")[0].strip().lower() for f in frames if not f.startswith("{")]
    trained = " \n".join(texts(one("laugh"), 400)).lower()
    assert not any(h.replace("{her}", "her").lower() in trained for h in held)
    assert not any(o in trained for o in openings if len(o) > 8)
    tested = " \n".join(texts(one("laugh"), 100, "test")).lower()
    assert "guffaw" in tested


def test_words_of_strength_follow_the_intensity() -> None:
    for entry in ("smile", "sad", "nod"):
        slight, mid, strong = (texts(one(entry, i), 150) for i in (0.2, 0.55, 0.95))
        assert sum(bool(SLIGHT.search(t.lower())) for t in slight) > 70
        assert sum(bool(STRONG.search(t.lower())) for t in strong) > 70
        assert sum(bool(SLIGHT.search(t.lower())) for t in mid) < 40


def test_a_side_is_named_wherever_both_would_do() -> None:
    told = texts(one("raise-brows", side="right"), 120)
    assert sum("right" in t.lower() for t in told) > 110  # typing slips excepted
    assert not any("left" in t.lower() for t in told)


def test_the_order_of_words_follows_the_order_of_actions() -> None:
    lexicon = Lexicon.default()
    actions = (
        Action("yawn", "both", 0.55, 0.0, 0.4, 1.6, 2.0),
        Action("nod", "both", 0.55, 2.2, 2.5, 3.0, 3.4),
    )
    nods = {p.split()[0] for p in lexicon["nod"].phrases.words.train}
    assert "nod" in nods
    for text in texts(Performance(actions, 4.0), 120):
        found = [text.lower().find(w) for w in ("yawn", "nod")]
        assert -1 in found or found[0] < found[1], text


def test_overlap_is_told_from_sequence() -> None:
    a = Action("sad", "both", 0.5, 0.0, 0.4, 3.6, 4.0)
    during = Action("nod", "both", 0.5, 1.0, 1.3, 2.0, 2.4)
    after = Action("nod", "both", 0.5, 4.0, 4.3, 5.0, 5.2)
    assert overlaps(Performance((a, during), 4.0), 1)
    assert not overlaps(Performance((a, after), 5.2), 1)


def test_events_name_side_and_strength() -> None:
    performance = one("wink", 0.9, "right")
    assert write_events(performance) == [(0.2, 1.8, "strong wink, right")]
    assert write_label(one("smile", 0.2).actions[0]) == "slight smile"


@pytest.mark.parametrize("side", ["left", "right"])
def test_a_caption_names_emotion_strength_and_side(side: Side) -> None:
    actions = (
        Action("sad", "both", 0.95, 0.0, 0.4, 1.6, 2.0),
        Action("raise-brows", side, 0.2, 2.2, 2.5, 3.0, 3.4),
    )
    for seed in range(20):
        caption = write_caption(Performance(actions, 4.0), random.Random(seed))
        assert side in caption and STRONG.search(caption) and SLIGHT.search(caption)
        assert caption.startswith(("The ", "At first ")) and caption.endswith(".")
