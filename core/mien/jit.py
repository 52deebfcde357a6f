"""How the CPU kernels are compiled: without the GIL, kept on disk, rounding alike everywhere."""

import functools
from collections.abc import Callable
from typing import Any

from numba import njit

# Reassociation stays off: powers and thresholds must round the same way everywhere.
_FASTMATH = {"contract", "nnan", "ninf", "nsz", "arcp"}


def kernel(signature: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Compiles for one signature; keeps the code on disk where numba finds a writable folder."""

    def compile_function(function: Callable[..., Any]) -> Callable[..., Any]:
        compile_with = functools.partial(
            njit, signature, nogil=True, fastmath=_FASTMATH, error_model="numpy"
        )
        try:
            compiled: Callable[..., Any] = compile_with(cache=True)(function)
        except (RuntimeError, OSError):  # nowhere to keep it: read-only package and home
            compiled = compile_with(cache=False)(function)
        return compiled

    return compile_function
