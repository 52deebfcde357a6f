"""How alike entries of the lexicon look."""

import numpy as np

from mien.data_synth.lexicon import Lexicon
from mien.data_synth.likeness import likeness


def test_likeness_is_a_share_alike_both_ways_and_whole_with_itself() -> None:
    found = likeness([*Lexicon.default().entries, "not in the lexicon"])
    assert (found >= 0).all() and (found <= 1).all()
    np.testing.assert_allclose(found, found.T)
    np.testing.assert_array_equal(np.diag(found), 1.0)


def test_feelings_of_one_look_are_near_and_movements_are_like_themselves_alone() -> None:
    names = ["sad", "heartbroken", "happy", "smirk", "contemptuous", "look-left", "nod", "unknown"]
    found = likeness(names)
    sad, heartbroken, happy, smirk, contemptuous, *others = range(len(names))
    assert found[sad, heartbroken] > 0.7 > found[sad, happy]
    assert found[smirk, contemptuous] > 0.1  # one side of one is like either side of another
    for other in others:
        assert found[other].sum() == 1
