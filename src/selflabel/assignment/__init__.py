"""SCORES TO LABELS: pure arithmetic on tensors, no networks and no files."""

from selflabel.assignment.sinkhorn import Assignment, LinearScores, plan, sinkhorn

__all__ = ["Assignment", "LinearScores", "plan", "sinkhorn"]
