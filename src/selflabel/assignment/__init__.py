"""SCORES TO LABELS: pure arithmetic on tensors, no networks, no files."""

from selflabel.assignment.scores import LinearScores
from selflabel.assignment.sinkhorn import Assignment, plan, sinkhorn

__all__ = ["Assignment", "LinearScores", "plan", "sinkhorn"]
