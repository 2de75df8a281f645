"""What a person typed as the answer to a condition, as a value of the type that was asked for."""

from __future__ import annotations

import math
from collections.abc import Callable

Answer = bool | int | float | str

_WORDS = {"true": True, "yes": True, "y": True, "false": False, "no": False, "n": False}
_LARGEST_INT = 2**63 - 1

EXPECTED = {"bool": "true or false", "int": "a whole number", "float": "a number", "str": "any text"}
"""What can be answered, by the name of the type."""


def parse_answer(data_type: str, text: str) -> Answer:
    """The value that `text` stands for.

    Args:
        data_type: `bool`, `int`, `float` or `str`.
        text: As typed; blanks around it count only in a text.

    Raises:
        ValueError: it stands for no value of that type; the message says what was expected.
    """
    answer: Answer | None
    try:
        answer = _PARSERS[data_type](text)
    except (KeyError, ValueError):
        answer = None
    if answer is None:
        raise ValueError(f"the answer must be {EXPECTED[data_type]}, got {text!r}")
    return answer


def _bool(text: str) -> bool:
    return _WORDS[text.strip().lower()]


def _int(text: str) -> int | None:
    number = int(text)
    return number if -_LARGEST_INT - 1 <= number <= _LARGEST_INT else None


def _float(text: str) -> float | None:
    number = float(text)
    return number if math.isfinite(number) else None


_PARSERS: dict[str, Callable[[str], Answer | None]] = {"bool": _bool, "int": _int, "float": _float, "str": str}
