"""A tiny decoder learns, its loss is what numpy finds, and a killed run goes on."""

import dataclasses
import json
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from people import crops_of, names_of

from experiments import train_decoder
from facedirs_jax.backbones import Backbone
from facedirs_jax.backbones.cards import WeightCard
from facedirs_jax.backbones.dlib_resnet import PREPROCESS, DlibResNet, DlibResNetConfig
from facedirs_jax.backbones.iresnet import IResNet, IResNetConfig
from facedirs_jax.backbones.preprocess import Preprocess
from facedirs_jax.backbones.vgg16 import VGG16, VGG16Config
from facedirs_jax.checkpoints import load_decoder, save_checkpoint
from facedirs_jax.decoders.deep_face_decoder import DeepFaceDecoderConfig
from facedirs_jax.decoding import decode
from facedirs_jax.errors import InputError
from facedirs_jax.training import (
    decoder_losses,
    decoder_step,
    decoder_validation,
    loop,
    metrics,
    perception,
    weights,
)
from facedirs_jax.training.crop_sets import CropSet
from facedirs_jax.training.decoder_faces import EmbeddedFaces, embed_crops, embed_once
from facedirs_jax.training.decoder_losses import LossWeights
from facedirs_jax.training.decoder_recipes import RECIPES, find_decoder_recipe
from facedirs_jax.training.decoder_training import decoder_training

SIDE = 32
WEIGHTS = LossWeights(depths=(1, 2))
PLAIN = LossWeights(feature=0.0, crop=0.0, identity=0.0, depths=())
RECIPE = dataclasses.replace(
    RECIPES["small_64"],
    config=DeepFaceDecoderConfig(image_size=16, widths=(8, 8), convs=(1, 1), groups=2),
    loss=WEIGHTS,
    batch=4,
    epochs=6,
)


def backbone_of():
    preprocess = Preprocess(
        "dlib_chip", SIDE, (127.5, 127.5, 127.5), 127.5, "RGB", True
    )
    network = weights.abstract_network(
        lambda: IResNet(IResNetConfig.tiny(), rngs=nnx.Rngs(0))
    )
    return Backbone(weights.initialise(jax.random.key(0), network), preprocess)


@pytest.fixture(autouse=True)
def no_measured_peak(monkeypatch):
    """Multiplying large matrices takes seconds."""
    monkeypatch.setattr(metrics, "matmul_peak", lambda *_, **__: 1.0)


@pytest.fixture(scope="module")
def backbone():
    return backbone_of()


def faces_of(backbone, *, people=20, photos=2, mirror=True):
    """Eight of ten people train; the crops need no files."""
    count = people * photos
    splits = np.array(["train"] * 8 + ["validation", "test"])[np.arange(people) % 10]
    crops = CropSet(
        crops_of(people, photos, SIDE),
        np.arange(count),
        np.zeros((count, 68, 2), np.float32),
        names_of(people, photos),
        np.array(["a folder"] * count),
        np.zeros(count, bool),
        splits.repeat(photos),
        {"ok": count},
        "of these tests",
    )
    templates = embed_crops(backbone, crops.crops, crops.rows, mirror=mirror)
    return EmbeddedFaces(crops, templates)


@pytest.fixture(scope="module")
def faces(backbone):
    return faces_of(backbone)


def training_of(backbone, faces, recipe=RECIPE, **settings):
    rows, _, templates = faces.of_split("train")
    return decoder_training(
        *(recipe, backbone, faces.crops.crops, rows, templates), **settings
    )


def pictures(seed, side=10) -> Any:
    return np.random.default_rng(seed).uniform(size=(2, side, side, 3)).astype("f4")


def test_loss_terms_are_those_of_numpy():
    images, decodes = pictures(0), pictures(1)
    gap = images - decodes
    found = decoder_losses.pixel_loss(images, decodes)
    np.testing.assert_allclose(found, np.abs(gap).mean(), rtol=1e-6)
    below = np.abs(gap[:, 1:] - gap[:, :-1]).mean()
    right = np.abs(gap[:, :, 1:] - gap[:, :, :-1]).mean()
    found = decoder_losses.gradient_loss(images, decodes)
    np.testing.assert_allclose(found, below + right, rtol=1e-6)
    maps, seen = [images, images[:, :5]], [decodes, 2 * images[:, :5]]
    shares = [np.abs(gap).mean() / np.abs(images).mean(), 1.0]
    found = decoder_losses.feature_loss(maps, seen)
    np.testing.assert_allclose(found, np.mean(shares), rtol=1e-5)
    rng = np.random.default_rng(0)
    one, other = jnp.asarray(rng.normal(3, 1, (2, 6, 5)), jnp.float32)
    centre = jnp.full(5, 3.0)
    a, b = (np.asarray(x) - 3.0 for x in (one, other))
    lengths = np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1)
    found = decoder_losses.identity_loss(one, other, centre)
    np.testing.assert_allclose(found, 1 - ((a * b).sum(1) / lengths).mean(), rtol=1e-5)


def test_a_perfect_decode_costs_nothing_and_the_gradient_ignores_brightness():
    images = pictures(0)
    assert decoder_losses.pixel_loss(images, images) == 0
    assert decoder_losses.gradient_loss(images, images + 0.5) < 1e-6
    assert decoder_losses.feature_loss([images], [images]) == 0
    np.testing.assert_allclose(
        decoder_losses.feature_loss([images], [0 * images]), 1, rtol=1e-5
    )
    templates, centre = jnp.eye(3), jnp.zeros(3)
    assert decoder_losses.identity_loss(templates, 2 * templates, centre) < 1e-6
    at_centre = jax.grad(decoder_losses.identity_loss, argnums=1)
    assert np.isfinite(at_centre(templates, 0 * templates, centre)).all()


def test_the_loss_is_the_weighted_sum_of_its_terms(backbone, faces):
    training = training_of(backbone, faces)
    batch, key = training.batches[0], jax.random.key(0)
    _, told = jax.jit(training.step)(training.state, batch, key)
    expected = told["pixel"] + told["gradient"] + 0.1 * told["feature"]
    middle = told["crop_pixel"] + told["crop_gradient"] + 0.1 * told["crop_feature"]
    expected += 0.1 * told["identity"] + 0.5 * middle
    np.testing.assert_allclose(told["loss"], expected, rtol=1e-5)


def test_another_network_can_see_the_features(backbone, faces):
    """A perceptor with no weights sees no difference, and identity stays its own."""
    blank = {n: 0 * a for n, a in weights.arrays_of(backbone.network).items()}
    blind = Backbone(weights.filled(backbone.network, blank), backbone.preprocess)
    key = jax.random.key(0)
    told = {}
    for name, perceptor in (("own", None), ("blind", blind)):
        training = training_of(backbone, faces, perceptor=perceptor)
        _, told[name] = jax.jit(training.step)(training.state, training.batches[0], key)
    assert told["own"]["feature"] > 0.01 > abs(told["blind"]["feature"])
    np.testing.assert_allclose(
        told["own"]["identity"], told["blind"]["identity"], rtol=1e-4
    )
    other = dataclasses.replace(backbone.preprocess, alignment="vggface2_box")
    with pytest.raises(InputError, match="the kind vggface2_box, and the decodes are"):
        training_of(backbone, faces, perceptor=Backbone(backbone.network, other))


def test_features_are_the_last_maps_of_each_resolution(backbone):
    network, preprocess = backbone
    paths = perception.feature_paths(network, preprocess, (1, 2))
    assert paths == ("stages.0.1", "stages.1.0")
    images = pictures(0, SIDE)
    maps, templates = perception.features_and_templates(
        network, preprocess, jnp.asarray(images), paths
    )
    x = preprocess(jnp.asarray(images))
    for stage in network.trunk[:4]:
        x = stage(x)
    np.testing.assert_allclose(maps[0], x, atol=1e-5)
    np.testing.assert_allclose(maps[1], network.trunk[4](x), atol=1e-5)
    plain = preprocess.normalise(network(preprocess(jnp.asarray(images))))
    np.testing.assert_allclose(templates, plain, atol=1e-5)


def test_every_kind_of_network_has_features():
    vgg = nnx.eval_shape(lambda: VGG16(VGG16Config.tiny(), rngs=nnx.Rngs(0)))
    preprocess = dataclasses.replace(backbone_of().preprocess, size=64)
    paths = perception.feature_paths(vgg, preprocess, (1, 2))
    assert paths == ("conv2_2", "conv3_3")
    dlib = nnx.eval_shape(lambda: DlibResNet(DlibResNetConfig.tiny(), rngs=nnx.Rngs(0)))
    paths = perception.feature_paths(dlib, PREPROCESS, (0, 2))
    assert paths == ("stem", "blocks.1")
    with pytest.raises(InputError, match=r"depths \[9\] are not all within"):
        perception.feature_paths(dlib, PREPROCESS, (9,))


def test_a_tiny_decoder_learns_four_faces_by_heart(backbone):
    crops = crops_of(4, 1, SIDE)
    rows = np.arange(4)
    optimiser = dataclasses.replace(RECIPE.optimiser, learning_rate=0.02)
    recipe = dataclasses.replace(
        RECIPE, loss=PLAIN, noise=0.0, mirror=False, epochs=200, optimiser=optimiser
    )
    templates = embed_crops(backbone, crops, rows, mirror=False)
    training = decoder_training(recipe, backbone, crops, rows, templates)
    step = jax.jit(training.step, donate_argnums=0)
    state, losses = training.state, []
    for number in range(training.steps):
        key = jax.random.fold_in(jax.random.key(0), number)
        state, told = step(state, training.batches[number], key)
        losses.append(float(told["pixel"]))
    assert losses[-1] < 0.3 * losses[0]
    decodes = decode(training.decoder_of(state), templates[:, 0])
    wanted = decoder_validation.shrunk(crops, 16)
    gaps = np.abs(decodes[:, None] - wanted[None]).mean(axis=(2, 3, 4))
    np.testing.assert_array_equal(gaps.argmin(axis=1), rows)
    # The export takes plain templates and gives what the last step saw.
    np.testing.assert_allclose(np.diag(gaps).mean(), losses[-1], rtol=0.1)


def test_a_mirrored_face_goes_with_its_own_template(backbone, faces):
    rows, _, templates = faces.of_split("train")
    crops = np.asarray(faces.crops.crops[rows])[:3]
    again = embed_crops(backbone, crops[:, :, ::-1], np.arange(3), mirror=True)
    np.testing.assert_allclose(again[:, ::-1], templates[:3], atol=1e-5)
    batch = {"images": jnp.asarray(crops), "templates": jnp.asarray(templates[:3])}
    images, chosen = decoder_step._drawn(jax.random.key(2), batch)
    for image, crop, template, pair in zip(
        images, crops, chosen, templates, strict=False
    ):
        number = int(np.array_equal(template, pair[1]))
        shown = crop[:, ::-1] if number else crop
        np.testing.assert_allclose(image, shown / 255.0, atol=1e-6)


def test_resuming_gives_the_same_losses(backbone, faces, tmp_path):
    def trained(folder, minutes=None):
        folder.mkdir(exist_ok=True)
        recipe = dataclasses.replace(RECIPE, loss=PLAIN)
        training = training_of(backbone, faces, recipe)
        plan = loop.Plan(
            steps=10, steps_per_epoch=4, watched="ssim", max_minutes=minutes
        )
        judge = decoder_validation.Judge(backbone, training.centre, 16)
        evaluate = decoder_validation.evaluation(
            training.decoder_of,
            judge,
            faces.held_out("validation", side=16),
            sheets=folder / "sheets",
        )
        loop.train(
            *(training.state, training.step, training.batches, plan),
            folder=folder,
            evaluate=evaluate,
        )
        return [
            {n: v for n, v in record.items() if n != "examples_per_second"}
            for record in metrics.read_log(folder / loop.LOG_FILE)
        ]

    whole = trained(tmp_path / "whole")
    broken = trained(tmp_path / "broken", minutes=1e-9)
    assert len(broken) < len(whole)
    assert trained(tmp_path / "broken") == whole
    sheets = sorted(path.name for path in (tmp_path / "whole/sheets").iterdir())
    assert sheets == [f"step_{n:07d}.png" for n in (4, 8, 10)]
    shown = [record for record in whole if record.get("validation")]
    assert {"psnr", "ssim", "cosine", "centred_cosine", "rank1"} <= shown[0].keys()


def test_the_experiment_ends_with_a_decoder_and_results(
    backbone, faces, tmp_path, monkeypatch, capsys
):
    for name in ("backbone", "other"):
        network = weights.filled(backbone.network, weights.arrays_of(backbone.network))
        network.weights = WeightCard(name, "", "", False, "")
        if name == "other":
            network.fc.kernel[...] = network.fc.kernel[...] ** 2
        save_checkpoint(
            *(tmp_path / name, network),
            preprocess=backbone.preprocess,
            format="safetensors",
        )
    monkeypatch.setattr(train_decoder, "find_photos", lambda *_, **__: [])
    monkeypatch.setattr(train_decoder, "load_crops", lambda *_, **__: faces.crops)
    config = train_decoder.Config(
        str(tmp_path / "backbone"),
        data=("faces",),
        out_dir=str(tmp_path / "run"),
        cache_dir=str(tmp_path),
        seen_by=(str(tmp_path / "other"),),
        recipe_name="tiny",
        recipe=dataclasses.replace(RECIPE, epochs=1, loss=PLAIN),
    )
    assert train_decoder.run(config) == 0
    found = json.loads((tmp_path / "run/results.json").read_text("utf-8"))
    own, other = found["test"].values()
    assert own["identities"] == other["identities"] == 2
    assert own["baselines"].keys() == {"mean face", "nearest face"}
    assert own["decodes"]["psnr"] == other["decodes"]["psnr"]
    assert own["decodes"]["cosine"] != other["decodes"]["cosine"]
    decoder = load_decoder(tmp_path / "run/checkpoint")
    decodes = decode(decoder, faces.templates[:, 0])
    assert decodes.shape == (40, 16, 16, 3)
    card = (tmp_path / "run/checkpoint/README.md").read_text("utf-8")
    assert "decodes less nearest face" in card
    assert "as other sees them" in card
    assert train_decoder.run(dataclasses.replace(config, resume=True)) == 0
    assert "complete already" in capsys.readouterr().out


def test_settings_and_data_that_cannot_be_trained_on_are_refused(
    backbone, faces, tmp_path
):
    with pytest.raises(InputError, match="unknown recipe 'large'; known: small_80"):
        find_decoder_recipe("large")
    with pytest.raises(InputError, match="epochs must be positive"):
        find_decoder_recipe("small_64", epochs=0.0)
    with pytest.raises(InputError, match="no term may be negative"):
        find_decoder_recipe("small_64", identity=-1.0)
    assert find_decoder_recipe("small_64_pixels", feature=0.2).loss.depths == (1, 2, 3)
    with pytest.raises(InputError, match="a batch of 99 is larger"):
        training_of(backbone, faces, dataclasses.replace(RECIPE, batch=99))
    with pytest.raises(InputError, match="templates are the same"):
        same = faces._replace(templates=np.ones_like(faces.templates))
        training_of(backbone, same)
    np.save(tmp_path / "templates.npy", faces.templates[:3])
    with pytest.raises(InputError, match="not the templates of these faces"):
        embed_once(tmp_path / "templates.npy", backbone, faces.crops, mirror=True)
    with pytest.raises(InputError, match="no face was found"):
        embed_crops(backbone, faces.crops.crops, np.arange(0), mirror=True)
