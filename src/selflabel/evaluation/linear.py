"""A linear layer on fixed features, trained by the schedules of papers, whose numbers hang on them.

Sources: SeLa's published probes (Asano et al., ICLR 2020, code): of AlexNet 36 epochs at 0.01, a tenth every 10, in batches of
192, after batch norm without scale; of ResNet 146 epochs at 0.1, a tenth at 85 and at 128, in batches of 1,024.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn


@dataclass(frozen=True)
class Schedule:
    """drops: the epochs at which the learning rate falls to a tenth. normed: batch norm without scale comes first."""

    epochs: int
    lr: float
    drops: tuple[int, ...]
    batch: int
    weight_decay: float
    normed: bool


SCHEDULES = {
    "sela-alexnet": Schedule(36, 1e-2, (10, 20, 30), 192, 1e-5, True),
    "sela-resnet": Schedule(146, 1e-1, (85, 128), 1024, 0.0, False),
}
MOMENTUM = 0.9


def linear_accuracy(
    fit_ND: np.ndarray, y_fit: np.ndarray, held_MD: np.ndarray, y_held: np.ndarray, schedule: Schedule, seed: int = 0
) -> float:
    """Train on `fit` and score on `held`; features as the encoder made them, classes as numbers from 0.

    Example:
        >>> x = np.repeat(np.eye(2, dtype=np.float32), 50, axis=0)
        >>> linear_accuracy(x, x[:, 1].astype(int), x, x[:, 1].astype(int), SCHEDULES["sela-alexnet"])
        1.0
    """
    generator = torch.Generator().manual_seed(seed)
    x, y = torch.from_numpy(np.ascontiguousarray(fit_ND, np.float32)), torch.from_numpy(np.ascontiguousarray(y_fit, np.int64))
    head = nn.Linear(x.shape[1], int(max(y_fit.max(), y_held.max())) + 1)
    nn.init.normal_(head.weight, std=0.01, generator=generator)
    nn.init.zeros_(head.bias)
    layers = nn.Sequential(nn.BatchNorm1d(x.shape[1], affine=False), head) if schedule.normed else head
    sgd = torch.optim.SGD(head.parameters(), schedule.lr, MOMENTUM, weight_decay=schedule.weight_decay)
    rates = torch.optim.lr_scheduler.MultiStepLR(sgd, list(schedule.drops))
    layers.train()
    for _ in range(schedule.epochs):
        order = torch.randperm(len(x), generator=generator)
        for rows in order.tensor_split(-(-len(x) // schedule.batch)):
            if len(rows) > 1:  # batch norm needs two
                sgd.zero_grad()
                F.cross_entropy(layers(x[rows]), y[rows]).backward()
                sgd.step()
        rates.step()
    with torch.no_grad():
        said = layers.eval()(torch.from_numpy(np.ascontiguousarray(held_MD, np.float32))).argmax(dim=1).numpy()
    return float((said == y_held).mean())
