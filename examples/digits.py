"""Which classifier reads handwritten digits best?

The data are the UCI handwritten digits that scikit-learn ships: 1,797 images of 8 x 8 pixels. A fifth of them is held
out first. On the rest, every configuration of the sweep is cross-validated at the same time, each in an action of its
own; the best one is trained again and meets the held-out images once, at the end.

Run it with either of

    python examples/digits.py
    flyte run --local examples/digits.py main --folds 10

and look at its report with `flyte get report RUN --open`.

Tasks exchange row numbers, configurations and scores, never images: the record of a run stays small, and says exactly
which images a number was measured on.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from itertools import product
from typing import Literal, TypeAlias

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from sklearn.base import BaseEstimator
from sklearn.datasets import load_digits
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import confusion_matrix, precision_recall_fscore_support
from sklearn.model_selection import StratifiedKFold, cross_val_score, train_test_split
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

import flyte
import flyte.report

env = flyte.TaskEnvironment(
    name="digits",
    image=flyte.Image.from_debian_base().with_pip_packages("scikit-learn>=1.4", "matplotlib>=3.8"),
    resources=flyte.Resources(cpu=1, memory="512Mi"),
)


# One dataclass a family. No two share all their fields, which is what tells the members of the union apart on the wire.


@dataclass(frozen=True)
class SupportVectors:
    """A support vector machine with a Gaussian kernel of width `gamma`; `penalty` is the C of the textbooks."""

    penalty: float
    gamma: float

    def build(self, seed: int) -> BaseEstimator:
        return SVC(C=self.penalty, gamma=self.gamma, random_state=seed)


@dataclass(frozen=True)
class Forest:
    """A random forest; each split looks at `features_per_split` of the 64 pixels."""

    trees: int
    features_per_split: int

    def build(self, seed: int) -> BaseEstimator:
        return RandomForestClassifier(self.trees, max_features=self.features_per_split, random_state=seed)


@dataclass(frozen=True)
class Neighbours:
    """A vote of the nearest images."""

    count: int
    weights: Literal["uniform", "distance"]

    def build(self, seed: int) -> BaseEstimator:
        return KNeighborsClassifier(self.count, weights=self.weights)


@dataclass(frozen=True)
class Logistic:
    """A regularised linear model on standardised pixels; smaller is stricter."""

    inverse_regularisation: float

    def build(self, seed: int) -> BaseEstimator:
        model = LogisticRegression(C=self.inverse_regularisation, max_iter=1_000, random_state=seed)
        return make_pipeline(StandardScaler(), model)


Configuration: TypeAlias = SupportVectors | Forest | Neighbours | Logistic

GRID: tuple[Configuration, ...] = (
    *(SupportVectors(penalty, gamma) for penalty, gamma in product((1.0, 10.0, 100.0), (3e-4, 1e-3, 3e-3, 1e-2))),
    *(Forest(trees, features) for trees, features in product((100, 200), (4, 8, 16))),
    *(Neighbours(count, "uniform") for count in (1, 3, 5, 9)),
    *(Neighbours(count, "distance") for count in (3, 5, 9)),
    *(Logistic(inverse_regularisation) for inverse_regularisation in (0.001, 0.01, 0.1, 1.0)),
)


@dataclass(frozen=True)
class Split:
    """Row numbers of the two parts of the data: one to choose a model on, one to judge it by."""

    development: list[int]
    held_out: list[int]


@dataclass(frozen=True)
class Validation:
    """How one configuration did in cross-validation: mean and standard deviation of the accuracy over the folds."""

    configuration: Configuration
    accuracy: float
    spread: float


@dataclass(frozen=True)
class DigitScore:
    """How one digit was read; `images` is how many of it were held out."""

    digit: int
    precision: float
    recall: float
    images: int


@dataclass(frozen=True)
class Evaluation:
    """What the chosen model did with the held-out images; `confusion[truth][answer]` counts them."""

    accuracy: float
    digits: list[DigitScore]
    confusion: list[list[int]]


@dataclass(frozen=True)
class Result:
    """The answer: every configuration, best first, and how the first of them does on images it never saw."""

    ranking: list[Validation]
    evaluation: Evaluation


@env.task
def load_and_split(held_out_fraction: float, seed: int) -> Split:
    """Hold out a part of the images, with the same share of each digit in both parts."""
    labels = load_digits().target
    development, held_out = train_test_split(
        np.arange(len(labels)), test_size=held_out_fraction, stratify=labels, random_state=seed
    )
    return Split(sorted(development.tolist()), sorted(held_out.tolist()))


@env.task
def validate(configuration: Configuration, rows: list[int], folds: int, seed: int) -> Validation:
    """Cross-validate one configuration on `rows`; the same seed gives every configuration the same folds."""
    images, labels = load_digits(return_X_y=True)
    accuracies = cross_val_score(
        configuration.build(seed),
        images[rows],
        labels[rows],
        cv=StratifiedKFold(folds, shuffle=True, random_state=seed),
    )
    return Validation(configuration, accuracy=float(accuracies.mean()), spread=float(accuracies.std()))


@env.task
async def sweep(rows: list[int], folds: int, seed: int) -> list[Validation]:
    """Cross-validate every configuration of the grid at the same time, in the order of the grid."""
    return await asyncio.gather(*(validate.aio(configuration, rows, folds, seed) for configuration in GRID))


@env.task
def rank(validations: list[Validation]) -> list[Validation]:
    """Best first: the highest accuracy and, among equals, the steadiest over the folds.

    Accuracies are compared to a hundredth of a percent. One image is worth more than that, so what is rounded away is
    only the floating-point noise of a mean over folds.
    """
    return sorted(validations, key=lambda validation: (-round(validation.accuracy, 4), validation.spread))


@env.task
def evaluate(configuration: Configuration, split: Split, seed: int) -> Evaluation:
    """Train on all development images, then read the held-out ones."""
    images, labels = load_digits(return_X_y=True)
    model = configuration.build(seed).fit(images[split.development], labels[split.development])
    truth, answers = labels[split.held_out], model.predict(images[split.held_out])

    per_digit = zip(*precision_recall_fscore_support(truth, answers, zero_division=0.0), strict=True)
    return Evaluation(
        accuracy=float(np.mean(truth == answers)),
        digits=[
            DigitScore(digit, precision=float(precision), recall=float(recall), images=int(count))
            for digit, (precision, recall, _, count) in enumerate(per_digit)
        ],
        confusion=confusion_matrix(truth, answers).tolist(),
    )


@env.task(report=True)
async def main(folds: int = 5, held_out_fraction: float = 0.2, seed: int = 7) -> Result:
    """Find the configuration that reads digits best, and say how good it is on images it never saw.

    The report shows both as a picture.

    Args:
        folds: Parts of the cross-validation.
        held_out_fraction: Share of the images that no configuration is chosen on.
        seed: Seed of the split, the folds and the models: the same seed gives the same result.
    """
    split = await load_and_split.aio(held_out_fraction, seed)
    ranking = await rank.aio(await sweep(split.development, folds, seed))
    evaluation = await evaluate.aio(ranking[0].configuration, split, seed)
    result = Result(ranking, evaluation)
    await flyte.report.log.aio(flyte.report.to_html(picture(result)))
    return result


def picture(result: Result) -> Figure:
    """Every configuration with its accuracy, and what the best one took each digit for."""
    figure = Figure(figsize=(13, 6.5), layout="constrained")
    ranking, confusion = figure.subplots(1, 2)
    draw_ranking(ranking, result.ranking)
    draw_confusion(confusion, result.evaluation)
    return figure


def draw_ranking(axes: Axes, ranking: list[Validation]) -> None:
    """A dot for each configuration, best on top; the bar is the standard deviation over the folds."""
    for family in dict.fromkeys(type(validation.configuration) for validation in ranking):
        members = [(place, v) for place, v in enumerate(ranking) if isinstance(v.configuration, family)]
        places, accuracies, spreads = zip(*((place, v.accuracy, v.spread) for place, v in members), strict=True)
        axes.errorbar(accuracies, places, xerr=spreads, fmt="o", label=family.__name__)
    names = [str(v.configuration).partition("(")[2].rstrip(")") for v in ranking]
    axes.set_yticks(range(len(ranking)), names, fontsize=8)
    axes.invert_yaxis()
    axes.set_title(f"{len(ranking)} configurations, cross-validated")
    axes.set_xlabel("accuracy")
    axes.legend()


def draw_confusion(axes: Axes, evaluation: Evaluation) -> None:
    """The held-out images, each in the row of its digit and the column of the answer."""
    axes.imshow(np.sqrt(evaluation.confusion), cmap="Blues")
    for (truth, answer), count in np.ndenumerate(np.array(evaluation.confusion)):
        if count:
            axes.text(answer, truth, count, ha="center", va="center", color="white" if truth == answer else "black")
    axes.set_xticks(range(10))
    axes.set_yticks(range(10))
    axes.set_title(f"The best one reads {evaluation.accuracy:.2%} of the held-out images")
    axes.set_xlabel("read as")
    axes.set_ylabel("digit")


def summary(result: Result, shown: int = 5) -> str:
    """The result as a person wants to read it."""
    evaluation = result.evaluation
    ranking = [f"  {v.accuracy:7.2%} ± {v.spread:.2%}  {v.configuration}" for v in result.ranking[:shown]]
    digits = [
        f"  {score.digit}    {score.precision:7.1%} {score.recall:7.1%}   "
        + " ".join(f"{count:3d}" if count else "  ." for count in row)
        for score, row in zip(evaluation.digits, evaluation.confusion, strict=True)
    ]
    held_out = sum(score.images for score in evaluation.digits)
    return "\n".join(
        [
            f"Best {len(ranking)} of {len(result.ranking)} configurations, cross-validated:",
            *ranking,
            "",
            f"The best one reads {evaluation.accuracy:.2%} of {held_out} held-out images correctly:",
            "  digit precision recall   read as 0" + "".join(f"{digit:4d}" for digit in range(1, 10)),
            *digits,
        ]
    )


if __name__ == "__main__":
    flyte.init()
    run = flyte.run(main)
    print(summary(run.outputs()[0]))
    print(f"\nThe run is recorded: flyte get action {run.name}")
    print(f"Its report: flyte get report {run.name} --open")
