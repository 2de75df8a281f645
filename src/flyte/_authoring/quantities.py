"""Kubernetes quantities: numbers with a unit, such as `500m`, `1.5`, `2Gi`."""

from __future__ import annotations

import re
from decimal import Decimal

from flyte._authoring.expectations import near_name

_FACTORS = {
    "n": Decimal("1e-9"),
    "u": Decimal("1e-6"),
    "m": Decimal("1e-3"),
    "": Decimal(1),
    **{unit: Decimal(1000) ** power for power, unit in enumerate("kMGTPE", 1)},
    **{f"{unit}i": Decimal(1024) ** power for power, unit in enumerate("KMGTPE", 1)},
}
_FRACTIONS = ("n", "u", "m")
_BYTE_UNITS = tuple(unit for unit in _FACTORS if unit and unit not in _FRACTIONS)

_QUANTITY = re.compile(r"(?P<sign>[+-]?)(?P<number>\d+\.?\d*|\.\d+)(?P<exponent>[eE][+-]?\d+)?(?P<unit>[A-Za-z]*)")


def parse_cores(what: str, quantity: str) -> Decimal:
    """Cores in `quantity`, for example `2`, `0.5` or `500m`.

    Raises:
        ValueError: it is no quantity, is negative, or has a unit that cores do not have.
    """
    return _parse(what, quantity, ("m", "u", "n", "k"), "a number of cores such as '2', '0.5' or '500m'")


def parse_bytes(what: str, quantity: str) -> Decimal:
    """Bytes in `quantity`, for example `512Mi` or `2G`.

    Raises:
        ValueError: it is no quantity, is negative, or has a unit that bytes do not have: `512m` is half a byte.
    """
    return _parse(what, quantity, _BYTE_UNITS, "a quantity such as '512Mi', '1Gi' or '2G'")


def _parse(what: str, quantity: str, units: tuple[str, ...], expected: str) -> Decimal:
    match = _QUANTITY.fullmatch(quantity)
    if match is None:
        raise ValueError(f"{what} must be {expected}, got {quantity!r}")
    unit = match["unit"]
    if unit and (unit not in units or match["exponent"]):
        raise ValueError(f"{what} must be {expected}, got {quantity!r}: {_about_unit(unit, units)}")
    if match["sign"] == "-":
        raise ValueError(f"{what} must be greater than or equal to 0, got {quantity!r}")
    return Decimal(match["number"] + (match["exponent"] or "")) * _FACTORS[unit]


def _about_unit(unit: str, units: tuple[str, ...]) -> str:
    # '512MB', '1gb' and '512m' are what people write; the letter alone tells what they mean.
    meant = [known for known in units if known[0].lower() == unit[0].lower()]
    hint = f" Did you mean {' or '.join(map(repr, meant))}?" if meant else near_name(unit, units)
    return f"{unit!r} is not a unit here.{hint}"
