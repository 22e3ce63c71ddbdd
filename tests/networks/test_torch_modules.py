"""Laws of PyTorch modules in hand: their Keras models compute what they do; they stay as they were."""

import sys

import numpy as np
import pytest

import deepvis
from deepvis.core.errors import ConfigError
from deepvis.networks import lookup, torch_modules

torch = pytest.importorskip("torch", reason="needs PyTorch: pip install 'deepvis[torch]'")
networks = pytest.importorskip("helpers.torch_networks", reason="needs torchvision, onnxruntime")
nn = torch.nn


class Block(nn.Module):
    """Two convolutions and what it was given."""

    def __init__(self, channels, act):
        super().__init__()
        self.conv1 = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(channels)
        self.act = act
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1, groups=2)

    def forward(self, x):
        return self.act(self.conv2(self.act(self.bn1(self.conv1(x)))) + x)


class Small(nn.Module):
    """A network in miniature."""

    def __init__(self, act=None, pool=3):
        super().__init__()
        self.stem = nn.Sequential(
            nn.Conv2d(3, 8, 5, stride=2, padding=2),
            nn.BatchNorm2d(8),
            nn.ReLU(inplace=True),
            nn.MaxPool2d(3, 2, 1),
        )
        self.block = Block(8, act or nn.ReLU(inplace=True))
        self.pool = nn.AdaptiveAvgPool2d(pool)
        self.head = nn.Linear(8 * pool * pool, 10)

    def forward(self, x):
        return self.head(torch.flatten(self.pool(self.block(self.stem(x))), 1))


def small(**options):
    torch.manual_seed(0)
    return networks.seeded(Small(**options))


def image(size, count=1):
    return np.random.default_rng(0).standard_normal((count, 3, size, size)).astype(np.float32)


# --- what is computed ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "title, limit",
    [
        ("torchvision resnet18", 64),
        ("torchvision squeezenet1_1", 64),
        ("torchvision shufflenet_v2_x0_5", 64),
        ("timm mobilenetv3_small_100", 64),
        ("timm vit_tiny_patch16_224", 64),
    ],
)
def test_every_value_output_and_gradient_of_a_network(title, limit, tmp_path):
    pytest.importorskip(title.split()[0])
    found = networks.compared(networks.module(title, limit), image(limit), tmp_path / "net.onnx")
    assert found.values > 50
    assert found.layers < 1e-4 and found.output < 1e-4 and found.double < 1e-6


@pytest.mark.parametrize(
    "act",
    [
        nn.ReLU(),
        nn.SiLU(),
        nn.GELU(),
        nn.GELU("tanh"),
        nn.Hardswish(),
        nn.LeakyReLU(0.2),
        nn.PReLU(8),
        nn.ELU(),
    ],
)
def test_nonlinearities(act, tmp_path):
    """The gradient, too, which onnxruntime does not give."""
    made = small(act=act, pool=1)
    found = networks.compared(made, image(32), tmp_path / "net.onnx")
    assert found.layers < 1e-4 and found.output < 1e-4 and found.double < 1e-6


def test_the_newer_exporter_folds_batch_normalization(tmp_path):
    pytest.importorskip("onnxscript")
    path = networks.export(
        small(pool=1),
        torch.tensor(image(32)),
        tmp_path / "new.onnx",
        dynamo=True,
        training=None,
        external_data=False,
        verbose=False,
    )
    found = networks.converted(path)
    count, worst = networks.worst_value(path, found, image(32))
    assert count > 8 and worst < 1e-4
    assert {"stem.0", "block.conv1", "head"} <= set(found.layers)


def test_adaptive_pools_at_any_size():
    """4 x 4 to 3 x 3, which ONNX has no operator for."""
    made = small()
    seen = deepvis.visualize(
        made, "head", 1, size=32, steps=1, preprocess={"mean": 0, "scale": 1}, precision="float32"
    )
    with torch.no_grad():
        pixels = torch.tensor(np.moveaxis(seen.centred, -1, 1)) + 127.5
        expected = made(pixels)[0, 1].item()
    assert abs(seen.history["activation"][-1, 0] - expected) < 1e-3 * max(1, abs(expected))


# --- in hand ------------------------------------------------------------------------------------------------


def test_a_resnet_from_torchvision_in_three_lines():
    torchvision = pytest.importorskip("torchvision")

    model = networks.seeded(torchvision.models.resnet18(weights=None))
    seen = deepvis.visualize(
        model, "layer2.0.conv1", [0, 5], size=64, steps=3, param="pixel", precision="float32"
    )

    assert seen.images.shape == (2, 64, 64, 3) and seen.config["model"]["preprocess"] == "torch"
    assert (np.diff(seen.history["score"], axis=0) > 0).all()
    kept = []
    model.get_submodule("layer2.0.conv1").register_forward_hook(lambda _m, _i, output: kept.append(output))
    mean, deviation = (
        np.array(each, np.float32) for each in ([123.675, 116.28, 103.53], [58.395, 57.12, 57.375])
    )
    with torch.no_grad():
        pixels = (seen.centred + np.float32(seen.config["model"]["mean"]) - mean) / deviation
        model(torch.tensor(np.moveaxis(pixels, -1, 1)))
    maps = kept[0].numpy()
    np.testing.assert_allclose(
        seen.history["activation"][-1], [maps[0, 0].mean(), maps[1, 5].mean()], rtol=1e-3
    )


def test_layers_have_the_names_of_modules():
    listed = [each.name for each in deepvis.layers(small(), preprocess="torch")]
    assert {"stem.0", "stem.1", "stem.2", "stem.3", "block.conv1", "block.bn1", "block.conv2", "head"} <= set(
        listed
    )


def test_the_module_is_left_as_it_was(capfd):
    made = small().train()
    made.block.eval()
    before = {name: each.clone() for name, each in made.state_dict().items()}
    modes = [each.training for each in made.modules()]
    torch_modules.hold(made, "torch", 32)
    assert modes == [each.training for each in made.modules()]
    assert all(torch.equal(each, before[name]) for name, each in made.state_dict().items())
    assert not any(each._forward_hooks for each in made.modules())
    assert capfd.readouterr().out == ""


def test_the_same_module_is_the_same_network_and_a_changed_one_is_not():
    made = small()
    first = torch_modules.hold(made, "torch", 32)
    assert torch_modules.hold(made, "torch", 32) == first
    made.block.act = nn.Sigmoid()  # no weight of it
    changed = torch_modules.hold(made, "torch", 32)
    assert changed["held"] != first["held"]
    with torch.no_grad():
        made.head.bias[0] += 1
    assert torch_modules.hold(made, "torch", 32)["held"] not in (first["held"], changed["held"])


class Halved(nn.Module):
    """Its padding is computed from the size, as timm's tf_ networks do."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3, stride=2)

    def forward(self, x):
        odd = x.shape[-1] % 2
        return self.conv(nn.functional.pad(x, (odd, 1, odd, 1)))


def test_what_is_computed_from_the_size_refuses_another():
    network = lookup.network(torch_modules.hold(Halved().eval(), "torch", 32))
    assert any(type(each).__name__ == "OneSize" for each in network.source.model().layers)
    free = lookup.network(torch_modules.hold(small(), "torch", 32))
    assert not any(type(each).__name__ == "OneSize" for each in free.source.model().layers)


class Odd(nn.Module):
    def __init__(self, kind):
        super().__init__()
        self.conv, self.kind = nn.Conv2d(3, 4, 3), kind

    def forward(self, x):
        if self.kind == "unknown":
            return torch.linalg.svd(self.conv(x))[1]
        if self.kind == "chance":
            return self.conv(x) + torch.randn(1, 4, 1, 1)
        if self.kind == "size":
            assert x.shape[-1] == 224, "expected 224 px"
        return self.conv(x).mean(0)


@pytest.mark.parametrize(
    "kind, reason",
    [
        ("unknown", "torch.onnx.export failed at size=32: .*linalg_svd"),
        ("chance", "Random.*random numbers"),
        ("size", "torch.onnx.export failed at size=32: expected 224 px"),
        ("batch", "images would be mixed"),
    ],
)
def test_refused_in_one_line(kind, reason, capfd):
    with pytest.raises(ConfigError, match=reason) as error:
        torch_modules.hold(Odd(kind).eval(), "torch", 32)
    assert "\n" not in str(error.value) and capfd.readouterr().out == ""


def test_half_precision_is_refused():
    with pytest.raises(ConfigError, match=r"got weights of torch.float16; expected float32: model.float\(\)"):
        torch_modules.hold(small().half(), "torch", 32)


def test_a_difference_names_the_layer(monkeypatch):
    """As if the Keras model computed something else."""
    built = torch_modules.conversion.converted

    def wrong(graph, *rest, **options):
        array = dict(graph.constants)["block.conv2.weight"]
        array[0] += 0.1  # after the export: of the graph only
        return built(graph, *rest, **options)

    monkeypatch.setattr(torch_modules.conversion, "converted", wrong)
    with pytest.raises(
        ConfigError, match=r"layer block\.conv2 does not compute in Keras what it computes in PyTorch"
    ):
        torch_modules.hold(small(), "torch", 32)


def test_preprocessing_of_a_module_of_ones_own_must_be_said():
    with pytest.raises(ConfigError, match=r'Small does not tell .* give preprocess="torch"'):
        torch_modules.hold(small(), "auto", 32)


def test_preprocessing_of_timm_is_its_own():
    timm = pytest.importorskip("timm")
    held = torch_modules.hold(timm.create_model("test_resnet.r160_in1k", pretrained=False), "auto", 32)
    config = timm.get_pretrained_cfg("test_resnet.r160_in1k")
    np.testing.assert_allclose(held["preprocess"]["mean"], 255 * np.array(config.mean))


def test_without_pytorch_nothing_is_a_module(monkeypatch):
    monkeypatch.delitem(sys.modules, "torch")
    assert not torch_modules.is_module(object())
