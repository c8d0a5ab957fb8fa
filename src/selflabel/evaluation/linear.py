"""A linear layer on fixed features, trained by the schedules of papers, on which their numbers depend.

Source: the published probes of SeLa (Asano et al., ICLR 2020, code). Of AlexNet: 36 epochs at 0.01, a tenth every 10, in batches
of 192, after batch norm without scale. Of ResNet: 146 epochs at 0.1, a tenth at 85 and at 128, in batches of 1,024.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn


@dataclass(frozen=True)
class Schedule:
    """How a linear probe is trained.

    Attributes:
        epochs: over the training items.
        lr: learning rate at the start.
        milestones: epochs after which the learning rate falls to a tenth.
        batch: items a step.
        weight_decay: of the linear layer.
        batch_norm: whether the features first pass batch norm without scale and shift.
    """

    epochs: int
    lr: float
    milestones: tuple[int, ...]
    batch: int
    weight_decay: float
    batch_norm: bool


SCHEDULES = {
    "sela-alexnet": Schedule(36, 1e-2, (10, 20, 30), 192, 1e-5, True),
    "sela-resnet": Schedule(146, 1e-1, (85, 128), 1024, 0.0, False),
}
MOMENTUM = 0.9


def linear_accuracy(
    train_ND: np.ndarray, y_train: np.ndarray, test_MD: np.ndarray, y_test: np.ndarray, schedule: Schedule, seed: int = 0
) -> float:
    """Train a linear layer on some items and score it on others.

    Args:
        train_ND, test_MD: features as the encoder gives them.
        y_train, y_test: classes as numbers from 0.
        schedule: how to train.
        seed: of the start and of the order of items.

    Returns:
        Accuracy on the test items, in [0, 1].

    Example:
        >>> x = np.repeat(np.eye(2, dtype=np.float32), 50, axis=0)
        >>> linear_accuracy(x, x[:, 1].astype(int), x, x[:, 1].astype(int), SCHEDULES["sela-alexnet"])
        1.0
    """
    generator = torch.Generator().manual_seed(seed)
    x, y = as_tensor(train_ND, np.float32), as_tensor(y_train, np.int64)
    head = nn.Linear(x.shape[1], int(max(y_train.max(), y_test.max())) + 1)
    nn.init.normal_(head.weight, std=0.01, generator=generator)
    nn.init.zeros_(head.bias)
    layers = nn.Sequential(nn.BatchNorm1d(x.shape[1], affine=False), head) if schedule.batch_norm else head
    train_layers(layers, head, x, y, schedule, generator)
    with torch.no_grad():
        predictions = layers.eval()(as_tensor(test_MD, np.float32)).argmax(dim=1).numpy()
    return float((predictions == y_test).mean())


def train_layers(
    layers: nn.Module, head: nn.Linear, x_ND: Tensor, y_N: Tensor, schedule: Schedule, generator: torch.Generator
) -> None:
    sgd = torch.optim.SGD(head.parameters(), schedule.lr, MOMENTUM, weight_decay=schedule.weight_decay)
    lr = torch.optim.lr_scheduler.MultiStepLR(sgd, list(schedule.milestones))
    layers.train()
    for _ in range(schedule.epochs):
        order = torch.randperm(len(x_ND), generator=generator)
        for rows in order.tensor_split(-(-len(x_ND) // schedule.batch)):
            if len(rows) > 1:  # batch norm needs two
                sgd.zero_grad()
                F.cross_entropy(layers(x_ND[rows]), y_N[rows]).backward()
                sgd.step()
        lr.step()


def as_tensor(array: np.ndarray, dtype: type) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(array, dtype))
