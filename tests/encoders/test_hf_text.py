import pytest
import torch

from selflabel.base.errors import UserError
from selflabel.encoders.hf_text import make_text_encoder
from tests.hf_text import save_text_model

pytest.importorskip("transformers")


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    folder = tmp_path_factory.mktemp("bert")
    return folder, save_text_model(folder, ["a", "ball", "rolls"])


@torch.no_grad()
def test_a_sentence_is_the_mean_of_the_last_states_of_its_own_tokens_whatever_it_is_beside(saved):
    folder, net = saved
    encoder = make_text_encoder(f"hf:{folder}")
    long = " ".join(["ball"] * 300)  # longer than the model has places
    both = encoder(["a ball", "a ball rolls a", long])
    alone = net(input_ids=torch.tensor([[2, 3]])).last_hidden_state.mean(dim=1)
    assert torch.allclose(both[:1], alone, atol=1e-5) and both.shape == (3, encoder.dim) == (3, 16)
    cut = net(input_ids=torch.full((1, 10), 3)).last_hidden_state.mean(dim=1)
    assert torch.allclose(both[2:], cut, atol=1e-5)


def test_what_is_no_folder_of_a_model_of_text_is_refused_with_a_sentence(saved, tmp_path):
    with pytest.raises(UserError, match="name the folder of a model of text"):
        make_text_encoder("hf:somebody/model")
    with pytest.raises(UserError, match="holds no model of transformers"):
        make_text_encoder(f"hf:{tmp_path}")
    (tmp_path / "config.json").write_bytes((saved[0] / "config.json").read_bytes())
    (tmp_path / "pytorch_model.bin").write_bytes(b"")
    with pytest.raises(UserError, match=r"model\.safetensors is missing"):
        make_text_encoder(f"hf:{tmp_path}")
    (tmp_path / "model.safetensors").write_bytes((saved[0] / "model.safetensors").read_bytes())
    with pytest.raises(UserError, match="cannot be used as an encoder of text"):
        make_text_encoder(f"hf:{tmp_path}")  # without a tokenizer


def test_a_tokenizer_of_another_model_is_refused(saved, tmp_path):
    save_text_model(tmp_path, ["a"])
    for file in saved[0].glob("tokenizer*"):
        (tmp_path / file.name).write_bytes(file.read_bytes())
    with pytest.raises(UserError, match="its tokenizer knows 5 words, the model 3"):
        make_text_encoder(f"hf:{tmp_path}")
