"""Where the landmarker's model file lies: given, named by the environment, or fetched once."""

import hashlib
import os
import urllib.request
import zipfile
from pathlib import Path

from mien.files import check_size, whole_file

__all__ = ["ENVIRONMENT", "SHA256", "URL", "cached_model", "download_model", "find_model"]

ENVIRONMENT = "MIEN_FACE_LANDMARKER"
URL = (
    "https://storage.googleapis.com/mediapipe-models/face_landmarker/face_landmarker/"
    "float16/1/face_landmarker.task"
)
SHA256 = "64184e229b263107bc2b804c6625db1341ff2bb731874b0bcc2fe6544e0bc9ff"
MAX_BYTES = 64 * 2**20
_TIMEOUT_S = 30.0


def cached_model() -> Path:
    """Where a fetched model lies."""
    root = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return root / "mien" / "face_landmarker.task"


def find_model(path: str | Path | None = None) -> Path:
    """Give the model file: `path`, else `$MIEN_FACE_LANDMARKER`, else one fetched before.

    Any model may be given by path; nothing is fetched here.

    Raises:
        ValueError: If there is none, or the named file cannot be a model.
    """
    named = path or os.environ.get(ENVIRONMENT)
    if named is None and cached_model().is_file():
        named = cached_model()
        _check_hash(cached_model())
    if named is None:
        raise ValueError(
            "Tracking needs MediaPipe's face_landmarker.task: give it by `--model`, name it in "
            f"${ENVIRONMENT}, or let `--download-model` fetch it once from {URL}."
        )
    check_size(named, MAX_BYTES)
    if not zipfile.is_zipfile(named):
        raise ValueError(f"{str(named)!r} is not a face_landmarker.task bundle.")
    return Path(named)


def download_model(url: str = URL) -> Path:
    """Fetch the model into the cache, checked by its hash, unless it is there.

    Raises:
        ValueError: If it cannot be fetched, or is another file than the one we know.
    """
    target = cached_model()
    if target.is_file():
        _check_hash(target)
        return target
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        with urllib.request.urlopen(url, timeout=_TIMEOUT_S) as answer:
            data: bytes = answer.read(MAX_BYTES + 1)
    except OSError as error:
        raise ValueError(
            f"The model cannot be fetched from {url} ({error}); fetch it elsewhere and give it "
            "by `--model`."
        ) from error
    with whole_file(target) as temporary:
        temporary.write_bytes(data)
        _check_hash(temporary)
    return target


def _check_hash(path: Path) -> None:
    found = hashlib.sha256(path.read_bytes()).hexdigest()
    if found != SHA256:
        raise ValueError(
            f"The model must have the SHA-256 {SHA256}, got {found} in {str(path)!r}; "
            "remove the file."
        )
