"""JSON that a person may have written by hand: strictly, and with one reason where it is none."""

import json
from typing import Any

from equilibria.tables.chunk import shortened


class NotJsonError(ValueError):
    """Text is no JSON that can be used; says why, as the end of a sentence that begins with its place."""


def parse_json(text: str, remedy: str) -> Any:
    """The value that `text` says. A key that stands twice in an object is an error: which one was meant?

    `remedy`: what to do where the text is no JSON at all. Raises NotJsonError.
    """
    try:
        return json.loads(text, object_pairs_hook=_once)
    except json.JSONDecodeError as error:
        place = f"line {error.lineno}, " if "\n" in text.strip() else ""
        raise NotJsonError(f"is not JSON ({error.msg} at {place}character {error.colno}); {remedy}") from None
    except NotJsonError:
        raise
    except RecursionError:
        raise NotJsonError(
            "is JSON that cannot be read: lists are nested too deep; write a list of rows"
        ) from None
    except ValueError:  # the interpreter's bound on the digits of a number
        raise NotJsonError("is JSON that cannot be read: a number has thousands of digits") from None


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        name = next(name for place, name in enumerate(names) if name in names[:place])
        raise NotJsonError(f"has the key {shortened(name)!r} twice; leave one out")
    return found
