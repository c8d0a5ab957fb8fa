"""The kinds of edit, one small class each: its fields, why it may not fit a labelling, and how it changes one.

The fields are the JSON of edits.jsonl.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterable
from datetime import datetime, timezone
from typing import Annotated, Any, Literal, TypeAlias

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError, model_serializer, model_validator

from selflabel.base.errors import UserError
from selflabel.edits.nearest import FeatureRows, nearest_centre
from selflabel.edits.state import EditedLabels

MAX_NAME = 200  # characters
BY_THE_RUN = "0" * 16  # id of an edit that nobody made: a run whose classes have names gives them

Cluster = Annotated[int, Field(ge=0, lt=2**24)]
Row = Annotated[int, Field(ge=0)]


class BaseEdit(BaseModel):
    """What every edit has.

    Attributes:
        id: 16 hexadecimal digits.
        at: when it was made, in UTC, as ISO 8601.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    id: str = Field(default_factory=lambda: secrets.token_hex(8))
    at: str = Field(default_factory=lambda: datetime.now(timezone.utc).isoformat(timespec="milliseconds"))

    def problem(self, labels: EditedLabels) -> str:
        """Why the edit does not fit a labelling, as half a sentence with what to do; "" where it fits."""
        return ""

    def apply_to(self, labels: EditedLabels, features: FeatureRows | None) -> None:
        """Change a labelling, which it must fit, in place."""

    def describe(self, cluster_name: Callable[[int], str]) -> str:
        """The edit in a few words, for messages and for the undo and redo buttons. cluster_name: number to name."""
        return str(getattr(self, "do", "edit"))


class Name(BaseEdit):
    """Give a cluster a name; an empty one removes it.

    Attributes:
        cluster: its number.
        name: at most 200 characters.
    """

    do: Literal["name"] = "name"
    cluster: Cluster
    name: str = Field(max_length=MAX_NAME)

    def problem(self, labels: EditedLabels) -> str:
        return unprintable(self.name) or missing_cluster([self.cluster], labels)

    def apply_to(self, labels: EditedLabels, features: FeatureRows | None) -> None:
        labels.names.pop(self.cluster, None)
        if self.name.strip():
            labels.names[self.cluster] = self.name.strip()

    def describe(self, cluster_name: Callable[[int], str]) -> str:
        return f"cluster {self.cluster} named “{self.name}”" if self.name else f"name of cluster {self.cluster} removed"


class Merge(BaseEdit):
    """Make several clusters one. It keeps the name of `into`, or else the first name among the others.

    Attributes:
        clusters: at least two different numbers.
        into: the one of them that remains.
    """

    do: Literal["merge"] = "merge"
    clusters: list[Cluster] = Field(min_length=2)
    into: Cluster

    @model_validator(mode="after")
    def check_clusters(self) -> Merge:
        if len(set(self.clusters)) < len(self.clusters) or self.into not in self.clusters:
            raise ValueError("clusters must be different ones, and `into` one of them")
        return self

    def problem(self, labels: EditedLabels) -> str:
        return missing_cluster(self.clusters, labels)

    def apply_to(self, labels: EditedLabels, features: FeatureRows | None) -> None:
        others = [c for c in self.clusters if c != self.into]
        for c in others:
            labels.item_clusters[labels.item_clusters == c] = self.into
        names = [labels.names.pop(c) for c in [self.into, *others] if c in labels.names]
        if names:
            labels.names[self.into] = names[0]
        labels.clusters = [c for c in labels.clusters if c not in others]

    def describe(self, cluster_name: Callable[[int], str]) -> str:
        return f"merge of {len(self.clusters)} clusters into {cluster_name(self.into)}"


class Split(BaseEdit):
    """Make several clusters of one: each of its items, and unseen ones later, goes to the nearest centre.

    Attributes:
        cluster: its number.
        parts: the numbers of the new clusters; the first is `cluster` itself.
        centres: of each part, in the space of the run's features.
    """

    do: Literal["split"] = "split"
    cluster: Cluster
    parts: list[Cluster] = Field(min_length=2)
    centres: list[list[float]]

    @model_validator(mode="after")
    def check_parts(self) -> Split:
        if self.parts[0] != self.cluster or len(set(self.parts)) < len(self.parts):
            raise ValueError("parts must be different ones, and the first of them the cluster itself")
        if len(self.centres) != len(self.parts) or len({len(c) for c in self.centres}) != 1:
            raise ValueError("there must be one centre per part, all of one length")
        return self

    def problem(self, labels: EditedLabels) -> str:
        in_use = [c for c in self.parts[1:] if c in labels.used_numbers]
        if in_use:
            return f"{in_use[0]} is the number of another cluster; split into numbers never used before."
        return missing_cluster([self.cluster], labels)

    def apply_to(self, labels: EditedLabels, features: FeatureRows | None) -> None:
        rows = np.flatnonzero(labels.item_clusters == self.cluster)
        if len(rows):
            part = nearest_centre(features, rows, np.array(self.centres, np.float32))
            labels.item_clusters[rows] = np.array(self.parts, np.int32)[part]
        labels.add_clusters(self.parts)

    def describe(self, cluster_name: Callable[[int], str]) -> str:
        return f"split of {cluster_name(self.cluster)} into {len(self.parts)}"


class ItemEdit(BaseEdit):
    """An edit of single items.

    Attributes:
        items: their rows in the run.
    """

    items: list[Row] = Field(min_length=1)

    def problem(self, labels: EditedLabels) -> str:
        last, n = max(self.items), len(labels.item_clusters)
        return f"there is no item {last}; the rows are 0 to {n - 1}." if last >= n else ""

    @property
    def item_count(self) -> str:
        """The number of items, for people."""
        return f"{len(self.items):,} item" + ("s" if len(self.items) != 1 else "")


class Move(ItemEdit):
    """Put items into another cluster, or into a new one under a number never used before; rejected ones are restored.

    Attributes:
        to: the cluster's number.
        name: of a new cluster, at most 200 characters; the line in the log has it only where it is given.
    """

    do: Literal["move"] = "move"
    to: Cluster
    name: str = Field(default="", max_length=MAX_NAME)

    @model_serializer(mode="wrap")
    def without_empty_name(self, serialize: Callable[[Move], dict[str, Any]]) -> dict[str, Any]:
        return {field: value for field, value in serialize(self).items() if field != "name" or value}

    def problem(self, labels: EditedLabels) -> str:
        if self.name and self.to in labels.used_numbers:
            return f"{self.to} is the number of another cluster; name that one by an edit of its own."
        was_merged = self.to in labels.used_numbers and self.to not in labels.clusters
        wrong_cluster = missing_cluster([self.to], labels) if was_merged else ""
        return unprintable(self.name) or wrong_cluster or super().problem(labels)

    def apply_to(self, labels: EditedLabels, features: FeatureRows | None) -> None:
        labels.item_clusters[self.items] = self.to
        labels.rejected[self.items] = False
        self.add_cluster(labels)

    def add_cluster(self, labels: EditedLabels) -> None:
        """Add the cluster, with its name, where it is a new one."""
        labels.add_clusters([self.to])
        if self.name.strip():
            labels.names[self.to] = self.name.strip()

    def describe(self, cluster_name: Callable[[int], str]) -> str:
        target = f"new cluster “{self.name.strip()}”" if self.name.strip() else cluster_name(self.to)
        return f"move of {self.item_count} to {target}"


class Reject(ItemEdit):
    """Take items out of the labelling."""

    do: Literal["reject"] = "reject"

    def apply_to(self, labels: EditedLabels, features: FeatureRows | None) -> None:
        labels.rejected[self.items] = True

    def describe(self, cluster_name: Callable[[int], str]) -> str:
        return f"reject of {self.item_count}"


class Restore(ItemEdit):
    """Put rejected items back into the cluster that they had."""

    do: Literal["restore"] = "restore"

    def apply_to(self, labels: EditedLabels, features: FeatureRows | None) -> None:
        labels.rejected[self.items] = False

    def describe(self, cluster_name: Callable[[int], str]) -> str:
        return f"return of {self.item_count}"


class Undo(BaseEdit):
    """Undo the last edit in effect."""

    do: Literal["undo"] = "undo"


class Redo(BaseEdit):
    """Bring back the edit that was undone last; not possible after any other edit."""

    do: Literal["redo"] = "redo"


Edit: TypeAlias = Name | Merge | Split | Move | Reject | Restore | Undo | Redo
_EDIT: TypeAdapter[Edit] = TypeAdapter(Annotated[Edit, Field(discriminator="do")])


def unprintable(name: str) -> str:
    """What is wrong where a name has a character that cannot be shown; "" where it has none."""
    if all(c.isprintable() for c in name):
        return ""
    return f"the name {name!r} has a character in it that cannot be shown; leave it out."


def missing_cluster(clusters: Iterable[int], labels: EditedLabels) -> str:
    """What is wrong where one of the clusters is not in a labelling; "" where all are."""
    missing = sorted(set(clusters) - set(labels.clusters))
    return f"there is no cluster {missing[0]} (it may have been merged); reload the page." if missing else ""


def parse(values: dict[str, Any]) -> Edit:
    """Make an edit from plain values.

    Args:
        values: `do` and the fields of that kind of edit; `id` and `at` are generated where they are left out.

    Raises:
        UserError: there is no such kind of edit, or a field is missing or wrong.

    Example:
        >>> parse({"do": "name", "cluster": 3, "name": "cats"}).name
        'cats'
    """
    try:
        return _EDIT.validate_python(values)
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(str(x) for x in first["loc"][1:]) or "do"
        raise UserError(f"not an edit: {field}: {first['msg'][0].lower()}{first['msg'][1:]}.") from error
