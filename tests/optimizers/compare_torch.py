#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Prints the constants of test_coordinates.c: where PyTorch's optimizers stand after five steps.

For development only; needs torch (1.13). Five coordinates, float64, w_i = sin(i) at first, gradient
w_i + 0.3 sin((i + 1) t) - 0.1 in step t = 1 .. 5. NAdam of 1.13 has mu_t twice in the product up to t + 1;
later versions, and this script, have it once.
"""
import inspect
import math

import torch
import torch.optim.nadam as nadam

torch.set_default_dtype(torch.float64)  # NAdam's products too
source = inspect.getsource(nadam._single_tensor_nadam)
assert "mu_product * mu * mu_next" in source
exec(source.replace("mu_product * mu * mu_next", "mu_product * mu_next"), nadam.__dict__)

CASES = [
    ("adagrad", torch.optim.Adagrad, dict(lr=0.1)),
    ("adagrad_decayed", torch.optim.Adagrad,
     dict(lr=0.1, lr_decay=0.05, initial_accumulator_value=0.1, weight_decay=0.02)),
    ("rmsprop", torch.optim.RMSprop, dict(lr=0.02)),
    ("rmsprop_full", torch.optim.RMSprop,
     dict(lr=0.02, alpha=0.9, momentum=0.8, centered=True, eps=1e-6, weight_decay=0.02)),
    ("nadam", torch.optim.NAdam, dict(lr=0.02)),
    ("nadam_decayed", torch.optim.NAdam,
     dict(lr=0.02, betas=(0.8, 0.95), momentum_decay=0.05, weight_decay=0.02)),
]

for name, optimizer, options in CASES:
    w = torch.tensor([math.sin(i) for i in range(5)], dtype=torch.float64, requires_grad=True)
    o = optimizer([w], **options)
    for t in range(1, 6):
        slope = torch.tensor([0.3 * math.sin((i + 1) * t) - 0.1 for i in range(5)], dtype=torch.float64)
        w.grad = w.detach() + slope
        o.step()
    print(f"{name}: {{{', '.join('%.17g' % x for x in w.tolist())}}}")
