"""The kinds of edit, one small class each: what it needs, why it may not fit a labelling, and what it does to one."""

from __future__ import annotations

import secrets
from collections.abc import Iterable
from datetime import datetime, timezone
from typing import Annotated, Any, Literal, TypeAlias

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError, model_validator

from selflabel.base.errors import UserError
from selflabel.edits.nearest import nearest_centre
from selflabel.edits.state import Edited

LONGEST_NAME = 200

Cluster = Annotated[int, Field(ge=0, lt=2**24)]
Row = Annotated[int, Field(ge=0)]


class Base(BaseModel):
    """What every edit has. `trouble` says why it does not fit a labelling ("" where it does), `act` carries it out in place."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    id: str = Field(default_factory=lambda: secrets.token_hex(8))
    at: str = Field(default_factory=lambda: datetime.now(timezone.utc).isoformat(timespec="milliseconds"))

    def trouble(self, now: Edited) -> str:
        return ""

    def act(self, now: Edited, features: np.ndarray | None) -> None:
        pass


class Name(Base):
    """Give a cluster a name; an empty one takes it away."""

    do: Literal["name"] = "name"
    cluster: Cluster
    name: str = Field(max_length=LONGEST_NAME)

    def trouble(self, now: Edited) -> str:
        if any(not c.isprintable() for c in self.name):
            return f"the name {self.name!r} has a sign in it that cannot be shown; leave it out."
        return missing([self.cluster], now)

    def act(self, now: Edited, features: np.ndarray | None) -> None:
        now.names.pop(self.cluster, None)
        if self.name.strip():
            now.names[self.cluster] = self.name.strip()


class Merge(Base):
    """Make several clusters one. It keeps the name of `into`, or has the first name among the others."""

    do: Literal["merge"] = "merge"
    clusters: list[Cluster] = Field(min_length=2)
    into: Cluster

    @model_validator(mode="after")
    def is_whole(self) -> Merge:
        if len(set(self.clusters)) < len(self.clusters) or self.into not in self.clusters:
            raise ValueError("clusters must be different ones, and `into` one of them")
        return self

    def trouble(self, now: Edited) -> str:
        return missing(self.clusters, now)

    def act(self, now: Edited, features: np.ndarray | None) -> None:
        gone = [c for c in self.clusters if c != self.into]
        for c in gone:
            now.under[now.under == c] = self.into
        named = [now.names.pop(c) for c in [self.into, *gone] if c in now.names]
        if named:
            now.names[self.into] = named[0]
        now.clusters = [c for c in now.clusters if c not in gone]


class Split(Base):
    """Make several clusters of one: each item goes to the nearest of `centres`, and so will unseen items."""

    do: Literal["split"] = "split"
    cluster: Cluster
    parts: list[Cluster] = Field(min_length=2)
    centres: list[list[float]]

    @model_validator(mode="after")
    def is_whole(self) -> Split:
        if self.parts[0] != self.cluster or len(set(self.parts)) < len(self.parts):
            raise ValueError("parts must be different ones, and the first of them the cluster itself")
        if len(self.centres) != len(self.parts) or len({len(c) for c in self.centres}) != 1:
            raise ValueError("there must be one centre a part, all of one length")
        return self

    def trouble(self, now: Edited) -> str:
        taken = [c for c in self.parts[1:] if c in now.used]
        if taken:
            return f"{taken[0]} is the number of another cluster; split into numbers never used before."
        return missing([self.cluster], now)

    def act(self, now: Edited, features: np.ndarray | None) -> None:
        rows = np.flatnonzero(now.under == self.cluster)
        if len(rows):
            now.under[rows] = np.array(self.parts, np.int32)[nearest_centre(features, rows, np.array(self.centres, np.float32))]
        now.add(self.parts)


class OfItems(Base):
    """An edit of single items, by their rows."""

    items: list[Row] = Field(min_length=1)

    def trouble(self, now: Edited) -> str:
        most = max(self.items)
        return f"there is no item {most}; the rows are 0 to {len(now.under) - 1}." if most >= len(now.under) else ""


class Move(OfItems):
    """Put items into another cluster, or into a new one under a number never used before; rejected ones come back there."""

    do: Literal["move"] = "move"
    to: Cluster

    def trouble(self, now: Edited) -> str:
        gone = self.to in now.used and self.to not in now.clusters
        return missing([self.to], now) if gone else super().trouble(now)

    def act(self, now: Edited, features: np.ndarray | None) -> None:
        now.under[self.items] = self.to
        now.rejected[self.items] = False
        now.add([self.to])


class Reject(OfItems):
    """Take items out of the labelling."""

    do: Literal["reject"] = "reject"

    def act(self, now: Edited, features: np.ndarray | None) -> None:
        now.rejected[self.items] = True


class Restore(OfItems):
    """Take rejected items in again, to the cluster they had."""

    do: Literal["restore"] = "restore"

    def act(self, now: Edited, features: np.ndarray | None) -> None:
        now.rejected[self.items] = False


class Undo(Base):
    """Take back the last edit not yet taken back."""

    do: Literal["undo"] = "undo"


class Redo(Base):
    """Bring back the edit taken back last; any other edit ends that."""

    do: Literal["redo"] = "redo"


Edit: TypeAlias = Name | Merge | Split | Move | Reject | Restore | Undo | Redo
_KINDS: TypeAdapter[Edit] = TypeAdapter(Annotated[Edit, Field(discriminator="do")])


def missing(clusters: Iterable[int], now: Edited) -> str:
    gone = sorted(set(clusters) - set(now.clusters))
    return f"there is no cluster {gone[0]} (it may have been merged); look at the clusters anew." if gone else ""


def parse(values: dict[str, Any]) -> Edit:
    """An edit from plain values; `id` and `at` are made where they are not given.

    Raises:
        UserError: no edit of that kind, or one that lacks something.

    Example:
        >>> parse({"do": "name", "cluster": 3, "name": "cats"}).name
        'cats'
    """
    try:
        return _KINDS.validate_python(values)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(x) for x in first["loc"][1:]) or "do"
        raise UserError(f"not an edit: {place}: {first['msg'][0].lower()}{first['msg'][1:]}.") from error
