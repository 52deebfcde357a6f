"""What the survey of gaze makes of cues whose truth is known; no film, no landmarker."""

import dataclasses

import numpy as np
import pytest
import torch

from mien.data_synth.gaze_survey import (
    RESTING,
    Watched,
    fit_lines,
    format_checks,
    gazing_faces,
    looks_of_the_corpus,
    measure_misread,
    usual_gaze,
)
from mien.tracking.gaze import SHIPPED, EyeCues, Reading

FPS = 8.0


def watched(yaw: torch.Tensor, always: float = 0.0, shake: float = 0.0, seed: int = 0) -> Watched:
    """Open eyes whose cues lead to this yaw by the shipped lines, but for what misleads."""
    noise = torch.from_numpy(np.random.default_rng(seed).normal(size=(len(yaw), 2))).float()
    seeming = yaw + always + shake * noise[:, 0]
    opening = torch.full_like(yaw, 0.15)
    slope, besides = SHIPPED.yaw
    up, per_opening, above = SHIPPED.pitch
    rest = -(per_opening * opening + above) / up
    cues = EyeCues((seeming - besides) / slope, rest, opening, torch.ones_like(yaw))
    gaze = torch.stack([yaw, torch.zeros_like(yaw)], 1)
    return Watched(cues, gaze, torch.zeros_like(yaw), FPS)


def ramp(count: int = 80) -> torch.Tensor:
    return 0.3 * torch.sin(torch.linspace(0, 9, count))


def test_faces_rest_first_and_then_look_within_bounds() -> None:
    motion = gazing_faces(3)
    assert motion.eye_pose[:RESTING].abs().max() == 0 and motion.expr[:RESTING].abs().max() == 0
    assert torch.equal(motion.eye_pose[:, :3], motion.eye_pose[:, 3:])
    assert 0.1 < float(motion.eye_pose[:, 1].abs().max()) <= 0.45


def test_lines_are_found_again() -> None:
    rng = torch.Generator().manual_seed(1)
    cues = torch.rand(400, 3, generator=rng) * 0.2 - 0.1
    gaze = torch.stack([5.0 * cues[:, 0] + 0.1, -7.0 * cues[:, 1] - 2.0 * cues[:, 2] + 0.3], 1)
    yaw, pitch = fit_lines(cues, gaze)
    torch.testing.assert_close(yaw, torch.tensor([5.0, 0.1]), rtol=0.1, atol=0.02)
    torch.testing.assert_close(pitch, torch.tensor([-7.0, -2.0, 0.3]), rtol=0.1, atol=0.02)


def test_what_misleads_all_through_a_film_is_told_from_what_shakes() -> None:
    films = [watched(ramp(), always=0.1 * (-1) ** i, seed=i) for i in range(6)]
    always, otherwise = measure_misread(films, SHIPPED)
    assert always[0] == pytest.approx(0.1, abs=0.02) and otherwise[0] < 0.03
    films = [watched(ramp(), shake=0.1, seed=i) for i in range(6)]
    always, shaken = measure_misread(films, SHIPPED)
    assert always[0] < 0.05 and shaken[0] > 2 * otherwise[0]


def test_films_of_shut_eyes_say_nothing() -> None:
    blind = dataclasses.replace(watched(ramp()).cues, seen=torch.zeros(80))
    shut = dataclasses.replace(watched(ramp()), cues=blind)
    films = [watched(ramp(), always=0.1, seed=1)]
    assert measure_misread([*films, shut], SHIPPED) == measure_misread(films, SHIPPED)


def test_two_kinds_of_gaze_are_told_apart() -> None:
    rng = np.random.default_rng(0)
    still, lively = rng.normal(0, 0.01, 7000), rng.normal(0, 0.2, 3000)
    share, narrow, wide = usual_gaze(np.concatenate([still, lively]))
    assert share == pytest.approx(0.3, abs=0.05)
    assert narrow == pytest.approx(0.01, rel=0.2) and wide == pytest.approx(0.2, rel=0.1)


def test_the_corpus_looks_aside_now_and_then() -> None:
    middles, about = looks_of_the_corpus(30)
    assert len(middles) == 60 and len(about) > 1000
    assert abs(float(np.median(about))) < 0.02 and 0.02 < float(about.std()) < 0.3


def test_checks_compare_ways_with_looking_straight_ahead() -> None:
    blind = Reading(still_spread=1e-9, lively_spread=1e-9)
    lines = format_checks([watched(ramp(), seed=4)], {"shipped": SHIPPED, "blind": blind})
    rows = {row.split("|")[1].strip(): row.split("|")[2:5] for row in lines.splitlines()[2:5]}
    ahead, shipped, unseeing = (float(rows[n][0]) for n in ("straight ahead", "shipped", "blind"))
    assert shipped < 0.4 * ahead
    assert unseeing == pytest.approx(ahead, abs=1e-3)
