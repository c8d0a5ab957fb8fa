"""SCORES TO LABELS: pure arithmetic on tensors, no networks, no files."""

from selflabel.assignment.scores import LinearScores
from selflabel.assignment.sinkhorn import Assignment, plan, sinkhorn, soft_masses

__all__ = ["Assignment", "LinearScores", "plan", "sinkhorn", "soft_masses"]
