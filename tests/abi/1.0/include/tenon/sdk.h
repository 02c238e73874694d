// SPDX-License-Identifier: MIT
/* The tables of functions that the host hands over at load time. `tn_sdk` keeps them, one copy a plugin,
 * invisible to others; the service headers wrap them in inline functions, so that method code says
 * tn_matmul(a, b) and links nothing. */
#ifndef TENON_SDK_H
#define TENON_SDK_H

#include <tenon/abi.h>
#include <tenon/component.h>
#include <tenon/schema.h>

struct tn_log_service;
struct tn_tensor_service;
struct tn_autograd_service;
struct tn_params_service;
struct tn_linalg_service;
struct tn_random_service;
struct tn_data_service;
struct tn_report_service;
struct tn_pipeline_service;
struct tn_expression_service;
struct tn_comm_service;
struct tn_nn_service;

typedef struct tn_sdk_tables {
  const tn_host *host;
  const struct tn_log_service *log;
  const struct tn_tensor_service *tensor;
  const struct tn_autograd_service *autograd;
  const struct tn_params_service *params;
  const struct tn_linalg_service *linalg;
  const struct tn_random_service *random;
  const struct tn_data_service *data;
  const struct tn_report_service *report;
  const struct tn_pipeline_service *pipeline;
  const struct tn_expression_service *expression;
  const struct tn_comm_service *comm;
  const struct tn_nn_service *nn;
} tn_sdk_tables;
TN_EXTERN_C TN_HIDDEN tn_sdk_tables tn_sdk;

#endif
