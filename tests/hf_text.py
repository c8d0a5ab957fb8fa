"""A tiny model of text with random weights, and its tokenizer of whole words, saved as transformers saves them."""

import torch


def save_text_model(folder, words, seed=0):
    """Save a BERT of one layer, to which other words are one word; the model."""
    import transformers
    from tokenizers import Tokenizer
    from tokenizers.models import WordLevel
    from tokenizers.pre_tokenizers import Whitespace

    vocabulary = {word: i for i, word in enumerate(["[PAD]", "[UNK]", *words])}
    tokenizer = Tokenizer(WordLevel(vocabulary, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = Whitespace()
    transformers.PreTrainedTokenizerFast(tokenizer_object=tokenizer, pad_token="[PAD]", unk_token="[UNK]").save_pretrained(folder)
    sizes = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 20}
    torch.manual_seed(seed)
    net = transformers.BertModel(
        transformers.BertConfig(**sizes, vocab_size=len(vocabulary), max_position_embeddings=12), add_pooling_layer=False
    )
    net.eval().save_pretrained(folder)
    return net
