// SPDX-License-Identifier: MIT
#include "bench.h"

extern const bench_row bench_mlp, bench_mlp_small, bench_cnn, bench_resnet, bench_darts, bench_gpt, bench_gnn,
    bench_double, bench_gfn, bench_lion, bench_adamw, bench_knn, bench_sgemm, bench_sgemm_layer,
    bench_sgemm_openblas, bench_sgemm_layer_openblas, bench_call, bench_call_add;

const bench_row *const bench_rows[] = {
    &bench_mlp,
    &bench_mlp_small,
    &bench_cnn,
    &bench_resnet,
    &bench_darts,
    &bench_gpt,
    &bench_gnn,
    &bench_double,
    &bench_gfn,
    &bench_lion,
    &bench_adamw,
    &bench_knn,
    &bench_sgemm,
    &bench_sgemm_layer,
    &bench_sgemm_openblas,
    &bench_sgemm_layer_openblas,
    &bench_call,
    &bench_call_add,
    NULL,
};
