from typing import Any

from mien.avatar import kernels
from mien.jit import kernel


def test_a_kernel_works_where_its_code_cannot_be_kept() -> None:
    """As in a read-only installation without a home; here the source has no file at all."""
    functions: dict[str, Any] = {}
    exec("def double(x):\n    return 2 * x\n", functions)
    double: Any = kernel("f8(f8)")(functions["double"])
    assert double(4.0) == 8.0
    assert double.stats.cache_path is None
    assert kernels.blend.stats.cache_path is not None  # type: ignore[attr-defined]
