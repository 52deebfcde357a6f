"""One question to a language model behind any OpenAI-compatible endpoint.

Off unless a command is given a URL. The key comes from the environment variable
:data:`KEY_VARIABLE` alone, is sent to that URL and nowhere else, and is in no message.
"""

import http.client
import json
import os
import queue
import threading
import urllib.error
import urllib.request
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from mien.text import one_line

KEY_VARIABLE = "MIEN_API_KEY"
MAX_ANSWER_BYTES = 1_000_000
MAX_TIMEOUT_S = 600.0


@dataclass(frozen=True)
class Endpoint:
    """Where a language model answers.

    Attributes:
        url: Base such as "http://localhost:11434/v1", or the whole path to chat/completions.
        model: The name that the endpoint knows it by.
        timeout_s: Seconds after which an answer is given up, connecting included.
        key: Sent as a bearer token where not empty.
    """

    url: str
    model: str
    timeout_s: float = 20.0
    key: str = field(default="", repr=False)

    def __post_init__(self) -> None:
        """Refuse what cannot be asked."""
        parts = urlsplit(self.url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError(f"The endpoint must be an http(s) URL, got {self.url!r}.")
        if not self.model:
            raise ValueError(f"{self.host}: wanted the name of a model, got none.")
        if not 0 < self.timeout_s <= MAX_TIMEOUT_S:
            raise ValueError(
                f"`timeout_s` must be above 0 and at most {MAX_TIMEOUT_S:g}, got {self.timeout_s}."
            )

    @staticmethod
    def from_environment(url: str, model: str, timeout_s: float = 20.0) -> "Endpoint":
        """An endpoint with the key of the environment, if there is one."""
        return Endpoint(url, model, timeout_s, os.environ.get(KEY_VARIABLE, ""))

    @property
    def host(self) -> str:
        """The URL without path and credentials, for messages."""
        parts = urlsplit(self.url)
        port = f":{parts.port}" if parts.port else ""
        return f"{parts.scheme}://{parts.hostname}{port}"

    def ask(self, instruction: str, text: str) -> str:
        """Give the model's answer, as likely as it can be (temperature 0).

        Args:
            instruction: What to do.
            text: What to do it with.

        Raises:
            ValueError: In one line, if there is no answer in time or it is not one.
        """
        messages = [
            {"role": "system", "content": instruction},
            {"role": "user", "content": text},
        ]
        body = {"model": self.model, "messages": messages, "temperature": 0}
        return self._read(self._send(json.dumps(body).encode()))

    def _send(self, body: bytes) -> bytes:
        """Post in a thread, so that a server that drips its answer cannot hold us up."""
        answers: queue.Queue[bytes | Exception] = queue.Queue()

        def post() -> None:
            try:
                answers.put(_post(self._request(body), self.timeout_s))
            except (OSError, http.client.HTTPException, ValueError) as error:
                if isinstance(error, urllib.error.HTTPError):
                    error.close()
                answers.put(error)

        threading.Thread(target=post, daemon=True).start()
        try:
            answer = answers.get(timeout=self.timeout_s)
        except queue.Empty:
            answer = TimeoutError()
        if isinstance(answer, bytes):
            return answer
        raise ValueError(f"{self.host}: {self._complaint(answer)}") from answer

    def _request(self, body: bytes) -> urllib.request.Request:
        path = self.url.rstrip("/")
        if not path.endswith("/chat/completions"):
            path += "/chat/completions"
        headers = {"Content-Type": "application/json", "User-Agent": "mien"}
        if self.key:
            headers["Authorization"] = f"Bearer {self.key}"
        return urllib.request.Request(path, body, headers)

    def _complaint(self, error: Exception) -> str:
        if isinstance(error, urllib.error.HTTPError):
            hint = f"; is {KEY_VARIABLE} set and right?" if error.code in (401, 403) else "."
            return f"the endpoint answered with HTTP {error.code}{hint}"
        reason = error.reason if isinstance(error, urllib.error.URLError) else error
        if isinstance(reason, TimeoutError):
            return f"wanted an answer within {self.timeout_s:g} s, got none."
        return f"could not be asked: {one_line(reason, 120)}."

    def _read(self, answer: bytes) -> str:
        try:
            text: Any = json.loads(answer)["choices"][0]["message"]["content"]
        except (ValueError, KeyError, IndexError, TypeError) as error:
            raise ValueError(
                f"{self.host}: wanted a chat completion with choices[0].message.content, "
                f"got {one_line(answer[:80].decode(errors='replace'))!r}."
            ) from error
        if not isinstance(text, str) or not text.strip():
            raise ValueError(f"{self.host}: wanted an answer in words, got an empty one.")
        return text.strip()


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    """A redirected request would carry the key to another host."""

    def redirect_request(self, *args: Any, **kwargs: Any) -> None:
        """Follow nothing."""
        return None


def _post(request: urllib.request.Request, timeout_s: float) -> bytes:
    opener = urllib.request.build_opener(_NoRedirects)
    with opener.open(request, timeout=timeout_s) as response:
        answer: bytes = response.read(MAX_ANSWER_BYTES + 1)
    if len(answer) > MAX_ANSWER_BYTES:
        raise ValueError(f"the answer is longer than {MAX_ANSWER_BYTES} bytes")
    return answer
