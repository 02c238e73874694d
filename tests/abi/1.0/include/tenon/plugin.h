// SPDX-License-Identifier: MIT
/* What every plugin includes (each kind's header includes it): the ABI, the services, and TN_PLUGIN.
 *
 * Several source files may make one plugin: all include this, one says TN_PLUGIN. */
#ifndef TENON_PLUGIN_H
#define TENON_PLUGIN_H

#include <tenon/log.h>
#include <tenon/tensor.h>
#include <tenon/nn.h>
#include <tenon/autograd.h>
#include <tenon/params.h>
#include <tenon/random.h>
#include <tenon/linalg.h>
#include <tenon/data.h>
#include <tenon/expression.h>
#include <tenon/report.h>
#include <tenon/pipeline.h>
#include <tenon/comm.h>

/* Fetches the tables; what TN_PLUGIN's load does before anything else. */
static inline tn_status tn_sdk_connect(tn_sdk_tables *sdk, const tn_host *host) {
  sdk->host = host;
  sdk->log = (const struct tn_log_service *)host->get_service(TN_LOG_SERVICE);
  sdk->tensor = (const struct tn_tensor_service *)host->get_service(TN_TENSOR_SERVICE);
  sdk->autograd = (const struct tn_autograd_service *)host->get_service(TN_AUTOGRAD_SERVICE);
  sdk->params = (const struct tn_params_service *)host->get_service(TN_PARAMS_SERVICE);
  sdk->linalg = (const struct tn_linalg_service *)host->get_service(TN_LINALG_SERVICE);
  sdk->random = (const struct tn_random_service *)host->get_service(TN_RANDOM_SERVICE);
  sdk->data = (const struct tn_data_service *)host->get_service(TN_DATA_SERVICE);
  sdk->report = (const struct tn_report_service *)host->get_service(TN_REPORT_SERVICE);
  sdk->pipeline = (const struct tn_pipeline_service *)host->get_service(TN_PIPELINE_SERVICE);
  sdk->expression = (const struct tn_expression_service *)host->get_service(TN_EXPRESSION_SERVICE);
  sdk->comm = (const struct tn_comm_service *)host->get_service(TN_COMM_SERVICE);
  sdk->nn = (const struct tn_nn_service *)host->get_service(TN_NN_SERVICE);
  return TN_OK;
}

/* Entering and leaving a function of another component, for the host's messages and profile. The wrappers of
 * the kinds use them around every call: two loads and two stores. */
static inline tn_call_stack *tn_enter(const tn_component *component, const char *function) {
  tn_call_stack *stack = tn_sdk.host->call_stack();
  tn_call *call = &stack->calls[stack->depth++ % TN_CALL_DEPTH];
  call->component = component;
  call->function = function;
  if (stack->hook) stack->hook(stack, true);
  return stack;
}
static inline void tn_leave(tn_call_stack *stack) {
  if (stack->hook) stack->hook(stack, false);
  stack->depth--;
}

/* The exported symbol. In exactly one file of the plugin:
 *     TN_PLUGIN("lion", "1.0.0", "MIT", &lion_class)
 * Several classes: TN_PLUGIN("losses", "1.0.0", "MIT", &cross_entropy_class, &squared_error_class). */
#define TN_PLUGIN(plugin_name, plugin_version, plugin_licence, ...)                              \
  TN_HIDDEN tn_sdk_tables tn_sdk;                                                                \
  static const tn_class *const tn_plugin_classes[] = {__VA_ARGS__};                              \
  static tn_status tn_plugin_load(const tn_host *host) { return tn_sdk_connect(&tn_sdk, host); } \
  TN_EXTERN_C TN_EXPORT const tn_plugin tenon_plugin;                                            \
  const tn_plugin tenon_plugin = {sizeof(tn_plugin),                                             \
                                  TN_ABI_MAJOR,                                                  \
                                  TN_ABI_MINOR,                                                  \
                                  plugin_name,                                                   \
                                  plugin_version,                                                \
                                  plugin_licence,                                                \
                                  tn_plugin_classes,                                             \
                                  TN_ARRAY_LENGTH(tn_plugin_classes),                            \
                                  0,                                                             \
                                  tn_plugin_load,                                                \
                                  NULL};

#endif
