import torch

from mien.head import Head
from mien.tokenizer.fast_points import FastPoints


def test_fast_points_are_the_points_of_the_plain_model(generator: torch.Generator) -> None:
    head = Head.default()
    plain = head.point_model()
    expr = torch.rand(2, 5, head.num_expr, generator=generator)
    jaw = 0.3 * torch.randn(2, 5, 3, generator=generator)
    eyes = 0.4 * torch.randn(2, 5, 6, generator=generator)
    expected = plain(expr, jaw, eyes)
    # Largest difference seen: 5e-7 of displacements up to one.
    torch.testing.assert_close(FastPoints(plain)(expr, jaw, eyes), expected, rtol=1e-4, atol=3e-6)


def test_the_neutral_face_does_not_move() -> None:
    head = Head.default()
    points = FastPoints(head.point_model())
    still = points(torch.zeros(1, head.num_expr), torch.zeros(1, 3), torch.zeros(1, 6))
    torch.testing.assert_close(still, torch.zeros_like(still), rtol=0, atol=1e-7)


def test_gradients_agree_with_the_plain_model(generator: torch.Generator) -> None:
    head = Head.default()
    plain = head.point_model()
    gradients = []
    for model in (plain, FastPoints(plain)):
        jaw = torch.tensor([[0.2, 0.05, -0.03]], requires_grad=True)
        expr = torch.full((1, head.num_expr), 0.3, requires_grad=True)
        model(expr, jaw, torch.full((1, 6), 0.1)).square().sum().backward()
        gradients.append((jaw.grad, expr.grad))
    for a, b in zip(*gradients, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-4)
