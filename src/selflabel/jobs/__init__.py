"""WHAT A USER ASKS FOR: one file per verb."""
