"""The script for a GPU runs whole on any machine at a small size."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.slow
def test_every_part_of_the_script_for_a_gpu_has_its_number(tmp_path):
    environment = {k: v for k, v in os.environ.items() if k != "SELFLABEL_DATA"} | {"SELFLABEL_CACHE": str(tmp_path)}
    words = [sys.executable, "-m", "bench.gpu", "--small"]
    done = subprocess.run(words, capture_output=True, text=True, cwd=Path(__file__).parents[1], env=environment)
    assert done.returncode == 0, done.stderr[-2000:]
    found = json.loads(done.stdout.splitlines()[-1])
    assert found["solver"]["converged"] and found["training"]["resnet18"]["ratio"] > 0 and found["encoding"]["ratio"] > 0
    assert found["photos"] == {"not run": "SELFLABEL_DATA is not set"}
