"""How alike entries of the lexicon look."""

from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Float

from mien.arkit import other_side
from mien.data_synth.lexicon import Lexicon

_LOOKS = ("emotion", "expression")


def likeness(entries: Sequence[str]) -> Float[np.ndarray, "e e"]:
    """The share of one entry's look that another shows, from 0 to 1.

    Emotions and expressions are compared by the cosine of the angle between their recipes, one
    that has a side as if both sides did it. A movement is like itself alone: who asks for one
    wants that one. So is an entry that the lexicon does not know.

    Example:
        >>> likeness(["sad", "heartbroken", "happy"])[0].round(2).tolist()
        [1.0, 0.91, 0.05]
    """
    lexicon = Lexicon.default()
    looks = [i for i, e in enumerate(entries) if e in lexicon and lexicon[e].kind in _LOOKS]
    recipes = [_both_sides(lexicon[entries[i]].units) for i in looks]
    units = sorted(set().union(*recipes))
    shown = np.array([[recipe.get(unit, 0.0) for unit in units] for recipe in recipes])
    out = np.zeros((len(entries), len(entries)))
    if looks:
        lengths = np.linalg.norm(shown, axis=1, keepdims=True)
        unit_length = shown / np.maximum(lengths, 1e-6)
        out[np.ix_(looks, looks)] = (unit_length @ unit_length.T).clip(0.0, 1.0)
    np.fill_diagonal(out, 1.0)
    return out


def _both_sides(units: Mapping[str, float]) -> dict[str, float]:
    """A recipe with each side doing what the stronger one does."""
    mirrored = {other_side(name) or name: value for name, value in units.items()}
    names = units.keys() | mirrored.keys()
    return {name: max(units.get(name, 0.0), mirrored.get(name, 0.0)) for name in names}
