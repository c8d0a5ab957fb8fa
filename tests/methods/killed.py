"""Label or localise, and kill this process at a step of the training. Of two ranks under torchrun the second one is killed, once.

python -m tests.methods.killed SETTINGS_AS_JSON RUN_FOLDER STEP
"""

import json
import os
import signal
import sys
from pathlib import Path

from selflabel.base.settings import make_settings
from selflabel.jobs.callbacks import Callbacks
from selflabel.jobs.label import label
from selflabel.jobs.localise import localise
from selflabel.methods import BASELINES, METHODS
from selflabel.training.loop import LoopCallbacks

if __name__ == "__main__":
    settings, folder, last = json.loads(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])
    steps = []

    dies = os.environ.get("RANK", "1") == "1" and os.environ.get("TORCHELASTIC_RESTART_COUNT", "0") == "0"

    def on_step(*_):
        steps.append(1)
        if len(steps) == last and dies:
            os.kill(os.getpid(), signal.SIGKILL)

    run = label if settings["method"] in METHODS | BASELINES else localise
    run(make_settings(**settings), folder, callbacks=Callbacks(loop=LoopCallbacks(on_step=on_step)))
