"""Anchors lie far apart, and what is like them is found."""

from __future__ import annotations

import pytest
import torch

from mien.avatar.balancing import (
    balanced_frames,
    expression_vectors,
    farthest_points,
    retrieve,
)
from mien.motion import Motion


def test_farthest_points_agree_with_a_plain_search(generator: torch.Generator) -> None:
    vectors = torch.randn(40, 3, generator=generator)
    picked = farthest_points(vectors, 6).tolist()
    assert picked[0] == max(range(40), key=lambda i: float(vectors[i].norm()))
    for count in range(1, 6):
        gaps = [
            min(float((vectors[i] - vectors[j]).norm()) for j in picked[:count]) for i in range(40)
        ]
        assert picked[count] == max(range(40), key=gaps.__getitem__)


def test_anchors_are_distinct_even_if_few_vectors_are() -> None:
    vectors = torch.tensor([[0.0, 0.0], [1.0, 0.0], [1.0, 0.0], [0.0, 2.0]])
    assert farthest_points(vectors, 20).tolist() == [3, 1, 0]


def test_retrieval_goes_by_direction_and_not_by_strength() -> None:
    vectors = torch.tensor([[0.0, 0.0], [0.1, 0.0], [3.0, 3.0], [0.0, 0.2]])
    anchors = torch.tensor([[2.0, 0.1], [0.0, 5.0], [1.0, 0.9]])
    assert retrieve(vectors, anchors).tolist() == [1, 3, 2]


def test_rare_expressions_are_chosen_among_many_common_ones() -> None:
    people = {}
    for name, rare in (("a", 7), ("b", 150)):
        vectors = 0.01 * torch.sin(torch.arange(200 * 4.0)).reshape(200, 4)
        vectors[rare] = torch.tensor([0.0, 0.0, 1.0, 0.0])
        people[name] = vectors
    chosen = balanced_frames(people, num_anchors=3, num_random=6, seed=1)
    assert 7 in chosen["a"] and 150 in chosen["b"]
    for frames in chosen.values():
        assert frames == sorted(set(frames)) and len(frames) <= 9
    assert chosen == balanced_frames(people, num_anchors=3, num_random=6, seed=1)


def test_few_frames_are_all_taken() -> None:
    assert balanced_frames({"a": torch.eye(3)}) == {"a": [0, 1, 2]}


def test_expression_vectors_leave_out_where_the_head_is() -> None:
    rest = Motion.rest(2)
    turned = rest.replace(neck_pose=torch.ones(2, 3), translation=torch.ones(2, 3))
    assert torch.equal(expression_vectors(rest), expression_vectors(turned))
    opened = rest.replace(jaw_pose=torch.full((2, 3), 0.35))
    assert expression_vectors(opened)[0, 43:46].tolist() == pytest.approx([1, 1, 1])


def test_nobody_and_people_without_frames_are_refused() -> None:
    with pytest.raises(ValueError, match="got nobody"):
        balanced_frames({})
    with pytest.raises(ValueError, match=r"got \['b'\] without any"):
        balanced_frames({"a": torch.eye(3), "b": torch.zeros(0, 3)})
    with pytest.raises(ValueError, match="a count of 0"):
        farthest_points(torch.eye(3), 0)
