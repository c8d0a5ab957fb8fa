"""Any vision, audio or video model of transformers as a fixed encoder: its files, and what its configuration says of its input.

The files are a folder that `save_pretrained` wrote, or a repository of the model hub. Its processor's settings are followed: the
side, mean and deviation of pictures, the rate and the spectrogram of sounds. Code that a repository brings is never run.
transformers is an extra; `hf_models` makes the networks.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from selflabel.base.errors import UserError
from selflabel.encoders.hub import NoHub, NotOnHub, Progress, hub_file

PREFIX = "hf:"
WEIGHTS = ("model.safetensors", "model.safetensors.index.json", "pytorch_model.bin", "pytorch_model.bin.index.json")
PROCESSORS = ("preprocessor_config.json", "video_preprocessor_config.json", "processor_config.json")
DEFAULT_PX, DEFAULT_RATE = 224, 16_000
IMAGENET = {"image_mean": [0.485, 0.456, 0.406], "image_std": [0.229, 0.224, 0.225]}
LABELS = ("id2label", "label2id", "auto_map")  # of a configuration: names of classes that no encoder needs, and code
MOST_NUMBER, MOST_TEXT = 1 << 22, 1 << 18  # in a configuration that a run recorded


@dataclass(frozen=True)
class Network:
    """What is known of a model without its weights; a run records it.

    Attributes:
        config: of the model, as transformers stores it.
        processor: of its input, as transformers stores it; {} where there is none.
        pooled: how its feature is made of its output (see `hf_models.POOLINGS`); "" before the weights were seen.
    """

    config: dict[str, Any]
    processor: dict[str, Any]
    pooled: str = ""

    def as_text(self) -> str:
        """As JSON."""
        return json.dumps({"config": self.config, "processor": self.processor, "pooled": self.pooled}, sort_keys=True)

    @classmethod
    def from_text(cls, text: str) -> Network:
        """From `as_text`, of a run that a stranger may have made.

        Raises:
            ValueError: it is too large, or says numbers that no model has.
        """
        if len(text) > MOST_TEXT:
            raise ValueError("the network's description is too long")
        values = json.loads(text, parse_int=bounded)
        return cls(values["config"], values["processor"], values["pooled"])

    @property
    def px(self) -> int:
        """Side of pictures and frames in pixels."""
        for values in (self.processor.get("crop_size"), self.processor.get("size"), self.vision.get("image_size")):
            if isinstance(values, dict):
                values = values.get("height") or values.get("shortest_edge")
            if isinstance(values, (list, tuple)) and values:
                values = values[0]
            if isinstance(values, (int, float)) and values >= 1:
                return int(values)
        return DEFAULT_PX

    @property
    def rate(self) -> int:
        """Samples a second of sounds."""
        return int(self.processor.get("sampling_rate") or DEFAULT_RATE)

    @property
    def frames(self) -> int:
        """Frames of a film; 0 for a model of pictures."""
        return int(self.config.get("num_frames") or self.config.get("frames_per_clip") or 0)

    @property
    def vision(self) -> dict[str, Any]:
        """The part of the configuration that is about pictures."""
        part = self.config.get("vision_config")
        return part if isinstance(part, dict) else self.config


def bounded(digits: str) -> int:
    """A whole number of a configuration. Raises ValueError for one that no model has."""
    value = int(digits) if len(digits) < 20 else MOST_NUMBER + 1
    if abs(value) > MOST_NUMBER:
        raise ValueError(f"the network's description says {digits[:20]}, which no model has")
    return value


def read_network(folder: Path) -> Network:
    """What the files of a model say about it.

    Raises:
        UserError: they are no model's.
    """
    config = read_json(folder / "config.json")
    if config is None or not isinstance(config.get("model_type"), str):
        raise UserError(f"{PREFIX}{folder}: holds no model of transformers; its config.json is missing or names no model_type.")
    processor = next((found for name in PROCESSORS if (found := read_json(folder / name)) is not None), {})
    for part in ("image_processor", "video_processor", "feature_extractor"):  # of processors of several inputs
        if isinstance(processor.get(part), dict):
            processor = processor[part]
            break
    return Network({k: v for k, v in config.items() if k not in LABELS}, processor)


def read_json(file: Path) -> dict[str, Any] | None:
    try:
        values = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return values if isinstance(values, dict) else None


# ----------------------------------------------------------------------------------------------------------------- files


def folder_of(name: str, progress: Progress | None = None, fetch: bool = True) -> Path:
    """The folder with the files of `hf:NAME_OR_FOLDER`: the user's, or that of the hub's library on the disk.

    Args:
        name: with its prefix.
        progress: of a download.
        fetch: False takes only what is on the disk.

    Raises:
        UserError: transformers is not installed, or the files cannot be had.
    """
    check_installed(name)
    place = name.removeprefix(PREFIX)
    if Path(place).is_dir():
        return Path(place)
    try:
        return fetch_files(place, progress, fetch)
    except (NoHub, NotOnHub) as error:
        raise UserError(
            f"{name}: it is no folder here, and cannot be fetched ({error}); on a connected machine `selflabel encoders --save "
            f"{name} FOLDER` gets it, and --encoder frozen:hf:FOLDER uses it."
        ) from error


def fetch_files(repo: str, progress: Progress | None = None, fetch: bool = True) -> Path:
    """The folder of a repository's files, which are fetched where they are not on the disk.

    Raises:
        NoHub, NotOnHub: see `hub.hub_file`.
    """
    folder = hub_file(repo, ("config.json",), progress, fetch).parent
    weights = hub_file(repo, WEIGHTS, progress, fetch)
    for shard in shards_of(weights):
        hub_file(repo, (shard,), progress, fetch)
    for name in (*PROCESSORS, "README.md"):
        try:
            hub_file(repo, (name,), progress, fetch)
        except NotOnHub:
            continue
        except NoHub:
            if fetch and not (folder / "preprocessor_config.json").exists() and name == PROCESSORS[0]:
                raise
    return folder


def shards_of(file: Path) -> list[str]:
    """The files that an index of weights names; none for the weights themselves."""
    index = read_json(file) if file.suffix == ".json" else None
    return sorted(set((index or {}).get("weight_map", {}).values()))


def weight_files(folder: Path) -> list[Path]:
    """The files of a model's weights.

    Raises:
        UserError: there are none.
    """
    first = next((folder / name for name in WEIGHTS if (folder / name).exists()), None)
    if first is None:
        raise UserError(f"{PREFIX}{folder}: holds no weights; model.safetensors is missing.")
    return [folder / name for name in shards_of(first)] or [first]


def licence_in(folder: Path) -> str:
    """The licence that the head of a model's README.md states; "" where there is none."""
    try:
        lines = (folder / "README.md").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return ""
    head = lines[1 : lines.index("---", 1)] if lines[:1] == ["---"] and "---" in lines[1:] else []
    return next((line.partition(":")[2].strip().strip("'\"") for line in head if line.startswith("license:")), "")


def check_installed(name: str) -> None:
    """Raise UserError where transformers is not installed."""
    if find_spec("transformers") is None:
        raise UserError(f"{name}: needs transformers, which is not installed; add it with: pip install 'selflabel[hf]'")
