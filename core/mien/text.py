"""Text for people: messages on one line, and what was found, however long it is."""


def one_line(error: object, most: int = 300) -> str:
    """An error's text without line breaks, at most `most` letters long.

    Example:
        >>> one_line(ValueError("wanted   one"))
        'wanted one'
    """
    text = " ".join(str(error).split())
    return text if len(text) <= most else text[: most - 3] + "..."


def shown(value: object, most: int = 80) -> str:
    """What a file held in place of what was wanted, for a message.

    Example:
        >>> shown([1, 2, 3]), shown("25"), shown(True)
        ('a list of 3', "'25'", 'True')
    """
    if isinstance(value, list):
        return f"a list of {len(value)}"
    if isinstance(value, dict):
        return f"an object of {len(value)} entries"
    return one_line(repr(value), most)
