"""What libraries say to their developers stays off the screen: warnings, log lines, banners. Errors are raised, and still show.

Called before any of them is imported. What the user asked for stays: `python -W default` and a variable that is already set.
"""

from __future__ import annotations

import logging
import os
import sys
import warnings

VARIABLES = {
    "PYTHONWARNINGS": "ignore",  # of child processes, and of what tracks their semaphores
    "TORCH_CPP_LOG_LEVEL": "ERROR",
    "KMP_WARNINGS": "0",  # OpenMP
    "HF_HUB_VERBOSITY": "error",
    "HF_HUB_DISABLE_PROGRESS_BARS": "1",
    "TRANSFORMERS_VERBOSITY": "error",
    "NUMBA_DISABLE_PERFORMANCE_WARNINGS": "1",
    "OPENCV_LOG_LEVEL": "ERROR",
}


def quiet_libraries() -> None:
    """Keep warnings and log lines of libraries off standard error, in this process and in those that it starts."""
    if not sys.warnoptions:  # a filter would not do, because libraries add filters of their own that come first
        warnings.showwarning = lambda *args, **named: None
    for name, value in VARIABLES.items():
        os.environ.setdefault(name, value)
    logging.lastResort = None  # prints records for which nobody made a handler
    logging.raiseExceptions = False
    logging.getLogger().addHandler(logging.NullHandler())
