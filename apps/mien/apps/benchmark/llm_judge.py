"""A language model as referee of captions, beside the objective judge: off by default.

TDMM-LM's CorE, CorM and CorI are marks of GPT-4. With an endpoint of the user's these can be had
too; the prompt is pinned in `judge_prompt.txt`, and a report names its hash and the model.
"""

import hashlib
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files
from typing import Any

from mien.apps.endpoint import Endpoint
from mien.data_synth.clip import Clip

MARKS = ("emotion", "motion", "intensity")


@dataclass(frozen=True)
class LlmMarks:
    """Marks of 1 to 5.

    Attributes:
        emotion: CorE.
        motion: CorM.
        intensity: CorI.
    """

    emotion: int
    motion: int
    intensity: int


def instruction() -> str:
    """What the referee is told."""
    return (files("mien.apps.benchmark") / "judge_prompt.txt").read_text(encoding="utf-8")


def instruction_hash() -> str:
    """The first letters of the SHA-256 of the instruction, for reports."""
    return hashlib.sha256(instruction().encode()).hexdigest()[:12]


def judge_by_model(caption: str, clip: Clip, endpoint: Endpoint) -> LlmMarks:
    """Have one caption marked.

    Raises:
        ValueError: In one line, if there is no answer in time, or it is no such marks.
    """
    material = json.dumps(
        {
            "TRUTH": {"actions": clip.score, "description": clip.caption},
            "CANDIDATE": caption,
        },
        ensure_ascii=False,
    )
    return _read_marks(endpoint.ask(instruction(), material), endpoint.host)


def judge_all_by_model(
    captions: Sequence[str], clips: Sequence[Clip], endpoint: Endpoint
) -> list[LlmMarks]:
    """Have captions marked one after another; the first failure ends it."""
    return [judge_by_model(c, clip, endpoint) for c, clip in zip(captions, clips, strict=True)]


def _read_marks(answer: str, host: str) -> LlmMarks:
    found = re.search(r"\{[^{}]*\}", answer)
    try:
        table: Any = json.loads(found.group()) if found else {}
    except ValueError:
        table = {}
    marks = [table.get(name) for name in MARKS]
    whole = [m for m in marks if isinstance(m, int) and not isinstance(m, bool) and 1 <= m <= 5]
    if len(whole) != len(MARKS):
        raise ValueError(
            f"{host}: wanted whole marks from 1 to 5 for {', '.join(MARKS)}, got {answer[:80]!r}."
        )
    return LlmMarks(*whole)
