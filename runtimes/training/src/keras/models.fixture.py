"""Records models of Keras 3 with weights, rows and outputs, for keras-models.test.ts.

Usage: models.fixture.py > models.fixture.jsonl, with Keras and TensorFlow from PyPI (recorded with Keras 3.15.1).
"""

import json

import keras
import numpy as np
from keras import layers as L

random = np.random.default_rng(1)


def numbers(shape, least=-0.5):
    return np.round(random.uniform(least, least + 1, shape), 3).astype("float32")


def record(name, model):
    weights = []
    for weight in model.weights:
        if weight.name.startswith("seed"):
            continue
        weight.assign(numbers(weight.shape, 0.5 if "variance" in weight.name else -0.5))
        values = [round(float(value), 3) for value in weight.numpy().ravel()]
        weights.append({"name": weight.path, "shape": list(weight.shape), "data": values})
    rows = numbers((2, *model.input_shape[1:]))
    output = np.array(model(rows, training=False))
    line = {
        "name": name,
        "model": json.loads(model.to_json()),
        "weights": weights,
        "rows": [round(float(value), 3) for value in rows.ravel()],
        "shape": list(output.shape),
        "output": [float(f"{value:.8g}") for value in output.ravel()],
    }
    print(json.dumps(line, separators=(",", ":")))


def images():
    i = L.Input((8, 8, 2))
    x = L.Rescaling(0.5, 1.0)(i)
    x = L.Conv2D(4, 3, padding="same", strides=2, use_bias=False)(x)
    x = L.BatchNormalization()(x)
    x = L.ReLU(6.0)(x)
    b = L.DepthwiseConv2D(3, padding="same")(x)
    b = L.Activation("hard_sigmoid")(b)
    b = L.Conv2D(4, 1, activation="gelu")(b)
    x = L.Add()([x, b])
    x = L.SeparableConv2D(3, 3, depth_multiplier=2, activation="silu")(x)
    x = L.Conv2DTranspose(2, 3, strides=2, padding="same")(x)
    x = L.UpSampling2D(2, interpolation="bilinear")(x)
    x = L.AveragePooling2D(3, 2, padding="same")(x)
    x = L.LeakyReLU()(x)
    s = L.GlobalAveragePooling2D(keepdims=True)(x)
    x = L.Multiply()([x, L.Dense(2, activation="hard_silu")(s)])
    x = L.Flatten()(L.Concatenate()([x, x]))
    x = L.Dense(3, activation="softmax", kernel_regularizer="l2")(L.Dropout(0.3)(x))
    return keras.Model(i, x)


def series():
    i = L.Input((6, 4))
    x = L.Bidirectional(L.LSTM(3, return_sequences=True))(i)
    x = L.GRU(4, return_sequences=True)(x)
    x = L.LayerNormalization()(x)
    x = L.MultiHeadAttention(2, 3)(x, x)
    x = L.Bidirectional(L.GRU(3, reset_after=False), merge_mode="ave")(x)
    return keras.Model(i, L.Dense(2)(L.ELU()(x)))


def attention():
    i = L.Input((6, 4))
    x = L.MultiHeadAttention(2, 3, value_dim=4)(L.Dense(6)(i), L.Conv1D(5, 2)(i))
    return keras.Model(i, L.Activation("tanh")(L.GlobalMaxPooling1D()(x)))


def sequential():
    return keras.Sequential([
        L.Input((12, 2)),
        L.Conv1D(4, 3, padding="causal", dilation_rate=2, activation="leaky_relu"),
        L.MaxPooling1D(2),
        L.LSTM(3, go_backwards=True, recurrent_activation="hard_sigmoid"),
        L.Reshape((3, 1)),
        L.Permute((2, 1)),
        L.TimeDistributed(L.Dense(2)),
    ])


for build in (images, series, attention, sequential):
    record(build.__name__, build())
