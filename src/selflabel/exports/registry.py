"""Every export format by its name: EXPORTS is the only list of them.

Nothing here takes long to import: a format's module, and the libraries that it needs, are imported when it first writes.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from selflabel.base.errors import UserError, did_you_mean

if TYPE_CHECKING:
    from selflabel.exports.context import ExportContext

    Writer = Callable[[ExportContext, Path], dict[str, Any] | None]

ANY = ("image", "video", "audio", "features")
FILES = ("image", "video", "audio")
IMAGES = ("image",)
SOUNDS = ("audio",)


@dataclass(frozen=True)
class Format:
    """An export format.

    Attributes:
        description: what is written, in a few words.
        readers: what reads it.
        write: writes the items of a context to a path: a new file, or a new and empty folder. What it returns goes into
            export.json.
        ending: of the file; "" where the format is a folder.
        kinds: kinds of items that it can hold.
        needs_source: whether the items' own bytes are needed.
        can_link: whether files can be links to the items' own.
        cuts: whether an item that is a piece of a file becomes a file of its own.
        needs_boxes: whether the items must be boxes.
        needs_masks: whether the items must be masks.
    """

    description: str
    readers: str
    write: Writer
    ending: str = ""
    kinds: tuple[str, ...] = ANY
    needs_source: bool = True
    can_link: bool = False
    cuts: bool = False
    needs_boxes: bool = False
    needs_masks: bool = False


def writer_of(module: str) -> Writer:
    """The function `write` of a module of this package."""

    def write(context: ExportContext, path: Path) -> dict[str, Any] | None:
        return import_module(f"selflabel.exports.{module}").write(context, path)

    return write


EXPORTS: dict[str, Format] = {
    "csv": Format(
        "a line per item: id, path, its piece, label, confidence, name",
        "anything",
        writer_of("csv_file"),
        ending=".csv",
        needs_source=False,
    ),
    "folders": Format(
        "a folder per class with the items' files, or what is cut out of them",
        "torchvision's ImageFolder, Keras, fastai, a file manager",
        writer_of("folders"),
        kinds=FILES,
        can_link=True,
        cuts=True,
    ),
    "parquet": Format(
        "a row per item: id, path, its piece, label, confidence, name",
        "pandas, polars, DuckDB, pyarrow",
        writer_of("parquet"),
        ending=".parquet",
        needs_source=False,
    ),
    "html": Format(
        "pages to look at and to send to someone; nothing to install",
        "any browser, from disk or from a web server",
        writer_of("html"),
        needs_source=False,
    ),
    "imagefolder": Format(
        "files with a metadata.csv",
        'Hugging Face datasets: load_dataset("imagefolder", data_dir=...)',
        writer_of("imagefolder"),
        kinds=FILES,
        can_link=True,
        cuts=True,
    ),
    "webdataset": Format(
        "tar shards",
        "WebDataset, Hugging Face datasets (streaming), selflabel itself",
        writer_of("webdataset"),
        kinds=FILES,
        cuts=True,
    ),
    "coco": Format(
        "images/ and annotations/instances_default.json with boxes and masks, or one box around each whole image",
        "pycocotools, Detectron2, MMDetection, CVAT, Datumaro",
        writer_of("coco"),
        kinds=IMAGES,
        can_link=True,
    ),
    "yolo": Format(
        "train/ and val/ with class folders",
        "Ultralytics: yolo classify train data=...",
        writer_of("yolo"),
        kinds=IMAGES,
        can_link=True,
        cuts=True,
    ),
    "yolo-detect": Format(
        "images/, labels/ and data.yaml with boxes",
        "Ultralytics: yolo detect train data=.../data.yaml",
        writer_of("yolo_detect"),
        kinds=IMAGES,
        can_link=True,
        needs_boxes=True,
    ),
    "class-maps": Format(
        "maps/ with a PNG per photo whose values are classes, classes.csv and maps.csv",
        "MMSegmentation, torchvision, any tool for semantic segmentation",
        writer_of("class_maps"),
        kinds=IMAGES,
        needs_source=False,
        needs_masks=True,
    ),
    "label-studio": Format(
        "tasks.json with predictions (classes, boxes, masks, time spans), config.xml and the files",
        "Label Studio (import with local storage)",
        writer_of("label_studio"),
        kinds=FILES,
        can_link=True,
    ),
    "fiftyone": Format(
        "data/ and labels.json with classes or boxes",
        "FiftyOne: FiftyOneImageClassificationDataset, of boxes FiftyOneImageDetectionDataset",
        writer_of("fiftyone"),
        kinds=IMAGES,
        can_link=True,
    ),
    "cleanlab": Format(
        "labels.npy and pred_probs.npy",
        "cleanlab: find_label_issues(labels, pred_probs)",
        writer_of("cleanlab"),
        needs_source=False,
    ),
    "cvat": Format(
        "annotations.xml with boxes and masks, or a tag per image, and the images",
        "CVAT (CVAT for images 1.1), Datumaro",
        writer_of("cvat"),
        kinds=IMAGES,
        can_link=True,
    ),
    "raven": Format(
        "a selection table per recording; neighbouring windows of a class are one selection",
        "Raven Pro and Raven Lite, crowsetta, opensoundscape",
        writer_of("raven"),
        kinds=SOUNDS,
    ),
    "audacity": Format(
        "a label track per recording; neighbouring windows of a class are one label",
        "Audacity (File > Import > Labels), crowsetta",
        writer_of("audacity"),
        kinds=SOUNDS,
    ),
}


def find_format(name: str) -> Format:
    """A format by its name.

    Raises:
        UserError: there is no such format.
    """
    if name not in EXPORTS:
        raise UserError(f"--to {name}: there is no such format; there are {', '.join(EXPORTS)}{did_you_mean(name, EXPORTS)}")
    return EXPORTS[name]


def format_names() -> str:
    """The names of all formats as part of a sentence: "csv, folders, ... or cvat"."""
    *names, last = EXPORTS
    return f"{', '.join(names)} or {last}"
