"""From scores to labels: arithmetic on tensors, without networks or files."""

from selflabel.assignment.scores import LinearScores
from selflabel.assignment.sinkhorn import Assignment, plan, sinkhorn, soft_masses

__all__ = ["Assignment", "LinearScores", "plan", "sinkhorn", "soft_masses"]
