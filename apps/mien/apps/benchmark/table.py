"""Figures as tables in the layout of the field, and as JSON."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from mien.apps.benchmark.repeats import NOTHING, Figure
from mien.apps.benchmark.yardstick import Figures


@dataclass(frozen=True)
class Column:
    """One column.

    Attributes:
        name: Of the figure; empty for what only people could mark.
        head: As the table says it, with an arrow to what is better.
        digits: After the point.
    """

    name: str
    head: str
    digits: int = 3


# TDMM-LM's Table 3 comes first and its Table 1 next; USER is a mark by people.
GENERATION: dict[str, tuple[Column, ...]] = {
    "Language2Motion": (
        Column("l2_mm", "L2 mm ↓", 2),
        Column("fd", "FD ↓", 3),
        Column("token_accuracy", "Tok ↑"),
        Column("cor_e_read", "CorE ↑", 2),
        Column("", "USER ↑"),
        Column("judge_score", "Judge ↑"),
        Column("judge_passed", "All seen ↑"),
        Column("token_next", "Tok next ↑"),
    ),
    "Language2Motion: what was asked for": (
        Column("action_seen", "Seen ↑"),
        Column("action_side", "Side ↑"),
        Column("action_order", "Order ↑"),
        Column("action_intensity", "Strength ↑"),
    ),
    "Language2Motion: retrieval and distribution": (
        Column("r_precision_1", "R@1 ↑"),
        Column("r_precision_2", "R@2 ↑"),
        Column("r_precision_3", "R@3 ↑"),
        Column("mm_dist", "MM-Dist ↓"),
        Column("diversity", "Diversity →"),
        Column("multimodality", "MModality"),
        Column("fd_plain", "FD plain ↓", 3),
        Column("fd_geometry", "FD geometry ↓", 2),
    ),
    "Language2Motion: geometry": (
        Column("lve_mm", "LVE mm ↓", 2),
        Column("lve_mm2", "LVE mm² ↓", 2),
        Column("fdd_codetalker_mm2", "FDD CodeTalker code mm² →0"),
        Column("fdd_facediffuser_mm2", "FDD FaceDiffuser, absolute mm² ↓"),
        Column("fdd_paper_mm", "FDD CodeTalker paper mm →0"),
        Column("head_deg", "Head ° ↓", 2),
        Column("jerk_ratio", "Jerk →1", 2),
        Column("energy_ratio", "Energy →1", 2),
    ),
}
CAPTIONS: dict[str, tuple[Column, ...]] = {
    "Motion2Language": (
        Column("cor_e", "CorE ↑", 2),
        Column("cor_m", "CorM ↑", 2),
        Column("cor_i", "CorI ↑", 2),
        Column("", "USERE ↑"),
        Column("", "USERM ↑"),
        Column("llm_e", "CorE by LLM ↑", 2),
        Column("llm_m", "CorM by LLM ↑", 2),
        Column("llm_i", "CorI by LLM ↑", 2),
    ),
    "Motion2Language: raw references and timed events": (
        Column("bleu_4", "BLEU-4 ↑"),
        Column("rouge_l", "ROUGE-L ↑"),
        Column("cider_d", "CIDEr-D ↑", 2),
        Column("minilm", "MiniLM ↑"),
        Column("event_iou", "tIoU ↑"),
        Column("event_f1", "F1@0.5 ↑"),
    ),
}


@dataclass(frozen=True)
class Report:
    """Everything that was measured.

    Attributes:
        notes: What it was measured on and by, one line each.
        generation: Figures of text to motion by system.
        captions: Figures of motion to text by system.
        made: Machine-readable facts: hashes, protocol, leakage.
    """

    notes: tuple[str, ...]
    generation: Mapping[str, Figures]
    captions: Mapping[str, Figures]
    made: Mapping[str, Any]

    def as_markdown(self) -> str:
        """All tables, then the notes."""
        parts = [
            table(title, columns, rows)
            for tables, rows in ((GENERATION, self.generation), (CAPTIONS, self.captions))
            for title, columns in tables.items()
            if rows
        ]
        return "\n\n".join([*parts, "\n".join(f"- {note}" for note in self.notes)]) + "\n"

    def as_json(self) -> dict[str, Any]:
        """The same for machines; what was not measured is null."""
        return {
            "made": dict(self.made),
            "notes": list(self.notes),
            "language2motion": {name: _plain(row) for name, row in self.generation.items()},
            "motion2language": {name: _plain(row) for name, row in self.captions.items()},
        }


def table(title: str, columns: Sequence[Column], rows: Mapping[str, Figures]) -> str:
    """One Markdown table; columns that only people or an absent judge could fill are dashes."""
    head = ["Method", *(column.head for column in columns)]
    lines = [
        f"### {title}",
        "",
        f"| {' | '.join(head)} |",
        "|" + "---|" * len(head),
    ]
    for name, figures in rows.items():
        cells = [figures.get(c.name, NOTHING).text(c.digits) for c in columns]
        lines.append(f"| {' | '.join([name, *cells])} |")
    return "\n".join(lines)


def _plain(figures: Figures) -> dict[str, dict[str, float | int | None] | None]:
    return {name: _plain_figure(figure) for name, figure in figures.items()}


def _plain_figure(figure: Figure) -> dict[str, float | int | None] | None:
    return None if math.isnan(figure.value) else asdict(figure)
