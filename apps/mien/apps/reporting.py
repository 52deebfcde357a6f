"""Reports: rows as a Markdown table, and a folder's NAME.md with the same as NAME.json."""

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from mien.apps.outputs import naming


def markdown_table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Rows under their heads.

    Example:
        >>> print(markdown_table(("what", "mm"), [("lips", "0.5")]))
        | what | mm |
        |---|---|
        | lips | 0.5 |
    """
    lines = ["| " + " | ".join(row) + " |" for row in (head, *rows)]
    return "\n".join([lines[0], "|" + "---|" * len(head), *lines[1:]])


def write_report(folder: Path, name: str, text: str, found: Any) -> None:
    """Write `name.md` and `name.json`.

    Args:
        folder: Where.
        name: Without an extension.
        text: Markdown.
        found: What JSON can hold.

    Raises:
        OSError: If one cannot be written; the message names it.
    """
    figures = json.dumps(found, indent=1, ensure_ascii=False)
    for ending, content in (("md", text), ("json", figures)):
        path = folder / f"{name}.{ending}"
        with naming(path):
            path.write_text(content + "\n", encoding="utf-8")
