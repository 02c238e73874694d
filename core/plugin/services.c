// SPDX-License-Identifier: MIT
#include "core/plugin/services.h"
#include "core/expression/expression.h"
#include "core/nn/nn.h"
#include "core/plugin/host.h"
#include "core/tensor/engine.h"
#include <pthread.h>
#include <string.h>

typedef struct service {
  const char *id;
  const void *table;
} service;

static const service own[] = {
    {TN_LOG_SERVICE, &tn_log_table},
    {TN_TENSOR_SERVICE, &tn_tensor_table},
    {TN_AUTOGRAD_SERVICE, &tn_autograd_table},
    {TN_PARAMS_SERVICE, &tn_params_table},
    {TN_LINALG_SERVICE, &tn_linalg_table},
    {TN_RANDOM_SERVICE, &tn_random_table},
    {TN_DATA_SERVICE, &tn_data_table},
    {TN_EXPRESSION_SERVICE, &tn_expression_table},
    {TN_NN_SERVICE, &tn_nn_table},
};

/* Constant tables of the program, the same for every host in the process. */
enum { MAX_ADDED = 32 };
static service added[MAX_ADDED];
static uint32_t added_count;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static service *find_added(const char *id) {
  for (uint32_t i = 0; i < added_count; i++)
    if (strcmp(added[i].id, id) == 0) return &added[i];
  return NULL;
}

const void *tn_service_find(const char *id) {
  pthread_mutex_lock(&lock);
  const service *found = find_added(id);
  const void *table = found ? found->table : NULL;
  pthread_mutex_unlock(&lock);
  for (uint32_t i = 0; !table && i < TN_ARRAY_LENGTH(own); i++)
    if (strcmp(own[i].id, id) == 0) table = own[i].table;
  return table;
}

bool tn_service_add(const char *id, const void *table) {
  pthread_mutex_lock(&lock);
  service *found = find_added(id);
  bool new = !found || found->table != table;
  if (found)
    found->table = table;
  else if (added_count < MAX_ADDED)
    added[added_count++] = (service){id, table};
  pthread_mutex_unlock(&lock);
  return new;
}
