# SPDX-License-Identifier: MIT
"""In a folder with a run of the quickstart, two epochs, in `run`."""
import gc
import sys

import numpy as np
import tenon

quickstart = sys.argv[1]


def fails(function, *words):
    try:
        function()
    except tenon.Error as error:
        assert all(word in str(error) for word in words), f"expected {words}, got: {error}"
        return
    raise AssertionError(f"nothing failed; expected {words}")


def near(got, expected, tolerance=1e-6):
    assert np.allclose(got, expected, rtol=tolerance, atol=tolerance), f"expected {expected}, got {got}"


# What the run left.
run = tenon.load("run")
assert run.outcome == "finished" and run.name == "quickstart" and run.seed == 1
weight = run.parameters["net"]["layers.0.weight"]
assert weight.dtype == np.float32 and weight.shape == (128, 64), weight.shape
steps, losses = run.curve("train", "loss")
assert steps[0] == 1 and steps[-1] == 46 and losses[0] > losses[-1]
near(losses[-1], run.results["train.loss"], 1e-9)
fails(lambda: tenon.load("nowhere"), "nowhere", "No such file")
open("bad.safetensors", "wb").write(b"\x10\0\0\0\0\0\0\0not a header at ")
fails(lambda: tenon.read_safetensors("bad.safetensors"), "bad.safetensors", "not a safetensors file")

# The same run here gives the same bits; its tensors outlive the host.
host = tenon.Host()
host.run(quickstart, "train.epochs=2")
near(host.result("test.accuracy"), run.results["test.accuracy"], 1e-9)
live = host.parameters("net")
assert list(live) == list(run.parameters["net"]) and all((live[n] == run.parameters["net"][n]).all() for n in live)
fails(lambda: host.result("test.accurcy"), "no result 'test.accurcy'")
fails(lambda: host.tensor("net", "nothing"), "no tensor 'nothing' in section 'net'")
fails(lambda: host.run(quickstart, "train.epochs=-1"), "epochs")
host.close()
gc.collect()
assert (live["layers.0.weight"] == weight).all()

# Cross-entropy: log(sum exp) - logit of the label; its gradient (softmax - one-hot) / n.
host = tenon.Host()
rng = np.random.default_rng(1)
logits, label = rng.normal(size=(5, 3)).astype(np.float32), np.array([0, 2, 1, 1, 0])
softmax = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
loss = host.component("loss.cross_entropy")
value, gradient = loss.value(logits=logits, label=label, gradients=["logits"])
near(value, -np.log(softmax[np.arange(5), label]).mean())
near(gradient["logits"], (softmax - np.eye(3)[label]) / 5)
near(loss.value(logits=np.asfortranarray(logits[:2]), label=label[:2]), -np.log(softmax[[0, 1], label[:2]]).mean())
precise = host.component("loss.cross_entropy", {"pipeline.precision": "float64"}, smoothing=0.2)
near(precise.value(logits=logits.astype(np.float64), label=label),
     -(np.log(softmax.astype(np.float64)) * (0.8 * np.eye(3)[label] + 0.2 / 3)).sum(1).mean(), 1e-7)
fails(lambda: host.component("loss.cross_entropy").value(label=label), "no field 'logits'")
fails(lambda: loss.value(logits=logits[:, :2], label=label), "two kinds of data")
fails(lambda: loss.value(logits=logits.astype(complex), label=label), "'logits' has a type")
fails(lambda: host.component("loss.cross_entropie"), "cross_entropy")
fails(lambda: host.component("loss.cross_entropy", smoothin=0.1), "unknown key 'smoothin'", "did you mean 'smoothing'")
fails(lambda: loss.step({}, {}), "expected tenon.optimizer")

# SGD with momentum, two steps: v = g, v = 0.9 g + g2. Two optimizers do not disturb each other.
w, b = np.ones((2, 3), np.float32), np.zeros(3, np.float32)
sgd, adam = host.component("optimizer.sgd", lr=0.1, momentum=0.9), host.component("optimizer.adam", lr=0.01)
g = {"w": np.full((2, 3), 2.0), "b": np.arange(3.0)}
other = np.zeros(4, np.float32)
sgd.step({"w": w, "b": b}, g)
adam.step({"x": other}, {"x": np.array([1, -2, 3, -4])})
near(w, np.full((2, 3), 0.8))
near(other, [-0.01, 0.01, -0.01, 0.01], 1e-5)
sgd.step({"w": w, "b": b}, g, schedule=0.5)
near(w, np.full((2, 3), 0.8 - 0.05 * 3.8))
near(b, -0.1 * np.arange(3) - 0.05 * 1.9 * np.arange(3))
fails(lambda: sgd.step({"w": w}, g), "1 parameters, the first step had 2")
fails(lambda: sgd.step({"w": b, "b": b}, {"w": b, "b": b}), "another shape")
fails(lambda: sgd.step({"w": w.astype(np.float64), "b": b}, g), "expected float32")
fails(lambda: sgd.step({"w": w[:, ::2], "b": b}, g), "C order")
lbfgs = host.component("optimizer.lbfgs")
fails(lambda: lbfgs.step({"b": b}, {"b": b}), "L-BFGS needs")

# A plain training loop: logistic regression on what is linearly separable.
x = rng.normal(size=(200, 2)).astype(np.float32)
y = (x @ [1.0, -2.0] > 0).astype(np.int64)
parameters = {"w": np.zeros((2, 2), np.float32), "b": np.zeros(2, np.float32)}
optimizer = host.component("optimizer.adam", lr=0.1)
loss = host.component("loss.cross_entropy")
for _ in range(100):
    value, slope = loss.value(logits=x @ parameters["w"] + parameters["b"], label=y, gradients=["logits"])
    optimizer.step(parameters, {"w": x.T @ slope["logits"], "b": slope["logits"].sum(0)})
assert ((x @ parameters["w"] + parameters["b"]).argmax(1) == y).mean() > 0.97
print("ok")
