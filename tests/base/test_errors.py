import pytest

from selflabel import UserError
from selflabel.base.errors import Interrupted


def test_a_users_mistake_is_one_sentence_without_a_traceback_and_code_two(here, tmp_path):
    done = here("score", tmp_path / "gone")
    assert done.returncode == 2 and "gone" in done.stderr and "Traceback" not in done.stderr


def test_an_interruption_is_no_users_mistake():
    with pytest.raises(Interrupted):
        try:
            raise Interrupted("saved")
        except UserError:
            pytest.fail("taken for a mistake")
