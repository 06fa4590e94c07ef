"""Trains one of the benchmark's networks with Keras on TensorFlow: `tensorflow.py FOLDER plain|xla`."""
import os
import sys

# This file has the package's name.
sys.path = [entry for entry in sys.path if os.path.abspath(entry or ".") != os.path.dirname(os.path.abspath(__file__))]
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
import tensorflow as tf

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from plan import network, plan, threads, train, variant, weights

tf.config.threading.set_intra_op_parallelism_threads(threads)
tf.config.threading.set_inter_op_parallelism_threads(1)
layers = tf.keras.layers


def conv(x, name, filters, size, strides=1, norm=True):
    x = layers.Conv2D(filters, size, strides, "same", use_bias=f"{name}/bias" in weights, name=name)(x)
    return layers.BatchNormalization(name=f"{name}_bn")(x) if norm else x


def depthwise(x, name):
    x = layers.DepthwiseConv2D(3, 1, "same", use_bias=f"{name}/bias" in weights, name=name)(x)
    return layers.BatchNormalization(name=f"{name}_bn")(x)


def dense_net(x):
    return layers.Dense(128, "relu", name="hidden")(x)


def conv_net(x):
    for name, filters in (("conv_1", 16), ("conv_2", 32)):
        x = layers.MaxPooling2D()(layers.ReLU()(conv(x, name, filters, 3, norm=False)))
    return layers.Flatten()(x)


def ds_cnn(x):
    x = layers.ReLU()(conv(x, "stem", 64, (10, 4), 2))
    for at in range(1, 5):
        x = layers.ReLU()(depthwise(x, f"depthwise_{at}"))
        x = layers.ReLU()(conv(x, f"pointwise_{at}", 64, 1))
    return layers.GlobalAveragePooling2D()(x)


def resnet_8(x):
    x = layers.ReLU()(conv(x, "stem", 16, 3))
    for stack, filters in ((1, 16), (2, 32), (3, 64)):
        strides = 1 if stack == 1 else 2
        y = layers.ReLU()(conv(x, f"stack_{stack}_1", filters, 3, strides))
        y = conv(y, f"stack_{stack}_2", filters, 3)
        if stack > 1:
            x = conv(x, f"short_{stack}", filters, 1, 2, norm=False)
        x = layers.ReLU()(layers.Add()([x, y]))
    return layers.GlobalAveragePooling2D()(x)


body = {"dense": dense_net, "conv": conv_net, "ds-cnn": ds_cnn, "resnet-8": resnet_8}[network]
x = tf.keras.Input(plan["shape"])
model = tf.keras.Model(x, layers.Dense(plan["classes"], name="head")(body(x)))
for layer in model.layers:
    # Ours are [out, in, height, width]; a depthwise kernel is [channels, 1, height, width].
    depthwise = weights.get(f"{layer.name}/depthwise_kernel")
    if depthwise is not None:
        # Keras 2 calls it depthwise_kernel.
        getattr(layer, "kernel" if hasattr(layer, "kernel") else "depthwise_kernel").assign(depthwise.transpose(2, 3, 0, 1))
    for part in ("kernel", "bias"):
        value = weights.get(f"{layer.name}/{part}")
        if value is not None:
            getattr(layer, part).assign(value.transpose(2, 3, 1, 0) if value.ndim == 4 else value)
model.compile(
    optimizer=tf.keras.optimizers.Adam(plan["learningRate"], epsilon=1e-7),
    loss=tf.keras.losses.SparseCategoricalCrossentropy(from_logits=True),
    jit_compile=variant == "xla",
)


@tf.function(jit_compile=variant == "xla", reduce_retracing=True)
def fast_step(rows, classes):
    with tf.GradientTape() as tape:
        loss = model.compute_loss(x=rows, y=classes, y_pred=model(rows, training=True))
    model.optimizer.apply(tape.gradient(loss, model.trainable_variables), model.trainable_variables)
    return loss


def step(rows, classes):
    if variant == "train_on_batch":
        model.reset_metrics()
        return float(model.train_on_batch(rows, classes))
    return float(fast_step(tf.convert_to_tensor(rows), tf.convert_to_tensor(classes)))


train(step, {"version": tf.__version__, "blas": "oneDNN, Eigen", "threads": threads})
