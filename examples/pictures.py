"""Which colours are in a picture, and how few of them are enough?

The pictures are the photographs that scikit-learn ships. They travel as a folder; each picture is painted with every
number of colours, all at the same time, in a task each. The result is a table, and a folder with the pictures as they
look with the fewest colours that are good enough.

Run it with either of

    python examples/pictures.py
    flyte run --local examples/pictures.py main --pictures FOLDER

and look at its report with `flyte get report RUN --open`.

Tasks pass pictures by address: the record of a run holds where they are and a hash of what is in them. Run it again,
and `reduce`, which is cached, takes each result from the run before.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import BinaryIO, cast

import numpy as np
import pandas as pd
import sklearn.datasets
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.image import imread, imsave
from sklearn.cluster import KMeans
from sklearn.metrics import mean_squared_error
from sklearn.utils import shuffle

import flyte
import flyte.report
from flyte.io import Dir, File

env = flyte.TaskEnvironment(
    name="pictures",
    image=flyte.Image.from_debian_base().with_pip_packages(
        "scikit-learn>=1.4", "matplotlib>=3.8", "pandas>=2.2", "pyarrow>=15"
    ),
    resources=flyte.Resources(cpu=1, memory="1Gi"),
)

PICTURES = Path(sklearn.datasets.__file__).parent / "images"
COLOURS = (2, 4, 8, 16, 32)


@dataclass(frozen=True)
class Reduced:
    """A picture painted with few colours.

    `noise_ratio_db` is its peak signal-to-noise ratio: the higher, the more it looks like the original.
    """

    name: str
    colours: int
    noise_ratio_db: float
    picture: File


@env.task(cache="auto")
def reduce(picture: File, colours: int, seed: int) -> Reduced:
    """Paint `picture` with the `colours` colours that stand for its pixels best."""
    original = imread(picture.download_sync()) / 255
    pixels = original.reshape(-1, 3)
    sample = shuffle(pixels, random_state=seed, n_samples=min(2_000, len(pixels)))
    palette = KMeans(colours, n_init=1, random_state=seed).fit(sample)
    painted = palette.cluster_centers_[palette.predict(pixels)].clip(0, 1)

    name = Path(picture.name or "picture").stem
    file = File.new_remote(f"{name}-{colours}.png")
    with file.open_sync("wb") as opened:
        imsave(cast(BinaryIO, opened), painted.reshape(original.shape), format="png")
    return Reduced(name, colours, float(-10 * np.log10(mean_squared_error(pixels, painted))), file)


@env.task
async def tabulate(reduced: list[Reduced]) -> pd.DataFrame:
    """A row for each picture and number of colours."""
    rows = [(each.name, each.colours, each.noise_ratio_db) for each in reduced]
    return pd.DataFrame(rows, columns=["picture", "colours", "noise_ratio_db"])


@env.task
async def collect(reduced: list[Reduced], enough_db: float) -> Dir:
    """One file a picture: that with the fewest colours which reaches `enough_db`, else that with the most."""
    with TemporaryDirectory() as temporary:
        folder = Path(temporary, "chosen")
        for name in sorted({each.name for each in reduced}):
            by_colours = sorted((each for each in reduced if each.name == name), key=lambda each: each.colours)
            chosen = next((each for each in by_colours if each.noise_ratio_db >= enough_db), by_colours[-1])
            await chosen.picture.download(folder / f"{name}-{chosen.colours}.png")
        return await Dir.from_local(folder)


@env.task(report=True)
async def main(pictures: Dir, enough_db: float = 25.0, seed: int = 7) -> tuple[pd.DataFrame, Dir]:
    """How well few colours do, and the pictures with as few as are enough.

    Args:
        pictures: A folder of JPEG files.
        enough_db: The peak signal-to-noise ratio that counts as good enough, in decibels.
        seed: Seed of the choice of colours: the same seed gives the same result.
    """
    files = [file async for file in pictures.walk(file_pattern="*.jpg")]
    reduced = await asyncio.gather(*(reduce.aio(file, colours, seed) for file in files for colours in COLOURS))
    table, chosen = await asyncio.gather(tabulate(reduced), collect(reduced, enough_db))
    await flyte.report.log.aio(flyte.report.to_html(await draw(table, chosen)))
    return table, chosen


async def draw(table: pd.DataFrame, chosen: Dir) -> Figure:
    """A curve for each picture, and beside them what was chosen."""
    files = await chosen.list_files()
    figure = Figure(figsize=(5 + 4 * len(files), 4), layout="constrained")
    curves, *frames = figure.subplots(1, 1 + len(files))
    draw_curves(curves, table)
    for axes, file in zip(frames, files, strict=True):
        axes.imshow(imread(await file.download()))
        axes.set_title(file.name)
        axes.set_axis_off()
    return figure


def draw_curves(axes: Axes, table: pd.DataFrame) -> None:
    """How much a picture gains by more colours."""
    for name, rows in table.groupby("picture"):
        axes.plot(rows["colours"], rows["noise_ratio_db"], "o-", label=name)
    axes.set_xscale("log", base=2)
    axes.set_xlabel("colours")
    axes.set_ylabel("peak signal-to-noise ratio (dB)")
    axes.legend()


if __name__ == "__main__":
    flyte.init()
    run = flyte.run(main, Dir.from_local_sync(PICTURES))
    table, chosen = run.outputs()
    print(table.pivot(index="colours", columns="picture", values="noise_ratio_db").round(1))
    print(f"\nWith as few colours as are enough: {', '.join(str(file.name) for file in chosen.list_files_sync())}")
    print(f"They are in {chosen.path}")
    print(f"\nThe run is recorded: flyte get action {run.name}")
    print(f"Its report: flyte get report {run.name} --open")
