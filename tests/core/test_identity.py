import pytest
import torch

from mien.head import Head
from mien.identity import memberships, sample, semantic, slider_names


@pytest.fixture(scope="module")
def head() -> Head:
    return Head.default()


def test_the_mean_adult_is_the_template(head: Head) -> None:
    person = semantic()
    assert person.scale == pytest.approx(1.0, abs=1e-6)
    assert (head(person.shape) - head.v_template).abs().max() < 1e-6


def test_people_grow_with_age() -> None:
    scales = [semantic(age=age).scale for age in (0.0, 1 / 3, 1 / 2, 2 / 3)]
    assert scales == sorted(scales)
    assert 0.55 < scales[0] < 0.75


@pytest.mark.parametrize("age", [0.0, 1 / 3, 1.0])
def test_every_identity_keeps_the_common_eye_distance(head: Head, age: float) -> None:
    # The basis leaves a little out: worst seen 0.1 mm.
    assert float(head.interpupillary(semantic(age=age).shape)) == pytest.approx(head.ipd, abs=3e-4)


def test_an_infant_has_a_rounder_face_and_lower_eyes_than_an_adult(head: Head) -> None:
    def proportion(age: float) -> float:
        y = head(semantic(age=age).shape)[head.parts["skin"], 1]
        chin = float(
            head(semantic(age=age).shape)[head.require_points().vertex_ids[:, 0], 1].min()
        )
        return float(y.max()) / (float(y.max()) - chin)

    assert proportion(0.0) > proportion(2 / 3) + 0.02  # share of the head above the eye line


def test_a_blink_closes_an_infant_s_eye(head: Head) -> None:
    points, shape = head.require_points(), semantic(age=0.0).shape
    expr = torch.zeros(43)
    expr[head.expr_names.index("eyeBlinkLeft")] = 1.0
    lids = points.vertex_ids[points.regions["lid_left"], 0]
    spread = [float(v[lids, 1].std()) for v in (head(shape), head(shape, expr))]
    assert spread[1] < 0.8 * spread[0]


def test_a_feature_moves_the_face_where_its_name_says(head: Head) -> None:
    plain, hooked = semantic(), semantic(features={"nose-hump": 1.0})
    moved = (head(hooked.shape) - head(plain.shape)).norm(dim=1)
    strongest = head.v_template[int(moved.argmax())]
    assert strongest[0].abs() < 0.02 and strongest[2] > 0.03


def test_the_same_seed_gives_the_same_person() -> None:
    assert torch.equal(sample(4).shape, sample(4).shape)
    assert not torch.allclose(sample(4).shape, sample(5).shape)
    assert not torch.allclose(semantic(seed=1).shape, semantic().shape)


def test_random_people_are_not_caricatures(head: Head) -> None:
    for seed in range(12):
        person = sample(seed)
        moved = (head(person.shape) - head.v_template)[head.parts["skin"]]
        assert moved.norm(dim=1).mean() < 0.03
        assert 0.5 < person.scale < 1.3


def test_shares_of_one_parameter_s_poles_sum_to_one() -> None:
    shares = memberships(0.4, 0.3, 0.7, 0.2, 0.5, 0.5)
    assert sum(shares[pole] for pole in ("baby", "child", "young", "old")) == pytest.approx(1.0)
    assert shares["child"] == pytest.approx(0.8)


def test_values_out_of_range_are_refused() -> None:
    with pytest.raises(ValueError, match=r"`age` must lie in \[0, 1\], got -0.1"):
        semantic(age=-0.1)
    with pytest.raises(ValueError, match="by a name of slider_names"):
        semantic(features={"nose-of-gold": 0.5})
    with pytest.raises(ValueError, match="three shares"):
        semantic(race=(0.0, 0.0, 0.0))


def test_there_are_about_a_hundred_features() -> None:
    assert len(slider_names()) > 90 and "chin-width" in slider_names()
