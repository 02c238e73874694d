# SPDX-License-Identifier: MIT
"""The models of plugins/models in PyTorch: functions of (parameters by tenon's names, fields, training), made of
PyTorch's own modules and functions wherever it has them. P.buffers collects new running statistics."""
import math

import torch
import torch.nn.functional as F
from torch.nn.utils.stateless import functional_call


class Parameters(dict):
    def __init__(self, tensors):
        super().__init__(tensors)
        self.buffers = {}

    def linear(self, x, name):
        return F.linear(x, self[name + ".weight"], self.get(name + ".bias"))

    def conv(self, x, name, **geometry):
        return F.conv2d(x, self[name + ".weight"], self.get(name + ".bias"), **geometry)

    def batch_norm(self, x, name, training):
        mean, variance = (self[name + end].detach().clone() for end in (".mean", ".variance"))
        y = F.batch_norm(x, mean, variance, self[name + ".weight"], self[name + ".bias"], training, 0.1, 1e-5)
        if training:
            self.buffers.update({name + ".mean": mean, name + ".variance": variance})
        return y

    def group_norm(self, x, name, groups):
        return F.group_norm(x, groups, self[name + ".weight"], self[name + ".bias"], 1e-5)

    def layer_norm(self, x, name):
        return F.layer_norm(x, x.shape[-1:], self[name + ".weight"], self[name + ".bias"], 1e-5)

    def module(self, module, names, *inputs, **keys):
        """A module of PyTorch's, its parameters replaced: names maps its names to ours."""
        module = module.to(next(iter(self.values())).dtype).train()
        return functional_call(module, {its: self[ours] for its, ours in names.items()}, inputs, keys)


def mlp(p, fields, training):
    x = p.linear(fields["input"], "layers.0")
    x = F.gelu(p.batch_norm(x, "layers.0.norm", training))
    x = F.gelu(p.batch_norm(p.linear(x, "layers.1"), "layers.1.norm", training))
    return p.linear(x, "layers.2")


def cnn(p, fields, training):
    """layers = conv 6 3, bn, relu, maxpool 2, conv 6 3 groups=2, gn 3, leaky, avgpool 2, conv 8 3 1 2 dilation=2,
    in, silu, globalpool, linear 7, tanh"""
    x = p.conv(fields["image"], "layers.0", padding=1)
    x = F.max_pool2d(F.relu(p.batch_norm(x, "layers.1", training)), 2)
    x = p.group_norm(p.conv(x, "layers.4", padding=1, groups=2), "layers.5", 3)
    x = F.avg_pool2d(F.leaky_relu(x, 0.01), 2)
    x = p.conv(x, "layers.8", padding=2, dilation=2)
    x = F.silu(F.instance_norm(x, weight=p["layers.9.weight"], bias=p["layers.9.bias"], eps=1e-5))
    return p.linear(torch.tanh(p.linear(x.mean((2, 3)), "layers.12")), "head")


def resnet(p, fields, training):
    """blocks = 1, 2"""
    def norm(x, name):
        return p.batch_norm(x, name, training)

    x = F.relu(norm(p.conv(fields["image"], "stem", padding=1), "stem_norm"))
    for stage, blocks in enumerate([1, 2]):
        for b in range(blocks):
            name = f"stages.{stage}.{b}."
            stride = 2 if stage > 0 and b == 0 else 1
            h = F.relu(norm(p.conv(x, name + "conv1", stride=stride, padding=1), name + "norm1"))
            h = norm(p.conv(h, name + "conv2", padding=1), name + "norm2")
            if stride > 1:
                x = norm(p.conv(x, name + "shortcut", stride=stride), name + "shortcut_norm")
            x = F.relu(h + x)
    return p.linear(x.mean((2, 3)), "head")


def transformer(p, x, layers, heads, mask):
    d = x.shape[-1]
    ours = {"self_attn.in_proj_": "qkv.", "self_attn.out_proj.": "out.", "linear1.": "up.", "linear2.": "down.",
            "norm1.": "norm1.", "norm2.": "norm2."}
    for b in range(layers):
        module = torch.nn.TransformerEncoderLayer(d, heads, 4 * d, 0, F.gelu, batch_first=True, norm_first=True)
        names = {its + end: f"blocks.{b}.{mine}{end}" for its, mine in ours.items() for end in ("weight", "bias")}
        x = p.module(module, names, x, src_mask=mask)
    return p.layer_norm(x, "norm")


def vit(p, fields, training):
    x = p.conv(fields["image"], "patches", stride=4).flatten(2).transpose(1, 2)
    x = torch.cat([p["class.weight"].expand(len(x), 1, -1), x], 1) + p["positions.weight"]
    return p.linear(transformer(p, x, 2, 4, None)[:, 0], "head")


def gpt(p, fields, training):
    tokens = fields["tokens"]
    t = tokens.shape[1]
    x = F.embedding(tokens, p["tokens.weight"]) + p["positions.weight"][:t]
    x = transformer(p, x, 2, 4, torch.full((t, t), -math.inf, dtype=x.dtype).triu(1))
    return F.linear(x, p["tokens.weight"]).flatten(0, 1)


def recurrent(run, states):
    """run: what torch.nn.GRU and torch.nn.LSTM call; the modules hide their parameters from functional_call."""
    def apply(p, fields, training):
        x = F.embedding(fields["tokens"], p["tokens.weight"])
        weights = [p[f"layers.{layer}.{what}"] for layer in (0, 1)
                   for what in ("weight_input", "weight_hidden", "bias_input", "bias_hidden")]
        start = [torch.zeros(2, len(x), 12, dtype=x.dtype)] * states
        y = run(x, start[0] if states == 1 else start, weights, True, 2, 0.0, training, False, True)[0]
        return p.linear(y.flatten(0, 1), "head")
    return apply


def dense_graphs(fields):
    """Adjacency matrix of the whole batch, row: receiver; and the matrix that sums over each graph's nodes."""
    first, begin, edge = (fields[k] for k in ("node.offset", "edge.offset", "edge"))
    n = int(first[-1])
    a = torch.zeros(n, n, dtype=fields["node"].dtype)
    member = torch.zeros(len(first) - 1, n, dtype=a.dtype)
    for g in range(len(first) - 1):
        member[g, first[g]:first[g + 1]] = 1
        for source, target in edge[begin[g]:begin[g + 1]] + first[g]:
            a[target, source] += 1
    return a, member


def gin(p, fields, training):
    a, member = dense_graphs(fields)
    x, reads = fields["node"], []
    for l in range(2):
        x = (1 + p[f"layers.{l}.epsilon"]) * x + a @ x
        x = F.relu(p.batch_norm(p.linear(x, f"layers.{l}.up"), f"layers.{l}.norm", training))
        x = F.relu(p.batch_norm(p.linear(x, f"layers.{l}.down"), f"norms.{l}", training))
        reads.append(member @ x)
    return p.linear(torch.cat(reads, 1), "head")


def gcn(p, fields, training):
    a, _ = dense_graphs(fields)
    a = a + torch.eye(len(a), dtype=a.dtype)
    scale = a.sum(1).rsqrt()
    a = scale[:, None] * a * scale
    x = F.relu(a @ F.linear(fields["node"], p["layers.0.weight"]) + p["layers.0.bias"])
    return a @ F.linear(x, p["layers.1.weight"]) + p["layers.1.bias"]


def gat(p, fields, training):
    a, member = dense_graphs(fields)
    x, seen = fields["node"], a + torch.eye(len(a), dtype=a.dtype) > 0
    for l in range(2):
        w, source, target = (p[f"layers.{l}.{name}"] for name in ("weight", "source", "target"))
        h = F.linear(x, w).unflatten(1, source.shape)                                    # (N, heads, depth)
        e = (h * target).sum(2)[:, None] + (h * source).sum(2)[None]                     # (to, from, heads)
        alpha = F.leaky_relu(e, 0.2).masked_fill(~seen[:, :, None], -math.inf).softmax(1)
        x = F.elu(torch.einsum("ijh,jhd->ihd", alpha, h).flatten(1) + p[f"layers.{l}.bias"])
    return p.linear(member @ x / member.sum(1, keepdim=True), "head")


def graph_sage(p, fields, training):
    a, member = dense_graphs(fields)
    x, a = fields["node"], a / a.sum(1, keepdim=True).clamp(min=1)
    for l in range(2):
        x = F.relu(p.linear(x, f"layers.{l}.own") + p.linear(a @ x, f"layers.{l}.neighbour"))
    return p.linear(member @ x / member.sum(1, keepdim=True), "head")


def unet(p, fields, training):
    """width = 8, groups = 4, multipliers = 1, 2, heads = 2"""
    def block(x, name):
        h = p.conv(F.silu(p.group_norm(x, name + ".norm1", 4)), name + ".conv1", padding=1)
        h = h + p.linear(time, name + ".time")[:, :, None, None]
        h = p.conv(F.silu(p.group_norm(h, name + ".norm2", 4)), name + ".conv2", padding=1)
        return h + (p.conv(x, name + ".shortcut") if name + ".shortcut.weight" in p else x)

    rates = torch.exp(-math.log(10000) * torch.arange(4, dtype=fields["time"].dtype) / 4)
    angles = fields["time"][:, None] * rates
    time = p.linear(torch.cat([angles.sin(), angles.cos()], 1), "time.0")
    time = F.silu(p.linear(F.silu(time), "time.1"))
    a = p.conv(fields["image"], "in", padding=1)
    b = block(a, "down.0.0")
    c = p.conv(b, "shrink.0", stride=2, padding=1)
    d = block(c, "down.1.0")
    x = block(d, "middle.0")
    n, channels, height, width = x.shape
    name = "middle.attention."
    pixels = p.group_norm(x, name + "norm", 4).flatten(2).transpose(1, 2)
    names = {its + end: name + ours + end for its, ours in (("in_proj_", "qkv."), ("out_proj.", "out."))
             for end in ("weight", "bias")}
    flat = Parameters({key: value.flatten(1) if value.dim() == 4 else value for key, value in p.items()})
    y, _ = flat.module(torch.nn.MultiheadAttention(channels, 2, batch_first=True), names, pixels, pixels, pixels)
    x = block(x + y.transpose(1, 2).unflatten(2, (height, width)), "middle.1")
    x = block(torch.cat([x, d], 1), "up.1.0")
    x = block(torch.cat([x, c], 1), "up.1.1")
    x = p.conv(F.interpolate(x, b.shape[2:], mode="nearest"), "grow.0", padding=1)
    x = block(torch.cat([x, b], 1), "up.0.0")
    x = block(torch.cat([x, a], 1), "up.0.1")
    return p.conv(F.silu(p.group_norm(x, "out_norm", 4)), "out", padding=1)


def dcgan_generator(p, fields, training):
    x = F.conv_transpose2d(fields["noise"][:, :, None, None], p["first.weight"])
    x = F.relu(p.batch_norm(x, "first_norm", training))
    x = F.conv_transpose2d(x, p["steps.0.weight"], stride=2, padding=1)
    x = F.relu(p.batch_norm(x, "norms.0", training))
    return torch.tanh(F.conv_transpose2d(x, p["steps.1.weight"], p["steps.1.bias"], stride=2, padding=1))


def dcgan_discriminator(p, fields, training):
    x = F.leaky_relu(p.conv(fields["image"], "steps.0", stride=2, padding=1), 0.2)
    x = p.batch_norm(p.conv(x, "steps.1", stride=2, padding=1), "norms.1", training)
    return p.linear(F.leaky_relu(x, 0.2).flatten(1), "head")


gru = recurrent(torch.gru, 1)
lstm = recurrent(torch.lstm, 2)
