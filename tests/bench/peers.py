#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The jobs of the benchmark as a user of PyTorch, faiss or scikit-learn writes them.

peers.py versions       the libraries that are here
peers.py start          row `start`: one training step, then the end
peers.py JOB THREADS    sets the job up, warms it, says "ready", and answers each line "SECONDS cpu|wall" of standard
                        input by running steps for so long: "rate". At the end of input: "peak KILOBYTES"."""
import importlib
import math
import sys
import time

WARM_STEPS = 3
JOBS = {}


def job(function):
    """A job: a function that returns a step and how much work one step is."""
    JOBS[function.__name__] = function
    return function


def libraries():
    global torch, nn, F
    import torch
    import torch.nn as nn
    import torch.nn.functional as F


def training(net, optimizer, x, y, loss):
    def step():
        optimizer.zero_grad(set_to_none=True)
        loss(net(x), y).backward()
        optimizer.step()
    return step


def classify(net, optimizer, x, classes=10):
    y = torch.randint(0, classes, (len(x),))
    return training(net, optimizer, x, y, F.cross_entropy), len(x)


def perceptron(*widths, activation):
    layers = []
    for i, o in zip(widths, widths[1:]):
        layers += [nn.Linear(i, o), activation()]
    return nn.Sequential(*layers[:-1])


def momentum(net):
    return torch.optim.SGD(net.parameters(), 0.05, momentum=0.9)


# Training loops.

def start():
    net = perceptron(64, 32, 10, activation=nn.ReLU)
    step, _ = classify(net, torch.optim.SGD(net.parameters(), 0.1), torch.randn(32, 64))
    step()


@job
def mlp():
    net = perceptron(784, 512, 256, 10, activation=nn.ReLU)
    return classify(net, torch.optim.AdamW(net.parameters(), 1e-3), torch.randn(128, 784))


@job
def mlp_small():
    net = perceptron(2, 64, 64, 1, activation=nn.Tanh)
    adam = torch.optim.Adam(net.parameters(), 1e-3)
    return training(net, adam, torch.randn(32, 2), torch.randn(32, 1), F.mse_loss), 1


def conv_norm(i, o, stride=1, kernel=3):
    return nn.Sequential(nn.Conv2d(i, o, kernel, stride, kernel // 2, bias=False), nn.BatchNorm2d(o))


def conv_norm_relu(i, o, stride=1):
    return nn.Sequential(*conv_norm(i, o, stride), nn.ReLU())


@job
def cnn():
    net = nn.Sequential(conv_norm_relu(1, 32), conv_norm_relu(32, 64), nn.MaxPool2d(2), conv_norm_relu(64, 64),
                        nn.MaxPool2d(2), nn.Flatten(), nn.Linear(64 * 7 * 7, 128), nn.ReLU(), nn.Linear(128, 10))
    return classify(net, momentum(net), torch.randn(64, 1, 28, 28))


@job
def resnet():
    class Block(nn.Module):
        def __init__(self, i, o, stride):
            super().__init__()
            self.body = nn.Sequential(*conv_norm_relu(i, o, stride), *conv_norm(o, o))
            self.shortcut = conv_norm(i, o, stride, 1) if i != o or stride != 1 else nn.Identity()

        def forward(self, x):
            return F.relu(self.body(x) + self.shortcut(x))

    net = nn.Sequential(conv_norm_relu(3, 16), Block(16, 16, 1), Block(16, 32, 2), Block(32, 64, 2),
                        nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(64, 10))
    return classify(net, momentum(net), torch.randn(64, 3, 32, 32))


@job
def darts():
    """Supernet of Liu et al. 2019: 8 channels, 4 cells of 4 nodes, cells 1 and 2 reduce."""
    def plain_norm(c):
        return nn.BatchNorm2d(c, affine=False)

    def separable(c, kernel, stride, dilation=1):
        padding = dilation * (kernel - 1) // 2
        return [nn.ReLU(), nn.Conv2d(c, c, kernel, stride, padding, dilation, groups=c, bias=False),
                nn.Conv2d(c, c, 1, bias=False), plain_norm(c)]

    class Reduction(nn.Module):
        def __init__(self, i, o):
            super().__init__()
            self.left, self.right = (nn.Conv2d(i, o // 2, 1, 2, bias=False) for _ in range(2))
            self.norm = plain_norm(o)

        def forward(self, x):
            x = F.relu(x)
            return self.norm(torch.cat([self.left(x), self.right(x[:, :, 1:, 1:])], 1))

    class Zero(nn.Module):
        def __init__(self, stride):
            super().__init__()
            self.stride = stride

        def forward(self, x):
            return 0.0 * x[:, :, ::self.stride, ::self.stride]

    class Edge(nn.ModuleList):
        def __init__(self, c, s):
            skip = nn.Identity() if s == 1 else Reduction(c, c)
            pools = nn.MaxPool2d(3, s, 1), nn.AvgPool2d(3, s, 1, count_include_pad=False)
            super().__init__([Zero(s), *(nn.Sequential(pool, plain_norm(c)) for pool in pools), skip,
                              *(nn.Sequential(*separable(c, k, s), *separable(c, k, 1)) for k in (3, 5)),
                              *(nn.Sequential(*separable(c, k, s, 2)) for k in (3, 5))])

        def forward(self, x, mix):
            return sum(share * operation(x) for share, operation in zip(mix, self))

    class Cell(nn.Module):
        def __init__(self, before_last, last, c, reduces, after_reduction):
            super().__init__()
            def align(i):
                return nn.Sequential(nn.ReLU(), nn.Conv2d(i, c, 1, bias=False), plain_norm(c))
            self.reduces = reduces
            self.first = Reduction(before_last, c) if after_reduction else align(before_last)
            self.second = align(last)
            self.edges = nn.ModuleList(Edge(c, 2 if reduces and source < 2 else 1)
                                       for node in range(4) for source in range(2 + node))

        def forward(self, before_last, last, mixes):
            states, edges = [self.first(before_last), self.second(last)], zip(self.edges, mixes)
            for node in range(4):
                states.append(sum(edge(h, mix) for h, (edge, mix) in zip(list(states), edges)))
            return torch.cat(states[2:], 1)

    class Supernet(nn.Module):
        def __init__(self):
            super().__init__()
            c, before_last, last, after = 8, 24, 24, False
            self.stem, self.cells = conv_norm(3, 24), nn.ModuleList()
            for i in range(4):
                reduces = i in (1, 2)
                c = 2 * c if reduces else c
                self.cells.append(Cell(before_last, last, c, reduces, after))
                before_last, last, after = last, 4 * c, reduces
            self.head = nn.Linear(last, 10)
            self.architecture = nn.ParameterList(nn.Parameter(1e-3 * torch.randn(14, 8)) for _ in range(2))

        def forward(self, x):
            a = b = self.stem(x)
            for cell in self.cells:
                a, b = b, cell(a, b, F.softmax(self.architecture[int(cell.reduces)], -1))
            return self.head(b.mean((2, 3)))

    net = Supernet()
    weights = [p for name, p in net.named_parameters() if not name.startswith("architecture")]
    sgd = torch.optim.SGD(weights, 0.025, momentum=0.9, weight_decay=3e-4)
    adam = torch.optim.Adam(net.architecture.parameters(), 3e-4, betas=(0.5, 0.999), weight_decay=1e-3)
    x, y = torch.randn(32, 3, 32, 32), torch.randint(0, 10, (32,))

    def step():
        adam.zero_grad(set_to_none=True)
        F.cross_entropy(net(x), y).backward()
        adam.step()
        sgd.zero_grad(set_to_none=True)
        F.cross_entropy(net(x), y).backward()
        nn.utils.clip_grad_norm_(weights, 5)
        sgd.step()
    return step, 1


@job
def gpt():
    vocabulary, width, heads, layers, context, batch = 65, 128, 4, 4, 64, 16
    hidden = torch.ones(context, context, dtype=torch.bool).triu(1)

    class Block(nn.Module):
        def __init__(self):
            super().__init__()
            self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
            self.qkv, self.projection = nn.Linear(width, 3 * width), nn.Linear(width, width)
            self.mlp = nn.Sequential(nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width))

        def forward(self, x):
            qkv = self.qkv(self.norm1(x)).view(batch, context, 3, heads, width // heads)
            q, k, v = qkv.permute(2, 0, 3, 1, 4)
            scores = q @ k.transpose(2, 3) / math.sqrt(width // heads)
            mixed = scores.masked_fill(hidden, -math.inf).softmax(3) @ v
            x = x + self.projection(mixed.transpose(1, 2).reshape(batch, context, width))
            return x + self.mlp(self.norm2(x))

    class Model(nn.Module):
        def __init__(self):
            super().__init__()
            self.token, self.position = nn.Embedding(vocabulary, width), nn.Embedding(context, width)
            self.body = nn.Sequential(*(Block() for _ in range(layers)), nn.LayerNorm(width),
                                      nn.Linear(width, vocabulary))

        def forward(self, tokens):
            return self.body(self.token(tokens) + self.position.weight).flatten(0, 1)

    net = Model()
    x, y = torch.randint(0, vocabulary, (batch, context)), torch.randint(0, vocabulary, (batch * context,))
    adamw = torch.optim.AdamW(net.parameters(), 1e-3)
    return training(net, adamw, x, y, F.cross_entropy), batch * context


@job
def gnn():
    graphs, nodes, edges, width = 64, 30, 60, 64
    first = torch.arange(graphs)[:, None] * nodes
    source, target = ((torch.randint(0, nodes, (graphs, edges)) + first).flatten() for _ in range(2))
    graph = torch.arange(graphs).repeat_interleave(nodes)

    class GIN(nn.Module):
        def __init__(self):
            super().__init__()
            self.layers = nn.ModuleList(nn.Sequential(nn.Linear(i, width), nn.BatchNorm1d(width), nn.ReLU(),
                                                      nn.Linear(width, width), nn.ReLU()) for i in (7, 64, 64, 64))
            self.head = nn.Linear(width, 2)

        def forward(self, h):
            for layer in self.layers:
                h = layer(h + torch.zeros_like(h).index_add_(0, target, h[source]))
            return self.head(torch.zeros(graphs, width).index_add_(0, graph, h))

    net, x, y = GIN(), torch.randn(graphs * nodes, 7), torch.randint(0, 2, (graphs,))
    return training(net, torch.optim.Adam(net.parameters(), 1e-2), x, y, F.cross_entropy), graphs


# Derivatives of derivatives, and sampling inside the step.

@job
def double():
    """Gradient matching (Zhao et al. 2021): the gradient of a distance between gradients."""
    width, layers = 32, []
    for i in (1, width, width):
        layers += [nn.Conv2d(i, width, 3, 1, 1), nn.GroupNorm(width, width), nn.ReLU(), nn.AvgPool2d(2)]
    net = nn.Sequential(*layers, nn.Flatten(), nn.Linear(width * 9, 10))
    synthetic, labels = torch.randn(10, 1, 28, 28, requires_grad=True), torch.arange(10)
    real, real_labels = torch.randn(64, 1, 28, 28), torch.randint(0, 10, (64,))
    sgd = torch.optim.SGD([synthetic], 0.1, momentum=0.5)
    weights = list(net.parameters())

    def gradients(x, y, **options):
        return torch.autograd.grad(F.cross_entropy(net(x), y), weights, **options)

    def step():
        goal = gradients(real, real_labels)
        got = gradients(synthetic, labels, create_graph=True)
        distance = sum((1 - F.cosine_similarity(a.flatten(1), b.flatten(1), eps=1e-6)).sum()
                       for a, b in zip(got, goal) if a.dim() > 1)
        sgd.zero_grad(set_to_none=True)
        distance.backward(inputs=[synthetic])
        sgd.step()
    return step, 1


@job
def gfn():
    """Trajectory balance on the hypergrid of Bengio et al. 2021, 8 to the power of 4."""
    dims, side, batch = 4, 8, 16
    net = perceptron(dims * side, 256, 256, 2 * dims + 1, activation=nn.LeakyReLU)
    log_z = nn.Parameter(torch.zeros(()))
    adam = torch.optim.Adam([{"params": net.parameters(), "lr": 1e-3}, {"params": [log_z], "lr": 0.1}])
    may_stop, zeros = torch.zeros(batch, 1, dtype=torch.bool), torch.zeros(batch)

    def reward(state):
        x = (state.float() / (side - 1) * 2 - 1).abs()
        return 0.1 + 0.5 * (x > 0.5).all(1).float() + 2.0 * ((x > 0.6) & (x < 0.8)).all(1).float()

    def step():
        state, done = torch.zeros(batch, dims, dtype=torch.long), torch.zeros(batch, dtype=torch.bool)
        balance, action = log_z.expand(batch), None
        while not done.all():
            forward, backward = net(F.one_hot(state, side).flatten(1).float()).split([dims + 1, dims], 1)
            forward = forward.masked_fill(torch.cat([state == side - 1, may_stop], 1), -1e9).log_softmax(1)
            if action is not None:
                backward = backward.masked_fill(state == 0, -1e9).log_softmax(1)
                came_from = backward.gather(1, action.clamp(max=dims - 1)[:, None])[:, 0]
                balance = balance - torch.where(done, zeros, came_from)
            action = forward.detach().exp().multinomial(1)[:, 0]
            balance = balance + torch.where(done, zeros, forward.gather(1, action[:, None])[:, 0])
            done = done | (action == dims)
            state = state + F.one_hot(action, dims + 1)[:, :dims] * ~done[:, None]
        loss = (balance - reward(state).log()).square().mean()
        adam.zero_grad(set_to_none=True)
        loss.backward()
        adam.step()
    return step, batch


# Optimizers over ten million parameters, in gigabytes of what a step must read and write.

def parameters():
    weights = [nn.Parameter(torch.randn(1000, 1000)) for _ in range(10)]
    for w in weights:
        w.grad = torch.randn_like(w)
    return weights


@job
def adamw():
    return torch.optim.AdamW(parameters(), 1e-4, weight_decay=0.01, foreach=True).step, 10e6 * 28e-9


@job
def lion():
    weights = parameters()
    values, gradients = [w.data for w in weights], [w.grad for w in weights]
    momenta = [torch.zeros_like(v) for v in values]

    @torch.no_grad()
    def step():
        torch._foreach_mul_(values, 1 - 1e-4 * 0.01)
        update = torch._foreach_add(torch._foreach_mul(momenta, 0.9), gradients, alpha=0.1)
        for u in update:
            u.sign_()
        torch._foreach_add_(values, update, alpha=-1e-4)
        torch._foreach_mul_(momenta, 0.99)
        torch._foreach_add_(momenta, gradients, alpha=0.01)
    return step, 10e6 * 20e-9


# Search and single operations.

def keys_and_queries():
    return F.normalize(torch.randn(50000, 512)), F.normalize(torch.randn(10000, 512))


@job
def knn():
    keys, queries = keys_and_queries()

    def step():
        for part in queries.split(1000):
            (part @ keys.t()).topk(10, 1)
    return step, len(queries)


@job
def knn_faiss():
    import faiss
    import numpy
    faiss.omp_set_num_threads(THREADS)
    random = numpy.random.default_rng(0)
    keys, queries = (random.standard_normal((n, 512), numpy.float32) for n in (50000, 10000))
    for x in keys, queries:
        faiss.normalize_L2(x)
    index = faiss.IndexFlatIP(512)
    index.add(keys)
    return lambda: index.search(queries, 10), len(queries)


@job
def knn_sklearn():
    import numpy
    from sklearn.neighbors import NearestNeighbors
    random = numpy.random.default_rng(0)
    keys, queries = (random.standard_normal((n, 512), numpy.float32) for n in (50000, 10000))
    search = NearestNeighbors(n_neighbors=10, metric="cosine", algorithm="brute").fit(keys)
    return lambda: search.kneighbors(queries), len(queries)


def product(m, n, k):
    x, y = torch.randn(m, k), torch.randn(k, n)
    return lambda: x @ y, 2e-9 * m * n * k


@job
def sgemm():
    return product(1024, 1024, 1024)


@job
def sgemm_layer():
    return product(128, 512, 784)


@job
def call_add():
    x, y, ones = torch.randn(4), torch.randn(4), torch.ones(4)

    def step():
        for _ in range(1000):
            variable = x.detach().requires_grad_()
            torch.autograd.grad(variable + y, variable, ones)
    return step, 1000


# Talking to `run`.

def measure(step, work, seconds, clock):
    steps, begin, elapsed = 0, clock(), 0.0
    while elapsed < seconds:
        step()
        steps += 1
        elapsed = clock() - begin
    return steps * work / elapsed


def peak_kilobytes():
    with open("/proc/self/status") as status:
        return next(line.split()[1] for line in status if line.startswith("VmHWM:"))


def versions():
    for name in "torch", "faiss", "sklearn":
        try:
            print(name, importlib.import_module(name).__version__)
        except ImportError:
            pass


def serve(name):
    if name not in ("knn_faiss", "knn_sklearn"):
        libraries()
        torch.set_num_threads(THREADS)
        torch.manual_seed(0)
    step, work = JOBS[name]()
    begin = time.perf_counter()
    for _ in range(WARM_STEPS):
        step()
        if time.perf_counter() - begin > 1:
            break
    print("ready", flush=True)
    for line in sys.stdin:
        seconds, clock = line.split()
        rate = measure(step, work, float(seconds), time.process_time if clock == "cpu" else time.perf_counter)
        print(f"{rate:.9g}", flush=True)
    print("peak", peak_kilobytes())


if __name__ == "__main__":
    name = sys.argv[1] if len(sys.argv) > 1 else ""
    THREADS = int(sys.argv[2]) if len(sys.argv) > 2 else 1
    if name == "versions":
        versions()
    elif name == "start":
        libraries()
        start()
    elif name in JOBS:
        serve(name)
    else:
        sys.exit(f"error: no job '{name}'; there are: {', '.join(sorted(JOBS))}")
