"""The whole evaluation in one call: systems between their floors and their ceiling."""

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from mien.apps.benchmark.evaluator import Evaluator
from mien.apps.benchmark.floors import NearestNeighbor, RandomClip, check_trained_on
from mien.apps.benchmark.leakage import check_leakage
from mien.apps.benchmark.llm_judge import LlmMarks, instruction_hash, judge_all_by_model
from mien.apps.benchmark.readers import measure_captions
from mien.apps.benchmark.retrieval import DIVERSITY_PAIRS, MULTIMODALITY_PAIRS, distances
from mien.apps.benchmark.runner import measure_generation
from mien.apps.benchmark.sentences import Words
from mien.apps.benchmark.systems import TWINS, Describe, Reading, System, true_events
from mien.apps.benchmark.table import Report
from mien.apps.benchmark.yardstick import Figures, Protocol, Tokenizes, Yardstick
from mien.apps.endpoint import Endpoint
from mien.data_synth.caption import write_caption
from mien.data_synth.clip import Clip
from mien.data_synth.lexicon import Lexicon

Say = Callable[[str], None]
TRUTH, NEAREST, RANDOM = "truth (ceiling)", "nearest neighbor (floor)", "random clip (floor)"
CODED = "truth through our tokens (ceiling)"
NEAREST_MOTION = "caption of the nearest motion (floor)"


def full_report(
    train: Sequence[Clip],
    test: Sequence[Clip],
    systems: Sequence[System],
    evaluator: Evaluator,
    tokenizer: Tokenizes,
    encoder: Words,
    protocol: Protocol | None = None,
    *,
    reader: Describe | None = None,
    judge: Endpoint | None = None,
    say: Say = print,
) -> Report:
    """Measure systems, their floors and their ceiling on the same clips.

    Args:
        train: Clips that the floors know; of the train split.
        test: Clips to measure on; none may be a training clip.
        systems: What is measured; may be empty.
        evaluator: Trained on the train split.
        tokenizer: Whose tokens the token accuracy counts.
        encoder: Gives word vectors.
        protocol: Repeats, generations and seeds.
        reader: Reads generated motion for CorE; None leaves it out.
        judge: A language model as referee of the systems' captions; None leaves it out.
        say: Takes a line of progress.

    Raises:
        ValueError: If clips are of the wrong split or too few.
    """
    check_trained_on(train)
    if any(clip.split == "train" for clip in test):
        raise ValueError("The clips to measure on must not be of the train split.")
    protocol = protocol or Protocol()
    leakage = check_leakage(train, test)
    yardstick = Yardstick(test, evaluator, tokenizer, encoder, protocol, reader)
    generation = _generation(yardstick, train, systems, say)
    captions, judged = measure_readers(yardstick, train, systems, judge, say)
    made = {
        "protocol": asdict(protocol),
        "test_clips": len(test),
        "evaluator": evaluator.card,
        "leakage": asdict(leakage),
        "judge": judged,
    }
    notes = (*margins(generation), *_notes(yardstick, evaluator, judged), leakage.as_markdown())
    return Report(notes, generation, captions, made)


def margins(rows: Mapping[str, Figures]) -> list[str]:
    """By how much ours at the twins' budget is better or worse than each twin, a line each.

    Example:
        >>> from mien.apps.benchmark.repeats import Figure
        >>> def row(l2: float, fd: float, r3: float) -> Figures:
        ...     values = {"l2_mm": l2, "fd": fd, "r_precision_3": r3}
        ...     return {name: Figure(x, x, x, 20) for name, x in values.items()}
        >>> rows = {TWINS["words"]: row(0.9, 3.0, 0.5), TWINS["pooled"]: row(1.0, 4.0, 0.4)}
        >>> print(margins(rows)[0])
        Ours against the twin: pooled text (T2M-GPT style): L2 -10.0 %, FD -25.0 %, R@3 +0.100.
    """
    ours = rows.get(TWINS["words"])
    others = [name for name in TWINS.values() if name != TWINS["words"] and name in rows]
    if ours is None:
        return []

    def change(name: str, key: str) -> float:
        return 100.0 * (ours[key].value / rows[name][key].value - 1.0)

    return [
        f"Ours against the {name}: L2 {change(name, 'l2_mm'):+.1f} %, "
        f"FD {change(name, 'fd'):+.1f} %, "
        f"R@3 {ours['r_precision_3'].value - rows[name]['r_precision_3'].value:+.3f}."
        for name in others
    ]


def _generation(
    y: Yardstick, train: Sequence[Clip], systems: Sequence[System], say: Say
) -> dict[str, Figures]:
    floors = [
        System(NEAREST, NearestNeighbor(train, y.encoder)),
        System(RANDOM, RandomClip(train)),
    ]
    say(f"measuring: {TRUTH}")
    rows = {TRUTH: measure_generation(y, [y.truth])}
    rows[CODED] = measure_generation(y, [y.coded()])
    for system in [*systems, *floors]:
        say(f"measuring text to motion: {system.name}")
        motions, varied = y.generate(system.generate), y.generate_varied(system.generate)
        forced = system.guess(y.clips) if system.guess else ()
        rows[system.name] = measure_generation(y, motions, varied, forced)
    return rows


def measure_readers(
    y: Yardstick,
    train: Sequence[Clip],
    systems: Sequence[System],
    judge: Endpoint | None,
    say: Say,
) -> tuple[dict[str, Figures], dict[str, Any] | None]:
    """Motion to text of all systems that read, between ceiling and floor.

    Returns:
        Figures by system, and who judged; a judge that fails costs its columns and no more.
    """
    rows = {TRUTH: measure_captions(y, _second_captions(y.clips))}
    done = True
    for system in systems:
        if system.describe is None:
            continue
        say(f"measuring motion to text: {system.name}")
        readings = system.describe(y.truth)
        marks = _judged(readings, y.clips, judge, say) if judge and done else []
        done = done and bool(marks)
        rows[system.name] = measure_captions(y, readings, marks)
    rows[NEAREST_MOTION] = measure_captions(y, _captions_of_nearest(y, train))
    if judge is None:
        return rows, None
    return rows, {"host": judge.host, "model": judge.model, "prompt": instruction_hash(),
                  "complete": done}  # fmt: skip


def _judged(
    readings: Sequence[Reading], clips: Sequence[Clip], judge: Endpoint, say: Say
) -> list[LlmMarks]:
    """Marks by a language model; none, and a line that says why, where it fails."""
    try:
        return judge_all_by_model([reading.caption for reading in readings], clips, judge)
    except ValueError as error:
        say(f"no marks by a language model: {error}")
        return []


def _second_captions(clips: Sequence[Clip]) -> list[Reading]:
    """What the writer says of each performance when asked again, with its true events."""
    lexicon = Lexicon.default()
    return [
        Reading(
            write_caption(clip.performance, random.Random(clip.index + 1), lexicon),
            true_events(clip.performance),
        )
        for clip in clips
    ]


def _captions_of_nearest(y: Yardstick, train: Sequence[Clip]) -> list[Reading]:
    """The caption and events of the training clip that moves most alike, by the evaluator."""
    known = y.evaluator.embed_motions([clip.curves for clip in train], y.space)
    nearest = [int(np.argmin(distances(vector[None], known))) for vector in y.true_vectors]
    return [Reading(train[i].caption, true_events(train[i].performance)) for i in nearest]


def _notes(y: Yardstick, evaluator: Evaluator, judged: dict[str, Any] | None) -> list[str]:
    p, card = y.protocol, evaluator.card
    pairs = min(DIVERSITY_PAIRS, len(y.clips) // 2)
    varied_pairs = min(MULTIMODALITY_PAIRS, p.varied // 2)
    corpus = str(card.get("corpus_hash", "unknown"))[:12]
    return [
        f"{len(y.clips)} test clips, {p.generations} generations a text, pools of {p.pool}, "
        f"{p.repeats} repeats; ± is the 95 % interval of the choice of clips.",
        f"R-precision, MM-Dist, FD, diversity and MModality are measured in a text-motion "
        f"evaluator trained on the train split of corpus {corpus}; FD geometry needs no model. FD "
        "draws covariances towards a ball where clips are few (Ledoit and Wolf), FD plain does "
        "not.",
        f"Diversity is of {pairs} pairs, MModality of {varied_pairs} pairs of {p.varied} motions "
        f"of each of {p.varied_texts} texts; no motion is in two pairs.",
        "CorE, CorM and CorI are marks of 1 to 5 by the objective judge; for Language2Motion "
        "CorE is of the shipped captioner's reading of the motion. USER is a mark by people: "
        "none was asked.",
        "Tok is the share of frames whose token, of our tokenizer, is the truth's, sampled "
        "freely. Tok next is the share of a system's own tokens that are its likeliest after the "
        "true plan and the true tokens before (teacher forcing).",
        "L2 and LVE are of displacements in the head's frame at adult scale, a mean over clips. "
        "Seen, side, order and strength are shares of the actions asked for; see `actions`.",
        "A twin differs from ours at its budget in the one thing that it is named for; all have "
        "the same base, seed, batches and steps.",
        "BLEU-4, ROUGE-L and CIDEr-D are against raw references (the clip's caption and its "
        "prompts as written). The ceiling there is a second caption by the same writer.",
        "No language model was asked for marks."
        if judged is None
        else f"Marks by LLM: {judged['model']} at {judged['host']}, prompt {judged['prompt']}"
        + ("." if judged["complete"] else ", not complete."),
    ]
