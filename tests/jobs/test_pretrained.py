"""`--encoder auto`: a pretrained encoder where it can be had, a network from scratch where not; the choice stays with the run."""

import shutil

import numpy as np
import pytest
import timm
import tomllib
import torch
from PIL import Image
from safetensors.torch import load_file, save_file

from selflabel.api import SelfLabeler
from selflabel.base.errors import UserError
from selflabel.base.settings import chosen_encoder, make_settings, with_overrides
from selflabel.decode.look import MediaInfo
from selflabel.encoders import automatic_for, pretrained, timm_px, weights_of
from selflabel.encoders.hub import sha256_of
from selflabel.encoders.pretrained import PICTURES, Automatic
from selflabel.jobs.callbacks import Callbacks
from selflabel.jobs.compare import with_encoder_of
from selflabel.jobs.label import label
from selflabel.jobs.model import load_model
from selflabel.jobs.prepare import prepare
from selflabel.jobs.prepare.backbones import Backbones
from selflabel.runs.run import Run
from tests.films import tone, write_film
from tests.hub import asking, served

CPU = torch.device("cpu")
TINY = Automatic("timm:test_vit.r160_in1k", "Tiny", "timm/test_vit.r160_in1k", {"blocks.0.attn.qkv.weight": (192, 64)})


@pytest.fixture
def photos():
    """(24, 40, 48, 3) photographs of two kinds."""
    pictures = np.random.default_rng(0).integers(0, 90, (24, 40, 48, 3))
    pictures[::2, ..., 0] += 150
    pictures[1::2, ..., 1] += 150
    return pictures.astype(np.uint8)


@pytest.fixture
def tiny(tmp_path, monkeypatch):
    """A hub's folder with the weights of a tiny backbone, which `auto` takes for photographs."""
    monkeypatch.setitem(pretrained.AUTOMATIC, "photo", TINY)
    torch.manual_seed(0)
    place = tmp_path / "hub" / TINY.repo
    place.mkdir(parents=True)
    save_file(timm.create_model("test_vit", pretrained=False).state_dict(), place / "model.safetensors")
    return place / "model.safetensors"


def chosen(source, **given):
    """(the prepared first modality, the sentences that were said)."""
    lines = []
    return prepare(source, CPU, callbacks=Callbacks(lines.append), **given).first, lines


def test_what_auto_takes_is_free_learned_without_labels_and_known_to_timm():
    config = timm.get_pretrained_cfg(PICTURES.encoder.removeprefix("timm:"))
    assert config.license in ("apache-2.0", "mit") and config.hf_hub_id == PICTURES.repo and timm_px(PICTURES.encoder) == 224
    state = timm.create_model(config.architecture, pretrained=False).state_dict()
    assert {k: tuple(state[k].shape) for k in PICTURES.shapes} == PICTURES.shapes
    assert automatic_for("photo") is automatic_for("video") is PICTURES
    assert automatic_for("glyph") is automatic_for("spoken") is None


@pytest.mark.slow
def test_a_run_takes_the_hubs_encoder_says_so_and_predicts_and_repeats_without_the_hub(here, photos, tiny, tmp_path, monkeypatch):
    folder = tmp_path / "photos"
    folder.mkdir()
    for i, picture in enumerate(photos):
        Image.fromarray(picture).save(folder / f"{i:02d}.jpg")
    words = ["label", folder, "-k", 2, "--epochs", 2, "--device", "cpu", "--out", tmp_path / "run"]
    with served(monkeypatch, tmp_path / "hub", tmp_path / "cache"):
        done = here(*words)
    assert done.returncode == 0, done.stderr
    said = " ".join(done.stderr.split())
    assert f"Tiny, {TINY.encoder} (1 MB, licence apache-2.0); --encoder scratch does without it." in said
    record = tomllib.loads((tmp_path / "run/run.toml").read_text())
    assert record["settings"]["encoder"] == "auto" and record["worked_out"]["image"]["encoder"] == f"frozen:{TINY.encoder}"
    assert record["worked_out"]["image"]["weights_sha256"] == sha256_of(tiny)
    shutil.rmtree(tmp_path / "cache")
    with asking(monkeypatch, "http://127.0.0.1:9", tmp_path / "cache"):
        done = here("predict", tmp_path / "run", folder)
    assert done.returncode == 0 and len(done.stdout.splitlines()) == 25, done.stderr
    values = with_overrides(str(tmp_path / "run/run.toml"), [])
    assert values["encoder"] == f"image=frozen:{TINY.encoder}"  # whoever repeats the run gets the same encoder
    later = with_encoder_of(tmp_path, make_settings(source=str(folder)))  # so do the next methods of a comparison
    assert later.encoder == values["encoder"]


def test_without_a_hub_a_network_is_trained_from_scratch_and_one_sentence_says_so(photos, tiny, tmp_path, monkeypatch):
    plain, lines = chosen(photos, encoder="scratch")
    assert plain.encoder == "resnet9" and lines == []
    first, lines = chosen(photos)
    assert first.encoder == "resnet9" and len(lines) == 1 and "HF_HUB_OFFLINE is set" in lines[0] and "from scratch" in lines[0]
    with asking(monkeypatch, "http://127.0.0.1:9", tmp_path / "cache"):
        first, lines = chosen(photos)
    assert first.encoder == "resnet9" and len(lines) == 1 and "cannot be reached" in lines[0]


def test_what_needs_a_network_that_is_trained_gets_one(photos, tiny, tmp_path, monkeypatch):
    with served(monkeypatch, tmp_path / "hub", tmp_path / "cache") as requests:
        for given in ({"trains": True}, {"encoder": "scratch"}, {"preset": "paper", "trains": True, "px": 64}):
            assert not chosen(photos, **given)[0].encoder.startswith("frozen")
        assert chosen("digits")[0].encoder == "conv4"
        assert requests == []


def test_a_weights_file_of_the_automatic_encoder_is_used_and_any_other_is_for_the_network_from_scratch(photos, tiny, tmp_path):
    first, _ = chosen(photos, weights=str(tiny))
    assert first.encoder == f"frozen:{TINY.encoder}" and first.tensor.shape == (24, 64) and first.sha256 == sha256_of(tiny)
    save_file({"conv.weight": torch.zeros(1)}, tmp_path / "other.safetensors")
    with pytest.raises(UserError, match="no weights of resnet9"):
        chosen(photos, weights=str(tmp_path / "other.safetensors"))[0].make_encoder()


def test_an_unfinished_run_keeps_its_encoder_and_asks_nobody(photos, tiny, tmp_path, monkeypatch):
    began = {"image": {"encoder": f"frozen:{TINY.encoder}", "px": 96, "weights_sha256": sha256_of(tiny)}}
    with served(monkeypatch, tmp_path / "hub", tmp_path / "cache") as requests:
        with pytest.raises(UserError, match=r"nothing is fetched here.*--weights"):
            chosen(photos, recorded=began)
        assert requests == []
        assert chosen(photos)[0].px == 160  # fetched for another run
    first, _ = chosen(photos, recorded=began, weights=str(tiny))
    assert (first.encoder, first.px) == (f"frozen:{TINY.encoder}", 96)
    began["image"]["weights_sha256"] = "another"
    with pytest.raises(UserError, match="not those with which this run was begun"):
        chosen(photos, recorded=began, weights=str(tiny))
    for old in (
        {"image": {"encoder": "resnet9", "px": 40}},
        {"image": {"encoder": "resnet18", "px": 40}},
    ):  # auto of 0.1.0 to 0.3.0
        assert chosen(photos, recorded=old)[0].encoder == old["image"]["encoder"]
        assert chosen_encoder(old) == "scratch"


def test_a_fixed_network_without_weights_is_refused_and_weights_that_are_no_numbers_too(photos, tiny, tmp_path):
    for name in ("frozen:resnet18", "frozen:resnet9"):
        with pytest.raises(UserError, match="a random network describes nothing; add --weights"):
            chosen(photos, encoder=name)
    state = load_file(tiny)
    state["norm.weight"][3] = float("nan")
    save_file(state, tmp_path / "nan.safetensors")
    with pytest.raises(UserError, match=r"1 tensors hold values that are no finite numbers, the first norm\.weight"):
        chosen(photos, encoder=f"frozen:{TINY.encoder}", weights=str(tmp_path / "nan.safetensors"))


def test_weights_are_saved_on_a_connected_machine_and_used_on_another(here, photos, tiny, tmp_path, monkeypatch):
    file = tmp_path / "saved.safetensors"
    with served(monkeypatch, tmp_path / "hub", tmp_path / "cache"):
        done = here("encoders", "--save", TINY.encoder, file)
    assert done.returncode == 0 and sha256_of(file) == sha256_of(tiny) in done.stdout and "--weights" in done.stdout
    fitted = SelfLabeler(2, encoder=f"frozen:{TINY.encoder}", weights=file, method="kmeans", device="cpu").fit(photos)
    assert fitted.report_["encoder"] == f"frozen:{TINY.encoder}"
    assert fitted.transform(photos[:3]).shape == (3, 64)
    for words in (("conv4", file), (TINY.encoder, tmp_path / "x.bin")):
        assert here("encoders", "--save", *words).returncode == 2


def test_an_encoder_that_is_named_has_its_licence_said(tiny, tmp_path, monkeypatch):
    lines = []
    with served(monkeypatch, tmp_path / "hub", tmp_path / "cache"):
        found = Backbones(callbacks=Callbacks(lines.append)).weights(
            "image", f"frozen:{TINY.encoder}", f"frozen:{TINY.encoder}", MediaInfo("photo", 40, 3), None
        )
    assert found is not None and found.licence == "apache-2.0" and "licence apache-2.0" in lines[0]
    assert weights_of("timm:vit_small_patch16_dinov3", tiny).licence == "dinov3-license"


@pytest.mark.slow
def test_sounds_are_labelled_by_a_model_of_transformers_and_predicted_without_its_folder(tmp_path):
    transformers = pytest.importorskip("transformers")
    small = {"hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2, "vocab_size": 9, "max_position_embeddings": 16}
    sizes = {"depths": [1, 1], "num_attention_heads": [1, 2], "patch_embeds_hidden_size": 16, "hidden_size": 32, "window_size": 4}
    audio = transformers.ClapAudioConfig(**sizes, spec_size=64, num_mel_bins=16, projection_dim=8)
    text = transformers.ClapTextConfig(**small)
    parts = {"text_config": text.to_dict(), "audio_config": audio.to_dict()}
    net = transformers.AutoModel.from_config(transformers.ClapConfig(**parts, projection_dim=12))
    shown = {
        "feature_size": 16,
        "sampling_rate": 8000,
        "fft_window_size": 256,
        "hop_length": 120,
        "max_length_s": 1,
        "truncation": "rand_trunc",
    }
    net.save_pretrained(tmp_path / "clap")
    transformers.ClapFeatureExtractor(**shown).save_pretrained(tmp_path / "clap")
    (tmp_path / "sounds").mkdir()
    for i in range(8):
        write_film(tmp_path / f"sounds/{i}.wav", None, tone(400 if i % 2 else 1500, 2.0), sound="pcm_s16le")
    settings = make_settings(
        source=str(tmp_path / "sounds"), clusters=2, method="kmeans", encoder=f"frozen:hf:{tmp_path / 'clap'}", device="cpu"
    )
    labelled = label(settings, tmp_path / "run")
    shutil.rmtree(tmp_path / "clap")
    predicted = load_model(Run.open(tmp_path / "run"), "cpu").predict(settings.source)
    assert labelled["modalities"] == {"audio": "sound"} and predicted.features.shape == (8, 12)
    assert np.allclose(predicted.features, labelled.labelling.features, atol=1e-3)
