# SPDX-License-Identifier: MIT
"""mnist.py mlp|cnn DATA: the pipelines examples/mnist-*.ini in PyTorch, as a person would write them: accuracy and seconds.

The same network, batches, epochs, optimizer and schedule; the images lie in memory as one tensor."""
import gzip
import os
import sys
import time

import numpy
import torch
from torch import nn

BATCH = 128


def idx(path):
    with gzip.open(path) as file:
        data = file.read()
    sizes = [int.from_bytes(data[4 + 4 * i:8 + 4 * i], "big") for i in range(data[3])]
    return torch.from_numpy(numpy.frombuffer(data, numpy.uint8, offset=4 + 4 * data[3]).reshape(sizes).copy())


def load(folder, part):
    images = idx(os.path.join(folder, "mnist", f"{part}-images-idx3-ubyte.gz")).float().div_(255).unsqueeze(1)
    return images, idx(os.path.join(folder, "mnist", f"{part}-labels-idx1-ubyte.gz")).long()


def mlp():
    return nn.Sequential(nn.Flatten(), nn.Linear(784, 512), nn.ReLU(), nn.Dropout(0.2), nn.Linear(512, 256), nn.ReLU(),
                         nn.Dropout(0.2), nn.Linear(256, 10)), 1e-3, 8


def cnn():
    def block(inputs, outputs):
        return nn.Conv2d(inputs, outputs, 5, padding=2), nn.BatchNorm2d(outputs), nn.ReLU(), nn.MaxPool2d(2)

    return nn.Sequential(*block(1, 16), *block(16, 32), nn.Flatten(), nn.Dropout(0.3), nn.Linear(32 * 49, 128), nn.ReLU(),
                         nn.Linear(128, 10)), 3e-3, 4


def main():
    start = time.time()
    torch.manual_seed(1)
    net, lr, epochs = {"mlp": mlp, "cnn": cnn}[sys.argv[1]]()
    images, labels = load(sys.argv[2], "train")
    optimizer = torch.optim.AdamW(net.parameters(), lr=lr, weight_decay=0.01)
    steps = epochs * -(-len(images) // BATCH)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    for _ in range(epochs):
        for rows in torch.randperm(len(images)).split(BATCH):
            optimizer.zero_grad(set_to_none=True)
            nn.functional.cross_entropy(net(images[rows]), labels[rows]).backward()
            optimizer.step()
            schedule.step()
    net.eval()
    images, labels = load(sys.argv[2], "t10k")
    with torch.no_grad():
        right = sum((net(x).argmax(1) == y).sum().item() for x, y in zip(images.split(512), labels.split(512)))
    print(f"accuracy {right / len(images):.4f}  {time.time() - start:.1f} s")


main()
