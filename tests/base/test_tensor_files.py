"""Tensor files are read as they were written, or not at all."""

import pytest
import torch
from safetensors.torch import save_file

from selflabel.base.errors import UserError
from selflabel.base.tensor_files import read_tensors, write_tensors

TENSORS = {"a": torch.arange(12.0).view(3, 4), "b": torch.tensor(True), "c": torch.zeros(0), "d": torch.ones(5).bfloat16()}
STATE = {"epoch": 3, "numbers": [0.1, 1e300], "text": "é"}


def test_what_was_written_is_read(tmp_path):
    write_tensors(tmp_path / "x.safetensors", TENSORS, STATE)
    tensors, state = read_tensors(tmp_path / "x.safetensors", "start again")
    assert state == STATE and all(torch.equal(tensors[k], v) and tensors[k].dtype == v.dtype for k, v in TENSORS.items())


def test_every_flipped_bit_and_every_cut_is_a_sentence(tmp_path):
    file = tmp_path / "x.safetensors"
    write_tensors(file, TENSORS, STATE)
    whole = file.read_bytes()
    for i in range(len(whole)):
        file.write_bytes(whole[:i] + bytes([whole[i] ^ 1 << i % 8]) + whole[i + 1 :])
        try:
            tensors, state = read_tensors(file, "start again")
        except UserError as error:
            assert str(error).startswith(str(file)) and str(error).endswith("start again.")
        else:  # a blank of the header's padding may become another blank
            assert state == STATE and all(torch.equal(tensors[k], v) for k, v in TENSORS.items())
    for cut in (0, 5, 40, len(whole) - 1):
        file.write_bytes(whole[:cut])
        with pytest.raises(UserError, match="start again"):
            read_tensors(file, "start again")


@pytest.mark.parametrize("metadata", [None, {}, {"state": "[" * 200_000}, {"state": "no json"}])
def test_a_file_without_its_state_is_a_sentence(tmp_path, metadata):
    save_file(TENSORS, tmp_path / "x.safetensors", metadata=metadata)
    with pytest.raises(UserError, match="cannot be read"):
        read_tensors(tmp_path / "x.safetensors", "start again")


def test_files_of_earlier_versions_have_no_digest(tmp_path):
    save_file(TENSORS, tmp_path / "x.safetensors", metadata={"state": "{}"})
    assert read_tensors(tmp_path / "x.safetensors", "start again")[1] == {}
