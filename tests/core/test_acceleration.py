import torch

from mien.acceleration import begin_accelerator


def test_one_process_trains_in_one_precision_after_the_other() -> None:
    kinds = []
    for precision in ("fp32", "bf16", "fp32"):
        accelerator = begin_accelerator(precision, cpu=True)
        layer = accelerator.prepare(torch.nn.Linear(4, 4))
        with accelerator.autocast():
            kinds.append((torch.ones(1, 4) @ layer.weight).dtype)
        assert layer.weight.dtype == torch.float32
    assert kinds == [torch.float32, torch.bfloat16, torch.float32]
