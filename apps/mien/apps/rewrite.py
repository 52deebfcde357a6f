"""Any prompt, in any language, as plain English face actions: an optional first step.

It asks a language model behind an OpenAI-compatible endpoint that the user names. Nothing is sent
anywhere unless a URL is given.
"""

from importlib.resources import files

from mien.apps.endpoint import Endpoint
from mien.apps.request import plain_prompt

MAX_REQUEST_LETTERS = 2000


def instruction() -> str:
    """What the model is told, pinned in `rewrite_prompt.txt`."""
    return (files("mien.apps") / "rewrite_prompt.txt").read_text(encoding="utf-8")


def rewrite(prompt: str, endpoint: Endpoint) -> str:
    """Rewrite a prompt as what the face does.

    Args:
        prompt: In any language.
        endpoint: Who rewrites; its timeout bounds the whole call.

    Returns:
        A prompt that `mien.apps.request.plain_prompt` takes.

    Raises:
        ValueError: In one line, if the prompt is empty or too long, the endpoint does not answer
            in time, or its answer is no prompt.
    """
    if not prompt.strip() or len(prompt) > MAX_REQUEST_LETTERS:
        raise ValueError(
            f"A prompt to rewrite must have 1 to {MAX_REQUEST_LETTERS} letters, got {len(prompt)}."
        )
    inner = prompt.replace("<request>", " ").replace("</request>", " ")
    answer = endpoint.ask(instruction(), f"<request>{inner}</request>")
    try:
        return plain_prompt(answer.strip().strip("\"'`“”"))
    except ValueError as error:
        raise ValueError(
            f"{endpoint.host}: the rewritten prompt cannot be used: {error}"
        ) from error


def requested_prompt(prompt: str, url: str, model: str, timeout_s: float) -> str:
    """The prompt itself, or rewritten where a URL is given: what a command calls.

    Raises:
        ValueError: As :func:`rewrite`; or if there is a model and no URL.

    Example:
        >>> requested_prompt("she smiles", "", "", 10.0)
        'she smiles'
    """
    if not url:
        if model:
            raise ValueError("`rewrite-model` wants a `rewrite-url` too.")
        return prompt
    return rewrite(prompt, Endpoint.from_environment(url, model, timeout_s))
