"""Exports small networks from Keras through tf2onnx, with rows and what Keras itself gives for them.

Usage: export_keras.py FOLDER. Writes and prints what export_torch.py does.
"""
import json
import os
import sys
from pathlib import Path

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
import numpy as np
import tensorflow as tf
import tf2onnx
from tensorflow.keras import layers

folder = Path(sys.argv[1])


def block(x, expand):
    """MobileNetV2's block: widen, depthwise, narrow, with a way around."""
    width = x.shape[-1]
    y = layers.Conv2D(width * expand, 1, use_bias=False)(x)
    y = layers.ReLU(6.0)(layers.BatchNormalization()(y))
    y = layers.DepthwiseConv2D(3, padding="same", use_bias=False)(y)
    y = layers.ReLU(6.0)(layers.BatchNormalization()(y))
    y = layers.BatchNormalization()(layers.Conv2D(width, 1, use_bias=False)(y))
    return layers.Add()([x, y])


def mobilenet(x):
    y = layers.Conv2D(8, 3, strides=2, padding="same", use_bias=False)(x)
    y = layers.ReLU(6.0)(layers.BatchNormalization()(y))
    y = layers.GlobalAveragePooling2D()(block(block(y, 3), 2))
    return layers.Dense(4, activation="softmax")(y)


def resnet(x):
    y = layers.Conv2D(8, 3, strides=2, padding="same", activation="relu")(x)
    y = layers.MaxPooling2D()(y)
    z = layers.BatchNormalization()(layers.Conv2D(8, 3, padding="same")(y))
    return layers.Dense(4)(layers.Flatten()(layers.ReLU()(layers.Add()([y, z]))))


def lstm(x):
    return layers.Dense(4, activation="softmax")(layers.LSTM(10)(x))


def transformer(x):
    y = layers.Dense(16)(x)
    z = layers.LayerNormalization()(layers.Add()([y, layers.MultiHeadAttention(2, 8)(y, y)]))
    z = layers.LayerNormalization()(layers.Add()([z, layers.Dense(16)(layers.Dense(32, activation="gelu")(z))]))
    return layers.Dense(4)(layers.GlobalAveragePooling1D()(z))


IMAGE, SERIES = (16, 16, 3), (7, 6)
MODELS = {"mobilenet": (mobilenet, IMAGE), "resnet": (resnet, IMAGE), "lstm": (lstm, SERIES), "transformer": (transformer, SERIES)}

for name, (build, shape) in MODELS.items():
    path = folder / f"keras-{name}.onnx"
    try:
        tf.keras.utils.set_random_seed(1)
        x = tf.keras.Input(shape)
        model = tf.keras.Model(x, build(x))
        random = np.random.default_rng(1)
        for layer in model.layers:
            # Values unlike those of a fresh network (zeros, ones), so that a mistake in any of them shows.
            is_scale = isinstance(layer, layers.BatchNormalization)
            change = (lambda w: random.uniform(0.5, 1.5, w.shape)) if is_scale else (lambda w: w + random.normal(0, 0.05, w.shape))
            layer.set_weights([change(weight) for weight in layer.get_weights()])
        rows = random.normal(size=(8, *shape)).astype(np.float32)
        signature = [tf.TensorSpec((None, *shape), tf.float32, name="x")]
        call = tf.function(lambda x: {"y": model(x, training=False)}, input_signature=signature)
        tf2onnx.convert.from_function(call, signature, opset=15, output_path=str(path))
        outputs = np.asarray(model(rows, training=False))
        told = {"rows": rows.flatten().tolist(), "shape": list(rows.shape), "outputs": outputs.flatten().tolist()}
        path.with_suffix(".json").write_text(json.dumps(told))
        print(json.dumps({"name": path.stem}), flush=True)
    except Exception as error:  # The next network may export; the test names what did not.
        print(json.dumps({"name": path.stem, "skipped": (str(error).strip().splitlines() or [repr(error)])[-1][:200]}), flush=True)
