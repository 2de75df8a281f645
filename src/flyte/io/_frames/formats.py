"""The forms that a frame has in storage."""

from __future__ import annotations

PARQUET = "parquet"
CSV = "csv"

FILE_NAMES = {PARQUET: "00000", CSV: "data.csv"}
"""What the file is called in the folder of a frame; the official release looks for these names."""


def format_of_name(address: str) -> str:
    """What the name of a file says about its format: CSV for `.csv`, else Parquet."""
    return CSV if address.lower().endswith(".csv") else PARQUET
