"""The file of motion tokens: JSON, one integer a frame."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from mien.files import check_size
from mien.text import one_line, shown

FORMAT, VERSION = "mien-tokens", 1
MAX_BYTES, MAX_TOKENS = 16 * 2**20, 1_000_000


@dataclass(frozen=True)
class TokenFile:
    """Tokens and what is needed to read them.

    Attributes:
        indices: One codebook index a frame.
        codebook_size: How many codes the tokenizer that made them has.
        fps: Frames, and so tokens, a second.
        text: What the motion was said to be; may be empty.
    """

    indices: tuple[int, ...]
    codebook_size: int
    fps: float = 25.0
    text: str = ""

    def __post_init__(self) -> None:
        if not 1 <= len(self.indices) <= MAX_TOKENS:
            raise ValueError(
                f"A token file wants 1 to {MAX_TOKENS} `indices`, got {len(self.indices)}."
            )
        for i, index in enumerate(self.indices):
            if isinstance(index, bool) or not isinstance(index, int):
                raise ValueError(f"`indices` must be integers, got {shown(index)} at place {i}.")
            if not 0 <= index < self.codebook_size:
                raise ValueError(
                    f"`indices` must be from 0 to {self.codebook_size - 1}, "
                    f"got {shown(index)} at place {i}."
                )

    def to_json(self) -> str:
        """The file's text; `from_json` reads it back."""
        fields = {"format": FORMAT, "version": VERSION, **asdict(self)}
        return json.dumps(fields, ensure_ascii=False)

    @classmethod
    def from_json(cls, text: str) -> "TokenFile":
        """Read a file's text.

        Raises:
            ValueError: If it is not a token file of this version.
        """
        try:
            fields = json.loads(text)
        except (json.JSONDecodeError, RecursionError) as error:
            raise ValueError(f"A token file must be JSON, got {one_line(error)}.") from error
        if not isinstance(fields, dict) or fields.get("format") != FORMAT:
            raise ValueError(
                f'A token file must hold "format": "{FORMAT}"; make one by `mien tokenize`.'
            )
        if fields.get("version") != VERSION:
            raise ValueError(
                f"The token file must be of version {VERSION}, got {shown(fields.get('version'))}."
            )
        indices, size, fps = (fields.get(name) for name in ("indices", "codebook_size", "fps"))
        if not isinstance(indices, list) or not isinstance(size, int) or isinstance(size, bool):
            raise ValueError(
                "A token file must hold a list `indices` and an integer `codebook_size`."
            )
        if isinstance(fps, bool) or not isinstance(fps, int | float) or not 0 < fps <= 1000:
            raise ValueError(
                f"A token file's `fps` must be above 0 and at most 1000, got {shown(fps)}."
            )
        text = fields.get("text", "")
        if not isinstance(text, str):
            raise ValueError(f"A token file's `text` must be text, got {shown(text)}.")
        return cls(tuple(indices), size, float(fps), text)

    @classmethod
    def read(cls, path: Path) -> "TokenFile":
        """Read a file, refusing those that are missing, too large, or no token file."""
        check_size(path, MAX_BYTES)
        try:
            text = path.read_bytes().decode("utf-8")
        except UnicodeDecodeError as error:
            raise ValueError("A token file must be JSON, in UTF-8; this is not text.") from error
        return cls.from_json(text)
