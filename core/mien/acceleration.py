"""One way to begin with accelerate for all training loops."""

from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from accelerate import Accelerator

__all__ = ["Precision", "begin_accelerator"]

Precision = Literal["fp32", "bf16"]


def begin_accelerator(precision: Precision = "fp32", cpu: bool = False) -> "Accelerator":
    """An accelerator with settings of its own, whatever this process trained before.

    accelerate keeps the first one's precision for the whole process and refuses another.

    Args:
        precision: Of products of matrices; weights stay in fp32.
        cpu: Whether to leave a GPU alone.
    """
    from accelerate import Accelerator
    from accelerate.state import AcceleratorState

    AcceleratorState._reset_state()  # the processes and their devices stay
    return Accelerator(mixed_precision="no" if precision == "fp32" else precision, cpu=cpu)
