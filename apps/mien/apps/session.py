"""A face that lives on, frame by frame, while it is told what to do."""

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from mien.apps.threads import one_thread

if TYPE_CHECKING:
    from mien.llm.session import MotionSession
    from mien.motion import Motion
    from mien.tokenizer.streaming import TokenStreamer

TOKEN_FPS = 25.0


class FaceSession:
    """The frames of a face without end, 25 a second; iterate, and say something new at any time.

    Args:
        codes: What the face does, as tokens.
        streamer: Decodes them.
        read: Makes a prompt plain, or refuses it.
    """

    def __init__(
        self, codes: "MotionSession", streamer: "TokenStreamer", read: Callable[[str], str]
    ) -> None:
        self._codes = codes
        self._streamer = streamer
        self._read = read

    def __iter__(self) -> "Iterator[Motion]":
        return self

    def __next__(self) -> "Motion":
        """The next frame, a motion of length one."""
        with one_thread():
            while True:
                motion = self._streamer.push([next(self._codes)])
                if motion is not None:
                    return motion

    def say(self, text: str) -> None:
        """Let a new prompt take over, within 0.4 s and without a jump.

        Raises:
            ValueError: If the text cannot be read; the face goes on as before.
        """
        prompt = self._read(text)
        with one_thread():
            self._codes.say(prompt)

    @property
    def seconds(self) -> float:
        """How much motion has been generated."""
        return self._codes.frame / TOKEN_FPS

    @property
    def score(self) -> str:
        """What the face is about to do, a line an action, in seconds since the beginning."""
        return self._codes.score
