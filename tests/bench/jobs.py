# SPDX-License-Identifier: MIT
"""What is measured: the rows, their jobs, who the peers are and what the hardware would allow."""
from dataclasses import dataclass


@dataclass(frozen=True)
class Job:
    row: str
    name: str  # of tenon's side
    unit: str
    text: str
    peers: tuple = ("torch",)  # libraries, the first one under the job's own name in peers.py
    limit: str = ""            # the machine's rate that bounds it: "sgemm" or "memory"

    def peer_job(self, library):
        return self.name if library == "torch" else f"{self.name}_{library}"


JOBS = (
    Job("start", "start", "s", "a process: start, load plugins, one training step of 64-32-10, write results, exit "
        "(PyTorch: import, the same step, exit)"),
    Job("mlp", "mlp", "samples/s", "784-512-256-10, ReLU, batch 128, cross-entropy, AdamW"),
    Job("mlp_small", "mlp_small", "steps/s", "2-64-64-1, tanh, batch 32, squared error, Adam"),
    Job("cnn", "cnn", "samples/s", "28x28x1: conv 32, conv 64, pool, conv 64, pool, 128, 10, batch norm, batch 64, SGD "
        "with momentum"),
    Job("resnet", "resnet", "samples/s", "32x32x3: ResNet-8 of 16, 32, 64 channels, batch 64, SGD with momentum"),
    Job("darts", "darts", "steps/s", "first-order DARTS supernet: 8 channels, 4 cells of 4 nodes, 8 operations, batch 32 "
        "of 32x32x3; an architecture step and a weight step"),
    Job("gpt", "gpt", "tokens/s", "4 layers of width 128, 4 heads, context 64, batch 16, vocabulary 65, AdamW"),
    Job("gnn", "gnn", "graphs/s", "GIN, 4 layers of 64, 64 graphs of 30 nodes and 60 edges, Adam"),
    Job("double", "double", "steps/s", "gradient matching: 3-conv net with instance norm, 10 synthetic and 64 real images"),
    Job("gfn", "gfn", "trajectories/s", "trajectory balance on an 8x8x8x8 hypergrid, MLP 256-256, 16 trajectories, Adam"),
    Job("lion", "lion", "GB/s", "one step over 10 million parameters, 20 bytes each", limit="memory"),
    Job("adamw", "adamw", "GB/s", "one step over 10 million parameters, 28 bytes each", limit="memory"),
    Job("knn", "knn", "queries/s", "10 nearest of 50,000 by cosine, 512 dimensions, 10,000 queries",
        peers=("torch", "faiss", "sklearn"), limit=""),
    Job("sgemm", "sgemm", "GFLOP/s", "1024 x 1024 x 1024 (openblas: called directly)", peers=("torch", "openblas"),
        limit="sgemm"),
    Job("sgemm", "sgemm_layer", "GFLOP/s", "128 x 512 x 784", peers=("torch", "openblas"), limit="sgemm"),
    Job("call", "call", "ns", "one call of a plugin's function through its table", peers=()),
    Job("call", "call_add", "ns", "two tensors of 4 elements added, recorded, differentiated"),
)


def select(names):
    """The jobs of the rows or jobs called `names`; all if there are none."""
    known = {name for job in JOBS for name in (job.row, job.name)}
    for name in names:
        if name not in known:
            raise SystemExit(f"error: no row '{name}'; there are: {', '.join(dict.fromkeys(job.row for job in JOBS))}")
    return [job for job in JOBS if not names or job.row in names or job.name in names]
