"""Trains one of the benchmark's networks with PyTorch: `pytorch.py FOLDER eager|compiled|channels_last`."""
import torch
from torch import nn
from torch.nn import functional as F

from plan import network, plan, threads, train, variant, weights

torch.set_num_threads(threads)


class ConvBlock(nn.Module):
    """Convolution with Keras's padding 'same', and batch normalization where the plan has one."""

    def __init__(self, name, stride=(1, 1), groups=1, size=None):
        super().__init__()
        part = "depthwise_kernel" if groups > 1 else "kernel"
        kernel = torch.from_numpy(weights[f"{name}/{part}"])
        bias = weights.get(f"{name}/bias")
        self.kernel = nn.Parameter(kernel)
        self.bias = None if bias is None else nn.Parameter(torch.from_numpy(bias))
        self.stride, self.groups = stride, groups
        height, width = size
        pads = []
        for length, window, step in ((width, kernel.shape[3], stride[1]), (height, kernel.shape[2], stride[0])):
            total = max((-(-length // step) - 1) * step + window - length, 0)
            pads += [total // 2, total - total // 2]
        self.even = pads[0] == pads[1] and pads[2] == pads[3]
        self.pads = pads
        self.norm = None
        if f"{name}_bn/gamma" in weights:
            self.norm = nn.BatchNorm2d(kernel.shape[0], eps=1e-3, momentum=0.01)

    def forward(self, x):
        if self.even:
            y = F.conv2d(x, self.kernel, self.bias, self.stride, (self.pads[2], self.pads[0]), 1, self.groups)
        else:
            y = F.conv2d(F.pad(x, self.pads), self.kernel, self.bias, self.stride, 0, 1, self.groups)
        return y if self.norm is None else self.norm(y)


class Dense(nn.Module):
    def __init__(self, name):
        super().__init__()
        self.kernel = nn.Parameter(torch.from_numpy(weights[f"{name}/kernel"]).T.contiguous())
        self.bias = nn.Parameter(torch.from_numpy(weights[f"{name}/bias"]))

    def forward(self, x):
        return F.linear(x, self.kernel, self.bias)


class DenseNet(nn.Module):
    def __init__(self):
        super().__init__()
        self.one, self.two = Dense("hidden"), Dense("head")

    def forward(self, x):
        return self.two(F.relu(self.one(x)))


class ConvNet(nn.Module):
    def __init__(self):
        super().__init__()
        self.one, self.two = ConvBlock("conv_1", size=(28, 28)), ConvBlock("conv_2", size=(14, 14))
        self.head = Dense("head")

    def forward(self, x):
        x = F.max_pool2d(F.relu(self.one(x)), 2)
        x = F.max_pool2d(F.relu(self.two(x)), 2)
        # Keras flattens with channels last.
        return self.head(x.permute(0, 2, 3, 1).flatten(1))


class DsCnn(nn.Module):
    def __init__(self):
        super().__init__()
        self.stem = ConvBlock("stem", (2, 2), size=(49, 10))
        self.blocks = nn.ModuleList()
        for at in range(1, 5):
            self.blocks.append(ConvBlock(f"depthwise_{at}", groups=64, size=(25, 5)))
            self.blocks.append(ConvBlock(f"pointwise_{at}", size=(25, 5)))
        self.head = Dense("head")

    def forward(self, x):
        x = F.relu(self.stem(x))
        for block in self.blocks:
            x = F.relu(block(x))
        return self.head(x.mean((2, 3)))


class ResNet8(nn.Module):
    def __init__(self):
        super().__init__()
        self.stem = ConvBlock("stem", size=(32, 32))
        self.one = nn.ModuleList([ConvBlock(f"stack_1_{at}", size=(32, 32)) for at in (1, 2)])
        self.two = nn.ModuleList([ConvBlock("stack_2_1", (2, 2), size=(32, 32)), ConvBlock("stack_2_2", size=(16, 16))])
        self.two_short = ConvBlock("short_2", (2, 2), size=(32, 32))
        self.three = nn.ModuleList([ConvBlock("stack_3_1", (2, 2), size=(16, 16)), ConvBlock("stack_3_2", size=(8, 8))])
        self.three_short = ConvBlock("short_3", (2, 2), size=(16, 16))
        self.head = Dense("head")

    def forward(self, x):
        x = F.relu(self.stem(x))
        x = F.relu(x + self.one[1](F.relu(self.one[0](x))))
        x = F.relu(self.two_short(x) + self.two[1](F.relu(self.two[0](x))))
        x = F.relu(self.three_short(x) + self.three[1](F.relu(self.three[0](x))))
        return self.head(x.mean((2, 3)))


model = {"dense": DenseNet, "conv": ConvNet, "ds-cnn": DsCnn, "resnet-8": ResNet8}[network]()
image = len(plan["shape"]) == 3
if variant == "channels_last" and image:
    model = model.to(memory_format=torch.channels_last)
optimizer = torch.optim.Adam(model.parameters(), lr=plan["learningRate"], eps=1e-7, fused=True)
forward = torch.compile(model) if variant == "compiled" else model
model.train()


def step(rows, classes):
    x = torch.from_numpy(rows)
    if image:
        # The rows are channels last already: a view, no copy.
        x = x.permute(0, 3, 1, 2)
        if variant != "channels_last":
            x = x.contiguous()
    loss = F.cross_entropy(forward(x), torch.from_numpy(classes).long())
    optimizer.zero_grad(set_to_none=True)
    loss.backward()
    optimizer.step()
    return loss.item()


blas = "MKL" if torch.backends.mkl.is_available() else "OpenBLAS"
train(step, {"version": torch.__version__, "blas": f"{blas}, oneDNN {torch.backends.mkldnn.is_available()}", "threads": torch.get_num_threads()})
