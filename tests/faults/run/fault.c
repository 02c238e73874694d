// SPDX-License-Identifier: MIT
/* A stage that goes wrong in its third step, in one of the ways in which plugins do; compiled with REPAIRED it
 * goes well. */
#include <signal.h>
#include <stdlib.h>
#include <tenon/stage.h>

struct fault {
  int32_t way;
  int64_t step;
};
enum { CRASH, ABORT, OVERFLOW, EXIT, LOOP, HEAP, KILL, GREED, NONE, DIVIDE };
static const tn_param fault_params[] = {
    TN_CHOICE(struct fault, way, "crash", "crash|abort|overflow|exit|loop|heap|kill|greed|none|divide",
              "what goes wrong"),
};

/* Every call needs a frame that the compiler cannot do without. */
static int deeper(volatile char *above, int depth) {
  volatile char frame[4096];
  frame[0] = above ? above[0] : 0;
  return depth < 0 ? 0 : deeper(frame, depth + 1) + frame[0];
}

static tn_status fault_check(void *self) { return (void)self, TN_OK; }
static tn_status fault_begin(void *self) { return ((struct fault *)self)->step = 0, TN_OK; }

/* Everything that is in the heap, and then a crash. */
static void destroy_heap(void) {
  volatile char *at = malloc(64);
  for (size_t i = 0;; i++) at[i] = (char)0xa5;
}

static tn_status fault_step(void *self) {
  struct fault *fault = self;
  if (++fault->step < 3) return TN_OK;
#ifdef REPAIRED
  fault->way = NONE;
#endif
  switch (fault->way) {
  case CRASH: *(volatile int *)(uintptr_t)0x10 = 1; break;
  case ABORT: abort();
  case OVERFLOW: return deeper(NULL, 0);
  case EXIT: exit(0);
  case LOOP:
    for (volatile int always = 1; always;) continue;
    break;
  case HEAP: destroy_heap(); break;
  case KILL: raise(SIGKILL); break;
  case GREED: return tn_alloc((size_t)1 << 32) ? TN_DONE : TN_ERROR_MEMORY;
  case DIVIDE: {
    volatile int seven = 7, zero = 0;
    return seven / zero;
  }
  default: break;
  }
  return fault->step < 6 ? TN_OK : TN_DONE;
}
static tn_status fault_state(void *self, const tn_visitor *visitor) {
  return tn_visit_integer(visitor, "step", &((struct fault *)self)->step);
}

static const tn_stage fault_table = {sizeof fault_table, fault_check, fault_begin, fault_step, NULL, NULL};
static const tn_class fault_class = {.size = sizeof(tn_class),
                                     .kind = TN_STAGE,
                                     .name = "fault",
                                     .summary = "Goes wrong in its third step",
                                     TN_CLASS_PARAMS(fault_params),
                                     .instance_size = sizeof(struct fault),
                                     .vtable = &fault_table,
                                     .state = fault_state};
TN_PLUGIN("fault", "1.0.0", "MIT", &fault_class)
