"""File formats of facial motion: Live Link Face CSV, LLV recordings, and our own."""

from mien.formats.live_link import read_live_link, write_live_link
from mien.formats.llv import read_llv
from mien.formats.motion_files import READ_SUFFIXES, WRITE_SUFFIXES, read_motion, write_motion

__all__ = [
    "READ_SUFFIXES",
    "WRITE_SUFFIXES",
    "read_live_link",
    "read_llv",
    "read_motion",
    "write_live_link",
    "write_motion",
]
