"""Coverage-guided fuzzing of the binary readers, with atheris (not a dependency of mien).

    pip install atheris
    python tests/fuzz/fuzz_binary.py npz -max_total_time=60

The first argument is a reader: packet, recording, npz, npy, pickle or csv; the others are
libFuzzer's. It stops at the first error that is not a `ValueError`, and keeps the bytes that made
it as crash-*.
"""

import gzip
import io
import logging
import struct
import sys
import tempfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any


def through(suffix: str, read: Callable[[Path], Any]) -> Callable[[bytes], Any]:
    """A reader of files, fed with bytes."""

    memory = Path("/dev/shm")  # where there is one: many times faster than a disk
    folder = Path(tempfile.mkdtemp(dir=memory if memory.is_dir() else None))

    def run(data: bytes) -> Any:
        path = folder / f"a{suffix}"
        path.write_bytes(data)
        return read(path)

    return run


def recording(packets: bytes) -> bytes:
    """An LLV recording from what lies within the compression."""
    return gzip.compress(packets, 0)


def archive(array: bytes) -> bytes:
    """An npz archive from the bytes of its one array."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as packed:
        packed.writestr("a.npy", array)
    return stream.getvalue()


def readers() -> dict[str, tuple[Callable[[bytes], Any], bytes]]:
    """Each reader by name, and bytes to begin with."""
    from mien.files import read_npz
    from mien.flame import read_flame
    from mien.formats import read_live_link, read_llv
    from mien.formats.live_link_udp import parse_packet

    read_recording, read_archive = through(".gesichter", read_llv), through(".npz", read_npz)
    packet = b"\x06" + bytes(8) + struct.pack(">ifii", 1, 0.0, 60, 1)
    header = b"\x93NUMPY\x01\x00\x46\x00{'descr': '<f4', 'fortran_order': False, "
    return {
        "packet": (parse_packet, packet),
        "recording": (
            lambda data: read_recording(recording(data)),
            struct.pack(">BII", 6, 1, len(packet)) + packet,
        ),
        "npz": (read_archive, b"PK\x03\x04"),
        "npy": (lambda data: read_archive(archive(data)), header),
        "pickle": (through(".pkl", read_flame), b"\x80\x02}q\x00."),
        "csv": (through(".csv", read_live_link), b"Timecode,BlendShapeCount,EyeBlinkLeft\n"),
    }


def main() -> None:
    """Fuzz the reader that the first argument names."""
    from typing import Any

    import atheris as untyped  # type: ignore[import-untyped]

    atheris: Any = untyped

    with atheris.instrument_imports(include=["mien", "zipfile", "pickletools", "pickle"]):
        read, seed = readers()[sys.argv.pop(1)]
    logging.disable(logging.CRITICAL)

    def one_input(data: bytes) -> None:
        try:
            read(data)
        except ValueError as error:
            assert "\n" not in str(error), str(error)

    corpus = Path(tempfile.mkdtemp())
    (corpus / "seed").write_bytes(seed)
    atheris.Setup([*sys.argv, str(corpus)], one_input)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
