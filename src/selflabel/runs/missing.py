"""What is raised for an item that cannot be shown."""


class Missing(Exception):
    """An item cannot be shown; the text says why."""
