import pytest
import torch
from torch import Tensor

from mien.tokenizer.codebook import settle
from mien.tokenizer.parts import Part, PartQuantizer, part_columns, unit_columns

PARTS = (
    Part("mouth", ("lips",), ("mouth",), 16, 8, 4, 1.0),
    Part("lids", ("lid",), ("eye",), 12, 0, 2, 1.5),
    Part("head", ("head",), ("head",), 5, 3, 3, 1.0),
)
WIDTH = sum(part.dim for part in PARTS)


@pytest.fixture
def quantizer() -> PartQuantizer:
    torch.manual_seed(2)
    made = PartQuantizer(PARTS)
    made.fit(torch.randn(600, WIDTH), torch.zeros(WIDTH))
    return made.eval()


def smooth_latents(seed: int, batch: int = 3, frames: int = 40) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    steps = 0.3 * torch.randn(batch, frames, WIDTH, generator=generator)
    return steps.cumsum(1)


def test_what_is_held_offline_is_what_a_stream_holds(quantizer: PartQuantizer) -> None:
    tokens = quantizer(smooth_latents(0, batch=1))
    whole = quantizer.hold(tokens)
    state = quantizer.start()
    for t, token in enumerate(tokens[0].tolist()):
        now, state = quantizer.advance(state, token)
        for a, b in zip(now, whole, strict=True):
            torch.testing.assert_close(a[:, 0], b[:, t], rtol=0, atol=0)


def test_a_token_does_not_depend_on_later_frames(quantizer: PartQuantizer) -> None:
    latents = smooth_latents(1)
    changed = latents.clone()
    changed[:, 25:] += 3.0
    torch.testing.assert_close(quantizer(changed)[:, :25], quantizer(latents)[:, :25])
    assert not torch.equal(quantizer(changed), quantizer(latents))


def test_the_part_that_moves_is_the_part_that_speaks(quantizer: PartQuantizer) -> None:
    latents = torch.zeros(1, 30, WIDTH)
    latents[:, 12, PARTS[0].dim : PARTS[0].dim + PARTS[1].dim] = 3.0
    token = int(quantizer(latents)[0, 12])
    lids = next(voice for voice in quantizer.voices if voice.part == 1)
    assert lids.first <= token < lids.first + lids.size


def test_every_part_of_a_still_face_is_renewed_within_a_few_frames(
    quantizer: PartQuantizer,
) -> None:
    rest = [books[0][i] for books, i in zip(quantizer._codebooks(), quantizer.rest, strict=True)]
    tokens = quantizer(torch.cat(rest).expand(1, 60, -1))[0]
    for part in range(len(PARTS)):
        own = [v for v in quantizer.voices if v.part == part]
        is_own = (tokens >= own[0].first) & (tokens < own[-1].first + own[-1].size)
        when = is_own.nonzero()[:, 0]
        assert int(when.diff().max()) <= 2 * len(PARTS)


def test_what_is_held_is_nearer_than_the_neutral_face(quantizer: PartQuantizer) -> None:
    latents = smooth_latents(4)
    held = quantizer.hold(quantizer(latents)).codes
    assert float((held - latents).square().mean()) < 0.5 * float(latents.square().mean())


def test_a_part_that_stays_is_told_more_exactly(quantizer: PartQuantizer) -> None:
    latents = 1.5 * torch.randn(20, 1, WIDTH, generator=torch.Generator().manual_seed(8))
    held = quantizer.hold(quantizer(latents.expand(-1, 16, -1))).codes
    error = (held - latents).square().sum(-1).mean(0)
    coarse = quantizer._codebooks()[0][0]
    nearest = torch.cdist(latents[:, 0, : PARTS[0].dim], coarse).square().min(-1).values
    mouth = (held - latents)[:, -1, : PARTS[0].dim].square().sum(-1)
    assert float(mouth.mean()) < 0.9 * float(nearest.mean())
    assert float(error[-1]) <= float(error[2]) < float(error[0])


def test_a_coarse_code_begins_anew(quantizer: PartQuantizer) -> None:
    coarse, fine = quantizer.voices[0], quantizer.voices[1]
    assert (coarse.part, fine.part, fine.is_fine) == (0, 0, True)
    tokens = torch.tensor([[coarse.first + 3, fine.first + 2, coarse.first + 5]])
    mouth = quantizer.hold(tokens).codes[0, :, : PARTS[0].dim]
    books = quantizer._codebooks()[0]
    torch.testing.assert_close(mouth[1], books[0][3] + books[1][2])
    torch.testing.assert_close(mouth[2], books[0][5])


def test_a_batch_is_coded_as_its_rows_are(quantizer: PartQuantizer) -> None:
    latents = smooth_latents(5)
    rows = torch.cat([quantizer(row[None]) for row in latents])
    torch.testing.assert_close(quantizer(latents), rows)


def test_a_reloaded_quantizer_gives_the_same_tokens(quantizer: PartQuantizer) -> None:
    again = PartQuantizer(PARTS)
    again.load_state_dict(quantizer.state_dict())
    latents = smooth_latents(6)
    torch.testing.assert_close(again.eval()(latents), quantizer(latents))


def test_tokens_outside_the_codebooks_are_refused(quantizer: PartQuantizer) -> None:
    quantizer.check(torch.tensor([0, 43]))
    for bad in (-1, 44):
        with pytest.raises(ValueError, match=rf"0\.\.43, got {bad}"):
            quantizer.check(torch.tensor([0, bad]))


def test_columns_of_parts_cover_their_points_and_the_head() -> None:
    regions = {"lips_inner": torch.tensor([0, 2]), "lid_left": torch.tensor([1])}
    mouth, lids, head = part_columns(PARTS, regions, 3)
    assert mouth.tolist() == [0, 1, 2, 6, 7, 8]
    assert lids.tolist() == [3, 4, 5]
    assert head.tolist() == list(range(9, 15))
    with pytest.raises(ValueError, match="No region starts with"):
        part_columns(PARTS, {"lips": torch.tensor([0])}, 1)


def test_columns_of_coefficients_go_by_their_names() -> None:
    mouth, lids, head = unit_columns(PARTS, ("eyeBlinkLeft", "mouthClose", "browDownLeft"))
    assert (mouth.tolist(), lids.tolist()) == ([1], [0])
    assert head.tolist() == list(range(3 + 9, 3 + 15))


def test_moved_codes_fit_what_is_new_and_keep_their_meaning(quantizer: PartQuantizer) -> None:
    torch.manual_seed(3)
    new = torch.randn(600, WIDTH) * 1.6 + 0.4
    neutral = torch.zeros(WIDTH)
    before = [coarse.clone() for coarse, _ in quantizer._codebooks()]
    quantizer.move(new, neutral)
    for part, (old, rows) in enumerate(zip(before, quantizer._split(new), strict=True)):
        coarse = quantizer._codebooks()[part][0]
        errors = [
            torch.cdist(rows, codes).min(-1).values.square().mean() for codes in (old, coarse)
        ]
        assert errors[1] < 0.9 * errors[0]
        nearest = torch.cdist(coarse, old).argmin(-1)
        assert (nearest == torch.arange(len(old))).float().mean() >= 0.5
        still = quantizer._split(neutral)[part]
        assert torch.cdist(still[None], coarse).argmin() == quantizer.rest[part]


def test_a_code_that_nothing_is_near_goes_where_it_is_needed() -> None:
    torch.manual_seed(4)
    rows = torch.cat([torch.randn(200, 2) * 0.1, torch.randn(200, 2) * 0.1 + 5])
    codes = settle(torch.tensor([[0.0, 0.0], [-40.0, -40.0]]), rows)
    assert torch.cdist(rows, codes).min(-1).values.max() < 1.0
