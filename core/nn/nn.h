// SPDX-License-Identifier: MIT
/* The neural-network operations inside the host: the service's table. */
#ifndef TENON_NN_NN_H
#define TENON_NN_NN_H

#include <tenon/nn.h>

extern const tn_nn_service tn_nn_table;

#endif
