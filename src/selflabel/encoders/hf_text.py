"""A model of text of transformers as a fixed encoder of sentences: the mean of its last states over the tokens.

The files are a folder that `save_pretrained` wrote, of model and tokenizer. Nothing is fetched, code in the folder is never run,
and weights are read from .safetensors only.

Axes: B sentences, T tokens, D features.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from selflabel.base.errors import UserError
from selflabel.encoders.hf import PREFIX, check_installed, read_network
from selflabel.encoders.hf_models import loaded, quiet

WEIGHTS = ("model.safetensors", "model.safetensors.index.json")
MOST_TOKENS = 128  # of a sentence; what is longer is cut
SPARE_PLACES = 2  # of a model's table of places, that RoBERTa does not use


class TextEncoder(nn.Module):
    """Sentences to features.

    Args:
        net: a model that takes tokens.
        tokenizer: of transformers.

    Raises:
        ValueError: the tokenizer is not the model's, or knows no words, as one does whose files are missing.
    """

    def __init__(self, net: Any, tokenizer: Any):
        super().__init__()
        known, most = len(tokenizer), net.get_input_embeddings().num_embeddings
        if known <= len(set(tokenizer.all_special_ids)) or known > most:
            raise ValueError(f"its tokenizer knows {known:,} words, the model {most:,}; get tokenizer.json")
        places = int(getattr(net.config, "max_position_embeddings", 0) or MOST_TOKENS + SPARE_PLACES)
        self.net, self.tokenizer = net, tokenizer
        self.most_tokens = max(1, min(MOST_TOKENS, tokenizer.model_max_length, places - SPARE_PLACES))
        self.dim = int(self(["."]).shape[1])

    @torch.no_grad()
    def forward(self, sentences: list[str]) -> Tensor:
        """(B, D) features, float32."""
        tokens = self.tokenizer(sentences, padding=True, truncation=True, max_length=self.most_tokens, return_tensors="pt")
        device = next(self.net.parameters()).device
        ids, is_token = tokens["input_ids"].to(device), tokens["attention_mask"].to(device)
        states_BTD = self.net(input_ids=ids, attention_mask=is_token).last_hidden_state.float()
        weights_BT = is_token.float()[..., None]
        return (states_BTD * weights_BT).sum(dim=1) / weights_BT.sum(dim=1).clamp(min=1)


def make_text_encoder(name: str) -> TextEncoder:
    """The encoder in eval mode.

    Args:
        name: "hf:" and a folder.

    Raises:
        UserError: transformers is not installed, or the folder holds no model of text with its tokenizer.
    """
    folder = Path(name.removeprefix(PREFIX))
    if not name.startswith(PREFIX) or not folder.is_dir():
        raise UserError(f"--set text={name}: name the folder of a model of text and its tokenizer, as hf:FOLDER.")
    check_installed(name)
    read_network(folder)
    if not any((folder / file).exists() for file in WEIGHTS):
        raise UserError(f"{name}: holds no weights; model.safetensors is missing.")
    net = loaded(name, folder)[0]
    try:
        with quiet():
            return TextEncoder(net, tokenizer_in(folder)).eval()
    except Exception as error:  # of many libraries
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0][:160]
        raise UserError(f"{name}: cannot be used as an encoder of text ({reason}); name another one.") from error


def tokenizer_in(folder: Path) -> Any:
    """The tokenizer that lies beside a model."""
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
