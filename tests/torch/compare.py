# SPDX-License-Identifier: MIT
"""Every model family in tenon and in PyTorch: same parameters, same fields; outputs, gradients of all parameters and
new running statistics, in training and in evaluation. Parameters go through safetensors files both ways: names and
shapes come from tenon's file, the values from here.

    ./dev torch [family ...]

Deviation: the largest |a - b| over max(1, largest |b|) of the tensor. Fails above 1e-5 in float32, 1e-11 in float64.
Skips, successfully, where there is no PyTorch."""
import os
import subprocess
import sys
import tempfile

try:
    import numpy
    import torch
except ImportError as missing:
    print(f"skipped: no {missing.name}")
    sys.exit(0)
import peers
import safetensors

TOLERANCE = {"float32": 1e-5, "float64": 1e-11}
FRAME = """[pipeline]
precision = {precision}
stages = stage
observers =
[stage]
use = stage.evaluate
data = data
model = model.mlp
metrics = metric.accuracy
[data]
use = dataset.csv
file = ${{examples}}/data/digits.csv.gz
[m]
use = model.{name}
{keys}
"""
random = numpy.random.default_rng(1)


def images(channels, side, classes=3):
    return ([f"image float 0 0 3 {channels} {side} {side}", f"label int64 {classes} 0 0"],
            {"image": random.standard_normal((4, channels, side, side))})


def tokens(length, kinds):
    return ([f"tokens int64 {kinds} 0 1 {length}", f"label int64 {kinds} 0 1 {length}"],
            {"tokens": random.integers(0, kinds, (3, length))})


def graphs(labels):
    sizes, pairs, begin = [3, 5, 1, 6], [], [0]
    for n in sizes:
        some = {tuple(sorted(random.choice(n, 2, replace=False))) for _ in range(2 * n if n > 1 else 0)}
        pairs += [edge for a, b in sorted(some) for edge in ((a, b), (b, a))]
        begin.append(len(pairs))
    return (["node float 0 1 2 -1 4", "edge int64 0 1 2 -1 2", labels],
            {"node": random.standard_normal((sum(sizes), 4)), "node.offset": numpy.cumsum([0] + sizes),
             "edge": numpy.array(pairs), "edge.offset": numpy.array(begin)})


ON_GRAPHS, ON_NODES = "label int64 2 0 0", "label int64 2 1 1 -1"
CNN = ("layers = conv 6 3, bn, relu, maxpool 2, conv 6 3 groups=2, gn 3, leaky, avgpool 2, conv 8 3 1 2 dilation=2, "
       "in, silu, globalpool, linear 7, tanh")
# family: keys, output field, (specification, fields)
CASES = {
    "mlp": ("hidden = 9, 7\nnorm = batch\nactivation = gelu", "logits",
            (["input float 0 0 1 6", "label int64 3 0 0"], {"input": random.standard_normal((5, 6))})),
    "cnn": (CNN, "logits", images(3, 16)),
    "resnet": ("blocks = 1, 2\nwidth = 0.5", "logits", images(3, 8)),
    "vit": ("layers = 2\nwidth = 16", "logits", images(3, 8)),
    "gpt": ("layers = 2\nwidth = 16", "logits", tokens(7, 11)),
    "gru": ("layers = 2\nwidth = 12\nembedding = 5", "logits", tokens(7, 11)),
    "lstm": ("layers = 2\nwidth = 12\nembedding = 5", "logits", tokens(7, 11)),
    "gin": ("layers = 2\nwidth = 8\nlearn_epsilon = yes", "logits", graphs(ON_GRAPHS)),
    "gcn": ("width = 8", "logits", graphs(ON_NODES)),
    "gat": ("width = 8\nheads = 2", "logits", graphs(ON_GRAPHS)),
    "graph_sage": ("width = 8", "logits", graphs(ON_GRAPHS)),
    "unet": ("width = 8\ngroups = 4\nmultipliers = 1, 2\nheads = 2", "output",
             (images(2, 6)[0][:1] + ["time float 0 0 0"],
              {"image": random.standard_normal((3, 2, 6, 6)), "time": numpy.array([0.0, 17.0, 400.0])})),
    "dcgan_generator": ("width = 4\nside = 16\nchannels = 3", "image",
                        (["noise float 0 0 1 6"], {"noise": random.standard_normal((4, 6))})),
    "dcgan_discriminator": ("width = 4", "logits", images(3, 16)),
}


def dump(program, mode, folder):
    subprocess.run([program, mode, folder], check=True)


def draw(initial):
    """Values for tenon's parameters that keep numbers of order one on their way through the net."""
    values = {}
    for name, tensor in initial.items():
        fan_in = max(1, tensor.size // max(1, tensor.shape[0])) if tensor.ndim > 1 else 1
        value = random.standard_normal(tensor.shape) / numpy.sqrt(fan_in) * (1 if tensor.ndim > 1 else 0.3)
        if name.endswith(("variance",)) or "norm" in name and name.endswith("weight"):
            value = numpy.abs(value) + 0.5
        values[name] = value.astype(tensor.dtype)
    return values


def deviation(ours, theirs):
    if theirs is None:
        raise SystemExit("error: PyTorch's function does not use a parameter that tenon's does")
    theirs = theirs.detach().numpy()
    if ours.shape != theirs.shape:
        raise SystemExit(f"error: shapes {ours.shape} and {theirs.shape}")
    return float(numpy.abs(ours - theirs).max() / max(1, numpy.abs(theirs).max()))


def compare(program, name, precision, mode, values, fields, folder):
    """Largest deviations of (output, gradients, running statistics)."""
    p = peers.Parameters({k: torch.tensor(v, requires_grad=True) for k, v in values.items()})
    y = getattr(peers, name)(p, {k: torch.tensor(v) for k, v in fields.items()}, mode == "train")
    seed = (random.standard_normal(y.shape) / numpy.sqrt(y.numel())).astype(precision)
    (y * torch.tensor(seed)).sum().backward()
    safetensors.save(f"{folder}/params.safetensors", values)
    safetensors.save(f"{folder}/fields.safetensors", {**fields, "seed": seed})
    dump(program, mode, folder)
    got = safetensors.load(f"{folder}/{mode}.safetensors")
    gradients = [deviation(value, p[key[9:]].grad) for key, value in got.items() if key.startswith("gradient.")]
    buffers = [deviation(value, p.buffers[key[7:]]) for key, value in got.items() if key.startswith("buffer.")]
    if len(buffers) != len(p.buffers) or not gradients:
        raise SystemExit(f"error: {name}: {len(buffers)} running statistics, PyTorch has {len(p.buffers)}")
    return deviation(got["output"], y), max(gradients), max(buffers, default=0)


def main(program, names):
    failed = False
    print(f"{'family':<20} {'precision':<9} {'mode':<9} {'output':>9} {'gradients':>9} {'buffers':>9}")
    for name in names or CASES:
        keys, output, (spec, wide) = CASES[name]
        for precision in TOLERANCE:
            fields = {k: v.astype(precision if v.dtype.kind == "f" else "int64") for k, v in wide.items()}
            with tempfile.TemporaryDirectory() as folder:
                with open(f"{folder}/pipeline.ini", "w") as file:
                    file.write(FRAME.format(name=name, precision=precision, keys=keys))
                with open(f"{folder}/spec.txt", "w") as file:
                    file.write("\n".join([output] + spec) + "\n")
                dump(program, "init", folder)
                values = draw(safetensors.load(f"{folder}/initial.safetensors"))
                for mode in ("train", "evaluate"):
                    worst = compare(program, name, precision, mode, values, fields, folder)
                    wrong = not max(worst) <= TOLERANCE[precision]
                    failed |= wrong
                    print(f"{name:<20} {precision:<9} {mode:<9} " + " ".join(f"{d:9.1e}" for d in worst) +
                          ("  too far" if wrong else ""))
    return failed


if __name__ == "__main__":
    os.environ.setdefault("TENON_EXAMPLES", os.path.join(os.path.dirname(__file__), "..", "..", "examples"))
    sys.exit(main(sys.argv[1], sys.argv[2:]))
