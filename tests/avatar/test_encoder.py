"""The photo encoder: any number of photos in any order, the template first, gradients to all."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

import pytest
import torch
from torch import Tensor

from mien.avatar.backbone import Backbone, BuiltInViT
from mien.avatar.encoder import (
    ENCODER_SIZES,
    Encoded,
    PhotoEncoder,
    Sink,
    person_maps,
)
from mien.avatar.sizes import full, small, tiny
from mien.avatar.static_maps import StaticMaps

TINY = ENCODER_SIZES["tiny"]
Refuses = Callable[[str], AbstractContextManager[None]]


def encoder(learned: bool = True, sinks: bool = True) -> PhotoEncoder:
    """In double precision; `learned` moves the last layer off zero."""
    torch.manual_seed(0)
    made = PhotoEncoder(TINY, tiny(), sinks=sinks)
    if learned:
        for parameter in made.maps.readers.parameters():
            torch.nn.init.normal_(parameter, std=0.5)
    return made.double()


def photos(people: int, count: int) -> Tensor:
    ramp = torch.arange(people * count * 3 * 32 * 32, dtype=torch.float64)
    return (0.5 + 0.5 * (0.1 * ramp.sqrt() + 0.71 * ramp).sin()).reshape(people, count, 3, 32, 32)


def assert_same(first: Encoded, second: Encoded) -> None:
    torch.testing.assert_close(first.attributes, second.attributes, rtol=1e-7, atol=1e-9)
    torch.testing.assert_close(first.features, second.features, rtol=1e-7, atol=1e-9)


def differ(first: Encoded, second: Encoded) -> bool:
    return float((first.attributes - second.attributes).abs().max()) > 1e-3


@pytest.mark.parametrize("count", [1, 2, 4])
def test_any_number_of_photos_makes_maps_of_the_decoders_size(count: int) -> None:
    encoded = encoder()(photos(2, count))
    assert encoded.attributes.shape == (2, 14, 32, 32)
    assert encoded.features.shape == (2, 4, 32, 32)
    assert len(encoded) == 2
    attributes, features = encoded.person(1)
    assert torch.equal(attributes, encoded.attributes[1])
    assert torch.equal(features, encoded.features[1])


def test_the_order_of_photos_does_not_matter() -> None:
    network, shown = encoder(), photos(1, 4)
    with torch.no_grad():
        first = network(shown)
        for order in itertools.islice(itertools.permutations(range(4)), 1, None, 5):
            assert_same(network(shown[:, list(order)]), first)


def test_every_photo_matters_and_a_copy_is_not_two_people() -> None:
    network, shown = encoder(), photos(1, 4)
    with torch.no_grad():
        whole = network(shown)
        for i in range(4):
            changed = shown.clone()
            changed[:, i] = 1 - changed[:, i]
            assert differ(network(changed), whole)
        assert differ(network(shown[:, :1]), whole)


@pytest.mark.parametrize("count", [1, 3])
def test_a_batch_is_as_each_person_alone(count: int) -> None:
    network, shown = encoder(), photos(3, count)
    sinks: list[Sink] = ["many", "one", "many"]
    with torch.no_grad():
        together = network(shown, sinks)
        for i, sink in enumerate(sinks):
            alone = network(shown[i : i + 1], sink)
            assert_same(alone, Encoded(*(x[None] for x in together.person(i))))


def test_sinks_change_the_maps_and_none_changes_nothing() -> None:
    shown = photos(1, 2)
    with torch.no_grad():
        with_sinks, without = encoder(), encoder(sinks=False)
        assert differ(with_sinks(shown, "one"), with_sinks(shown, "many"))
        assert_same(with_sinks(shown), with_sinks(shown, "many"))
        assert torch.equal(without(shown, "one").attributes, without(shown, "many").attributes)
    assert without.sinks is None and "sinks" not in without.state_dict()


def test_each_sink_learns_from_its_own_people_alone() -> None:
    network = encoder()
    encoded = network(photos(2, 1), ["one", "many"])
    encoded.attributes[0].square().sum().backward()
    assert network.sinks is not None and network.sinks.grad is not None
    assert float(network.sinks.grad[0].abs().max()) > 0
    assert not bool(network.sinks.grad[1].any())


def test_before_learning_everybody_is_the_template() -> None:
    network = encoder(learned=False)
    plain = StaticMaps.plain(32, torch.zeros(4, 32, 32)).attributes().double()
    assert torch.equal(network(photos(1, 1)).attributes[0], plain)
    template = torch.sin(torch.arange(14 * 32 * 32, dtype=torch.float64)).reshape(14, 32, 32)
    network.set_template(template)
    assert torch.equal(network(photos(2, 3)).attributes, template.expand(2, -1, -1, -1))
    assert "template" in network.state_dict()


def test_gradients_reach_every_parameter() -> None:
    network = encoder()
    network.set_components(torch.randn_like(network.components))
    encoded = network(photos(2, 2), ["one", "many"])
    (encoded.attributes.sin().sum() + encoded.features.sin().sum()).backward()
    for name, parameter in network.named_parameters():
        assert parameter.grad is not None, name
        assert bool(torch.isfinite(parameter.grad).all()), name
        assert float(parameter.grad.abs().max()) > 0, name


def test_at_the_start_the_last_layer_learns_first() -> None:
    network = encoder(learned=False)
    network(photos(1, 1)).attributes.sin().sum().backward()
    for name, parameter in network.maps.readers.named_parameters():
        assert parameter.grad is not None, name
        assert float(parameter.grad[:14].abs().amin()) > 0, name


def test_it_learns_to_tell_people_apart() -> None:
    """Four people of plain colors, shown in one photo and learned in two."""
    torch.manual_seed(0)
    network = PhotoEncoder(TINY, tiny())
    tones = torch.tensor([[0.9, 0.2, 0.1], [0.2, 0.8, 0.3], [0.1, 0.3, 0.9], [0.7, 0.7, 0.6]])
    noise = 0.1 * torch.rand(4, 2, 3, 32, 32)
    shown = 0.9 * tones[:, None, :, None, None] + noise
    optimizer = torch.optim.Adam(network.parameters(), 5e-3)
    for _ in range(30):
        color = network(shown).attributes[:, 7:10].sigmoid()
        loss = (color - tones[:, :, None, None]).abs().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    with torch.no_grad():
        color = network(shown[:, :1]).attributes[:, 7:10].sigmoid()
        apart = (color - tones[:, :, None, None]).abs().mean()
    assert float(apart) < 0.2  # 0.28 at the start, and for any one color given to all


class Plain(Backbone):
    """Means of quarters of a photo."""

    def __init__(self) -> None:
        super().__init__()
        self.width = 3

    def forward(self, photos: Tensor) -> Tensor:
        return torch.nn.functional.avg_pool2d(photos, 16).flatten(2).transpose(1, 2)


def test_any_backbone_will_do() -> None:
    torch.manual_seed(0)
    network = PhotoEncoder(TINY, tiny(), Plain())
    assert network(photos(2, 3).float()).attributes.shape == (2, 14, 32, 32)


def test_a_backbone_that_is_given_keeps_its_weights() -> None:
    given = BuiltInViT(TINY.photo_side, TINY.patch, TINY.width, TINY.depth, TINY.heads)
    before = {name: value.clone() for name, value in given.state_dict().items()}
    network = PhotoEncoder(TINY, tiny(), given)
    for name, value in network.backbone.state_dict().items():
        assert torch.equal(value, before[name]), name


def test_it_begins_awake() -> None:
    """People differ in what is gathered; with torch's own weights by 0.06 to 0.14 here."""
    torch.manual_seed(0)
    network = PhotoEncoder(TINY, tiny())
    layers = [m for m in network.modules() if isinstance(m, torch.nn.Linear)]
    assert len(layers) > 10 and not any(bool(layer.bias.any()) for layer in layers)
    assert float(network.queries.detach().std()) == pytest.approx(0.5, rel=0.1)
    gathered: list[Tensor] = []
    tones = torch.tensor([[0.9, 0.2, 0.1], [0.1, 0.3, 0.9]])
    shown = tones[:, None, :, None, None].expand(2, 1, 3, 32, 32)
    with torch.no_grad():
        network.norm.register_forward_hook(lambda *args: gathered.append(args[2]))
        network(shown)
    shared = gathered[0].mean(0)
    own = gathered[0][0] - shared
    assert float((own.square().mean() / shared.square().mean()).sqrt()) > 0.3


def test_one_persons_maps_are_copied_off_the_encoder() -> None:
    network = encoder()
    attributes, features = network(photos(1, 1)).person(0)
    maps = person_maps(attributes, features, network.template)
    assert torch.equal(maps.attributes(), attributes) and torch.equal(maps.features, features)
    assert torch.equal(maps.start_position, network.template[:3])
    assert torch.equal(person_maps(attributes, features).start_position, attributes[:3])
    with torch.no_grad():
        maps.color.zero_()
    assert not torch.equal(maps.attributes(), attributes)


def test_shipped_sizes_fit_their_decoders_and_the_small_one_is_small() -> None:
    made = PhotoEncoder(ENCODER_SIZES["small"], small())
    assert sum(p.numel() for p in made.parameters()) < 6_000_000
    with torch.device("meta"):
        large = PhotoEncoder(ENCODER_SIZES["full"], full())
    assert large.template.shape == (14, 400, 400)


def test_wrong_photos_sinks_and_templates_are_refused(refuses: Refuses) -> None:
    network = encoder()
    with refuses(r"`photos` must be \[B, N, 3, 32, 32\] with N at least 1, got \[1, 0, "):
        network(photos(1, 1)[:, :0])
    with refuses(r"got \[1, 3, 32, 32\]"):
        network(photos(1, 1)[0])
    with refuses(r"got \[1, 1, 3, 16, 16\]"):
        network(photos(1, 1)[..., :16, :16])
    with refuses("for each of 2 people, got .'one'."):
        network(photos(2, 1), ["one"])
    with refuses("`sink` must be 'one' or 'many'.*got 'two'"):
        network(photos(2, 1), "two")
    with refuses(r"template must be \[14, 32, 32\], got \[14, 8, 8\]"):
        network.set_template(torch.zeros(14, 8, 8))
    with refuses("template must be finite"):
        network.set_template(torch.full((14, 32, 32), torch.nan))


def test_sizes_that_cannot_be_built_are_refused() -> None:
    with pytest.raises(ValueError, match="'small' has a resolution of 160.*query side of 8 doub"):
        PhotoEncoder(TINY, small())
    for changes, said in (
        ({"depth": 0}, "`depth` must be 1 or more, got 0"),
        ({"patch": 12}, "`patch` must be a power of two, 4 or more, got 12"),
        ({"photo_side": 36}, "multiple of `patch`, got 36 and 8"),
        ({"heads": 3}, "`width` must be a multiple of `heads`, got 32 and 3"),
    ):
        with pytest.raises(ValueError, match=said):
            dataclasses.replace(TINY, **dict[str, Any](changes))


@torch.no_grad()
def test_components_are_added_by_what_the_photos_show() -> None:
    network = encoder()
    shown = photos(2, 3)
    plain = network(shown).attributes
    with pytest.raises(ValueError, match=r"Components must be \[4, 7, 16, 16\], got \[3"):
        network.set_components(torch.zeros(3, 7, 16, 16))
    components = torch.zeros_like(network.components)
    components[1, 4] = 2.0  # red, everywhere
    network.set_components(components)
    added = network(shown).attributes - plain
    weights = network.glance(shown)[:, 1]
    wanted = 2.0 * weights[:, None, None].expand(-1, 32, 32)
    torch.testing.assert_close(added[:, 7], wanted, atol=1e-5, rtol=1e-5)
    assert float(added[:, :7].abs().max()) < 1e-6 and float(added[:, 8:].abs().max()) < 1e-6
    assert float((weights[0] - weights[1]).abs()) > 1e-4
    torch.testing.assert_close(network.glance(shown.flip(1)), network.glance(shown))
