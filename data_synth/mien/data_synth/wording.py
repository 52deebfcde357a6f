"""How texts are put together: frames, joins and words of strength, read from `wording.toml`."""

import tomllib
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

from mien.data_synth.phrases import PhraseSet, Split, read_set


@dataclass(frozen=True)
class Wording:
    """The tables of `wording.toml`, as :class:`PhraseSet` by table and key."""

    tables: dict[str, dict[str, PhraseSet]]

    @staticmethod
    @cache
    def default() -> "Wording":
        """The wording that ships with mien."""
        text = (files("mien.data_synth") / "lexicon_data" / "wording.toml").read_text("utf-8")
        tables = tomllib.loads(text)
        return Wording(
            {name: {k: read_set(v) for k, v in table.items()} for name, table in tables.items()}
        )

    def of(self, table: str, key: str, split: Split) -> tuple[str, ...]:
        """The lines under a key for a split."""
        return self.tables[table][key].of(split)
