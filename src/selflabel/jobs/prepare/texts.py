"""What is said in the items, read from their captions and encoded once by a fixed model of text."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from selflabel.base.errors import UserError
from selflabel.contract import Texts
from selflabel.encoders.hf_text import TextEncoder, make_text_encoder
from selflabel.items import Items
from selflabel.items.captions import Sentence, caption_files, read_captions
from selflabel.items.skipped import Skipped
from selflabel.jobs.callbacks import Callbacks
from selflabel.jobs.prepare.frozen import ENCODE_BATCH, keep_features, read_features, state_digest
from selflabel.jobs.prepare.prepared import Modality
from selflabel.training.distributed import Ranks


@dataclass(frozen=True)
class Captions:
    """The captions of N items in F files.

    Attributes:
        sentences: (F,) of each file.
        files_N: (N,) the file of each item; -1 where an item has none.
        skipped: (path, reason) of the files that cannot be used.
    """

    sentences: list[list[Sentence]]
    files_N: np.ndarray
    skipped: list[tuple[str, str]]

    @property
    def texts(self) -> list[str]:
        """(M,) all sentences, file after file."""
        return [sentence.text for of_file in self.sentences for sentence in of_file]


def captions_of(items: Items) -> Captions:
    """The captions of items; each file is read once.

    Raises:
        UserError: no item has any.
    """
    files, numbers, sentences, skipped = caption_files(items), dict[str, int](), list[list[Sentence]](), list[tuple[str, str]]()
    for file in dict.fromkeys(filter(None, files)):
        try:
            read = read_captions(file)
        except (OSError, ValueError) as error:
            reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
            skipped.append(Skipped(file, f"captions: {reason}"))
            continue
        numbers[file] = len(sentences)
        sentences.append(read)
    if not sentences:
        first = f"; the first file, {skipped[0][0]}: {skipped[0][1]}" if skipped else ""
        raise UserError(
            f"{items.source}: none of its {len(items):,} items has captions for --set text{first}; put a .vtt or .srt of the "
            "same name beside each film, or name it in a manifest's column 'captions'."
        )
    return Captions(sentences, np.array([numbers.get(file, -1) for file in files], np.int64), skipped)


def read_texts(
    name: str, items: Items, modality: Modality, folder: Path, device: torch.device, callbacks: Callbacks, ranks: Ranks = Ranks()
) -> tuple[Items, Texts]:
    """(the items with what of their captions was skipped, the features of their sentences).

    Args:
        name: of the encoder (see `make_text_encoder`).
        items: the set.
        modality: the one whose views have sentences.
        folder: where the features are kept.
        device: where the encoder runs.
        callbacks: progress, and sentences for the user.
        ranks: of this process.

    Raises:
        UserError: no item has captions, or the encoder cannot be used.
    """
    encoder = make_text_encoder(name).to(device)
    captions = captions_of(items)
    if captions.skipped:
        path, reason = captions.skipped[0]
        callbacks.say(f"skipped {len(captions.skipped)} files of captions; the first, {path}: {reason}")
    lacking = int((captions.files_N < 0).sum())
    if lacking:
        callbacks.say(f"{lacking} of {len(items)} items have no captions; pretext=milnce does not learn from them.")
    features_MD = torch.from_numpy(np.array(text_features(encoder, captions.texts, folder, callbacks, ranks)))
    counts = [len(of_file) for of_file in captions.sentences]
    texts = Texts(
        features_MD=standardised(features_MD),
        times_M2=torch.tensor([s[:2] for of_file in captions.sentences for s in of_file], dtype=torch.float64),
        starts_F=torch.tensor([0, *np.cumsum(counts)], dtype=torch.int64),
        files_N=torch.from_numpy(captions.files_N),
        clock_N2=modality.stored().clock(),
    )
    return items.take(list(range(len(items))), captions.skipped), texts


def standardised(features_MD: Tensor) -> Tensor:
    """Features without their mean, with entries of variance 1 on average: what all sentences share says nothing."""
    centred = features_MD - features_MD.mean(dim=0)
    return centred / centred.square().mean().sqrt().clamp(min=1e-6)


def text_features(
    encoder: TextEncoder, sentences: list[str], folder: Path, callbacks: Callbacks, ranks: Ranks = Ranks()
) -> np.ndarray:
    """(M, D) float32 features of sentences, computed once and kept in the folder. Every rank computes all of them."""
    digest = hashlib.blake2b("\0".join([identity(encoder), *sentences]).encode("utf-8", "replace"), digest_size=10)
    file, shape = folder / f"texts-{digest.hexdigest()}.npy", (len(sentences), encoder.dim)
    known = read_features(file, shape)
    if known is not None:
        return known
    features = np.empty(shape, np.float32)
    by_length = sorted(range(len(sentences)), key=lambda i: len(sentences[i]))  # so that few tokens are padding
    for start in range(0, len(by_length), ENCODE_BATCH):
        rows = by_length[start : start + ENCODE_BATCH]
        features[rows] = encoder([sentences[i] for i in rows]).cpu().numpy()
        callbacks.on_progress("encoding text", start + len(rows), len(sentences))
    if ranks.is_first:
        keep_features(file, features, callbacks)
    return features


def identity(encoder: TextEncoder) -> str:
    """Text that is the same for encoders that give the same features: of weights, configuration and tokenizer."""
    net: nn.Module = encoder.net
    probe = encoder.tokenizer(["Two goals, in one minute!"])["input_ids"]
    return f"{state_digest(net)}|{net.config.to_json_string()}|{encoder.most_tokens}|{probe}|{len(encoder.tokenizer)}"  # type: ignore[union-attr,operator]
