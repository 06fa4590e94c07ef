"""Trains the dense network with a plain numpy loop: forward, backward and Adam by hand, buffers reused."""
import numpy as np

from plan import plan, threads, train, weights

names = ["hidden/kernel", "hidden/bias", "head/kernel", "head/bias"]
values = [weights[name] for name in names]
moments = [np.zeros_like(value) for value in values]
squares = [np.zeros_like(value) for value in values]
scratch = [np.empty_like(value) for value in values]
rate, beta1, beta2, epsilon = plan["learningRate"], 0.9, 0.999, 1e-7
count = 0


def step(rows, classes):
    global count
    count += 1
    w1, b1, w2, b2 = values
    hidden = rows @ w1
    hidden += b1
    np.maximum(hidden, 0, out=hidden)
    logits = hidden @ w2
    logits += b2
    logits -= logits.max(axis=1, keepdims=True)
    exps = np.exp(logits)
    sums = exps.sum(axis=1, keepdims=True)
    at = np.arange(len(classes))
    loss = float(np.mean(np.log(sums[:, 0]) - logits[at, classes]))
    delta = exps / sums
    delta[at, classes] -= 1
    delta /= len(classes)
    back = delta @ w2.T
    back *= hidden > 0
    gradients = [rows.T @ back, back.sum(axis=0), hidden.T @ delta, delta.sum(axis=0)]
    s = np.sqrt(1 - beta2**count)
    scaled = np.float32(rate * s / (1 - beta1**count))
    for value, gradient, moment, square, free in zip(values, gradients, moments, squares, scratch):
        moment *= np.float32(beta1)
        np.multiply(gradient, np.float32(1 - beta1), out=free)
        moment += free
        square *= np.float32(beta2)
        gradient *= gradient
        gradient *= np.float32(1 - beta2)
        square += gradient
        np.sqrt(square, out=free)
        free += np.float32(epsilon * s)
        np.divide(moment, free, out=free)
        free *= scaled
        value -= free
    return loss


config = np.show_config(mode="dicts")["Build Dependencies"]["blas"]
train(step, {"version": np.__version__, "blas": f"{config['name']} {config['version']}", "threads": threads})
