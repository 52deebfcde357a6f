"""Text for people: messages on one line."""


def one_line(error: object, most: int = 300) -> str:
    """An error's text without line breaks, at most `most` letters long.

    Example:
        >>> one_line(ValueError("wanted   one"))
        'wanted one'
    """
    text = " ".join(str(error).split())
    return text if len(text) <= most else text[: most - 3] + "..."
