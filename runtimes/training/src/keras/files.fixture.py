"""Saves one model by Keras 3 and by Keras 2 (tf_keras) in each of their formats, for file.test.ts.

Usage: files.fixture.py files.fixture.zip, with Keras, tf_keras and TensorFlow from PyPI (written with Keras 3.15.1 and
tf_keras 2.21.0).
"""

import json
import os
import sys
import tempfile
import zipfile

import keras
import numpy as np
import tf_keras


def build(k):
    L = k.layers
    i = k.Input((6, 4), name="rows")
    x = L.Dense(8, activation="hard_sigmoid", name="spread")(i)
    x = L.LayerNormalization(name="norm")(x)
    x = L.MultiHeadAttention(2, 3, name="attention")(x, x)
    x = L.Bidirectional(L.LSTM(3, return_sequences=True), name="both")(x)
    x = L.TimeDistributed(L.Dense(5, use_bias=False), name="each")(x)
    x = L.Reshape((6, 5, 1), name="image")(x)
    x = L.SeparableConv2D(3, 2, name="windows")(x)
    x = L.ReLU(6.0, name="cut")(L.DepthwiseConv2D((1, 2), depth_multiplier=2, name="depth")(x))
    x = L.BatchNormalization(center=False, name="batch")(x)
    x = L.Reshape((5, 18), name="series")(x)
    x = L.Dropout(0.2, name="drop")(x)
    x = L.GRU(4, name="memory")(x)
    x = L.Dense(3, activation="relu", name="narrow")(x)
    return k.Model(i, L.Dense(2, activation="softmax", name="classes")(x))


def main(target):
    rows = np.round(np.random.default_rng(2).uniform(-1, 1, (2, 6, 4)), 2).astype("float32")
    with tempfile.TemporaryDirectory() as folder, zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as out:
        told = {"rows": rows.ravel().tolist()}
        for name, k in (("keras3", keras), ("keras2", tf_keras)):
            random = np.random.default_rng(1)
            model = build(k)
            for weight in model.weights:
                if "seed" not in weight.name:
                    least = 0.5 if "variance" in weight.name else -0.5
                    weight.assign(np.round(random.uniform(least, least + 1, weight.shape), 2))
            told[name] = {
                "model": json.loads(model.to_json()),
                "output": [round(float(value), 7) for value in np.array(model(rows, training=False)).ravel()],
            }
            saved = {f"{name}.keras": model.save, f"{name}.h5": model.save}
            saved[f"{name}.weights.h5" if k is keras else f"{name}-weights.h5"] = model.save_weights
            for file, save in saved.items():
                path = os.path.join(folder, file)
                save(path)
                out.write(path, file)
        out.writestr("told.json", json.dumps(told))


main(sys.argv[1])
