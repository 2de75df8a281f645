"""Which action of which run."""

from __future__ import annotations

from dataclasses import dataclass

from flyte.models.naming import generate_random_name, sub_action_name
from flyte.models.rich_repr import RichRepr


@dataclass(frozen=True, kw_only=True, repr=False)
class ActionID(RichRepr):
    """One action of one run.

    The root action of a run is often given the name of the run, which is what leaving `run_name` out says.
    """

    name: str
    run_name: str | None = None
    project: str | None = None
    domain: str | None = None
    org: str | None = None

    def __post_init__(self) -> None:
        if self.run_name is None:
            object.__setattr__(self, "run_name", self.name)

    @classmethod
    def create_random(cls) -> ActionID:
        """The root action of a new run, both named with one random name."""
        name = generate_random_name()
        return cls(name=name, run_name=name)

    def new_sub_action(self, name: str | None = None) -> ActionID:
        """Another action of the same run; without a name it gets a random one."""
        # One is made for every action of a run, and `dataclasses.replace` takes five times as long.
        action = object.__new__(type(self))
        action.__dict__.update(self.__dict__, name=generate_random_name() if name is None else name)
        return action

    def new_sub_action_from(self, task_call_seq: int, task_hash: str, input_hash: str, group: str | None) -> ActionID:
        """The child action that a call makes, under its deterministic name: see `sub_action_name`."""
        return self.new_sub_action(sub_action_name(self.name, task_call_seq, task_hash, input_hash, group))

    def unique_id_str(self, salt: str | None = None) -> str:
        """Project, domain, run and action joined by dashes, and `salt` if given; a part that is unset reads `None`."""
        unique_id = f"{self.project}-{self.domain}-{self.run_name}-{self.name}"
        return unique_id if salt is None else f"{unique_id}-{salt}"


@dataclass(frozen=True, repr=False)
class GroupData(RichRepr):
    """The label that sibling actions share; set with `flyte.group`."""

    name: str


class CallCounter:
    """Numbers calls that look the same, from 1, so that each gets an action name of its own."""

    def __init__(self) -> None:
        self._counts: dict[str, int] = {}

    def next(self, call_key: str) -> int:
        """Count one more call of `call_key` and say how many that makes."""
        count = self._counts.get(call_key, 0) + 1
        self._counts[call_key] = count
        return count

    def __repr__(self) -> str:
        return f"CallCounter({self._counts!r})"
