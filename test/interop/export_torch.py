"""Exports small networks from PyTorch as ONNX files, with rows and what PyTorch itself gives for them.

Usage: export_torch.py FOLDER. Writes FOLDER/<name>.onnx and FOLDER/<name>.json {"rows", "shape", "outputs"} for each,
and prints one line of JSON for each: {"name": ...} or {"name": ..., "skipped": reason}.
"""
import json
import sys
import warnings
from pathlib import Path

import torch
from torch import nn

warnings.filterwarnings("ignore")
folder = Path(sys.argv[1])


class InvertedResidual(nn.Module):
    """MobileNetV2's block: widen, depthwise, narrow, with a way around."""

    def __init__(self, width, expand):
        super().__init__()
        inner = width * expand
        self.conv = nn.Sequential(
            nn.Conv2d(width, inner, 1, bias=False),
            nn.BatchNorm2d(inner),
            nn.ReLU6(),
            nn.Conv2d(inner, inner, 3, padding=1, groups=inner, bias=False),
            nn.BatchNorm2d(inner),
            nn.ReLU6(),
            nn.Conv2d(inner, width, 1, bias=False),
            nn.BatchNorm2d(width),
        )

    def forward(self, x):
        return x + self.conv(x)


class MobileNet(nn.Module):
    def __init__(self):
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 8, 3, stride=2, padding=1, bias=False), nn.BatchNorm2d(8), nn.ReLU6())
        self.blocks = nn.Sequential(InvertedResidual(8, 3), InvertedResidual(8, 2))
        self.classifier = nn.Sequential(nn.Dropout(0.2), nn.Linear(8, 4))

    def forward(self, x):
        x = self.blocks(self.stem(x))
        return self.classifier(nn.functional.adaptive_avg_pool2d(x, (1, 1)).flatten(1))


class ResNet(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1 = nn.Conv2d(3, 8, 3, stride=2, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(8)
        self.pool = nn.MaxPool2d(3, 2, 1)
        self.conv2 = nn.Conv2d(8, 8, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(8)
        self.fc = nn.Linear(8, 4)

    def forward(self, x):
        x = self.pool(torch.relu(self.bn1(self.conv1(x))))
        x = torch.relu(x + self.bn2(self.conv2(x)))
        return self.fc(x.mean((2, 3)))


class Lstm(nn.Module):
    def __init__(self):
        super().__init__()
        self.lstm = nn.LSTM(6, 10, batch_first=True)
        self.head = nn.Linear(10, 4)

    def forward(self, x):
        out, _ = self.lstm(x)
        return self.head(out[:, -1])


class Transformer(nn.Module):
    def __init__(self):
        super().__init__()
        self.embed = nn.Linear(6, 16)
        layer = nn.TransformerEncoderLayer(16, 2, 32, dropout=0.1, activation="gelu", batch_first=True)
        self.encoder = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)
        self.head = nn.Linear(16, 4)

    def forward(self, x):
        return self.head(self.encoder(self.embed(x)).mean(1))


def settle(model):
    """Values unlike those of a fresh network (zeros, ones, equal layers), so that a mistake in any of them shows."""
    for parameter in model.parameters():
        parameter.data += 0.05 * torch.randn(parameter.shape)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.uniform_(-0.3, 0.3)
            module.running_var.uniform_(0.5, 1.5)
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.uniform_(module.bias, -0.3, 0.3)
    return model


IMAGE, SERIES = (3, 16, 16), (7, 6)
MODELS = {"mobilenet": (MobileNet, IMAGE), "resnet": (ResNet, IMAGE), "lstm": (Lstm, SERIES), "transformer": (Transformer, SERIES)}
FORMS = {
    "": dict(dynamo=False, opset_version=17),
    # Batch normalizations and dropouts stay nodes of their own.
    "-unfolded": dict(dynamo=False, opset_version=14, training=torch.onnx.TrainingMode.PRESERVE, do_constant_folding=False),
    "-fixed": dict(dynamo=False, opset_version=14, dynamic_axes=None),
    "-dynamo": dict(dynamo=True, opset_version=18, external_data=False),
    # Weights in a file beside the model, as PyTorch writes them when nothing else is said.
    "-external": dict(dynamo=True, opset_version=20, external_data=True),
}

for name, (make, shape) in MODELS.items():
    for form, options in FORMS.items():
        torch.manual_seed(1)
        model = settle(make()).eval()
        rows = torch.randn(8, *shape)
        path = folder / f"torch-{name}{form}.onnx"
        try:
            named = dict(input_names=["x"], output_names=["y"])
            if options["dynamo"]:
                dynamic = dict(dynamic_shapes=({0: torch.export.Dim("batch", min=1, max=4096)},))
            else:
                dynamic = dict(dynamic_axes={"x": {0: "batch"}, "y": {0: "batch"}})
            example = rows[:2] if form != "-fixed" else rows[:1]
            torch.onnx.export(model, (example,), str(path), **{**named, **dynamic, **options})
        except Exception as error:  # The next form may export; the test names what did not.
            print(json.dumps({"name": path.stem, "skipped": str(error).strip().splitlines()[-1][:200]}), flush=True)
            continue
        with torch.no_grad():
            outputs = model.eval()(rows)
        told = {"rows": rows.flatten().tolist(), "shape": list(rows.shape), "outputs": outputs.flatten().tolist()}
        path.with_suffix(".json").write_text(json.dumps(told))
        print(json.dumps({"name": path.stem}), flush=True)
