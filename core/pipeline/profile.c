// SPDX-License-Identifier: MIT
#include "core/pipeline/profile.h"
#include "core/config/kind.h"
#include "core/config/memory.h"
#include "core/pipeline/internal.h"
#include "core/report/event_log.h"
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

enum {
  SLOTS = 1024,          /* of the hash tables, a power of two; what does not fit is left out */
  MOST_EVENTS = 1000000, /* in the trace file: some 100 MB, what browsers still show */
  SHOWN_ROWS = 30
};

/* A line of a table: a function of a component, or an operation. */
typedef struct cost {
  const void *who;  /* the component; NULL: an operation */
  const char *what; /* constant text: function or operation */
  uint64_t calls;
  double total, self; /* seconds; self: without the components called from it */
  double operations;  /* seconds inside the engine's operations, of self */
  double bytes;       /* of the operations' outputs */
} cost;

typedef struct frame {
  double begin, inside; /* inside: spent in components called from here */
  double operations, bytes;
} frame;

typedef struct stage_memory {
  const char *name;
  double seconds, begin;
  size_t high;
} stage_memory;

struct tn_profile {
  tn_context *context;
  tn_engine *engine;
  pthread_t owner;
  double began, ended;
  cost components[SLOTS], operations[SLOTS];
  frame frames[TN_CALL_DEPTH];
  stage_memory *stages;
  uint32_t stage_count, stage_room;
  FILE *trace;
  char *trace_name;
  uint64_t events, dropped;
};

/* One profile a thread: hooks have no argument of their own. */
static _Thread_local tn_profile *taking;

/* Equal texts may be at several places: each plugin has its own. */
static cost *find(cost *table, const void *who, const char *what) {
  uint64_t h = (uint64_t)(uintptr_t)who;
  for (const char *c = what; *c; c++) h = (h ^ (uint8_t)*c) * 0x100000001b3u; /* FNV-1a */
  h *= 0x9e3779b97f4a7c15u;
  for (uint32_t i = 0; i < SLOTS; i++) {
    cost *at = &table[((h >> 48) + i) & (SLOTS - 1)];
    if (at->calls > 0 && at->who == who && strcmp(at->what, what) == 0) return at;
    if (at->calls == 0) {
      at->who = who;
      at->what = what;
      return at;
    }
  }
  return NULL;
}

/* ---- the trace file ---- */

/* One event a line; times in microseconds since the beginning. */
static bool open_event(tn_profile *p, char phase, const char *category, double begin) {
  if (!p->trace) return false;
  if (p->events >= MOST_EVENTS) {
    p->dropped++;
    return false;
  }
  fprintf(p->trace, "%s\n{\"ph\":\"%c\",\"pid\":1,\"tid\":1,\"cat\":\"%s\",\"ts\":%.3f",
          p->events++ ? "," : "", phase, category, 1e6 * (begin - p->began));
  return true;
}

static void write_string(tn_profile *p, const char *text) {
  tn_text quoted = {0};
  tn_json_string(&quoted, text);
  char *own = tn_text_take(&quoted);
  if (own) fputs(own, p->trace);
  free(own);
}

static void component_event(tn_profile *p, const tn_call *call, double begin, double seconds) {
  char name[256];
  if (!open_event(p, 'X', "component", begin)) return;
  snprintf(name, sizeof name, "%s %s", call->component->name, call->function);
  fputs(",\"name\":", p->trace);
  write_string(p, name);
  fprintf(p->trace, ",\"dur\":%.3f}", 1e6 * seconds);
}

static void memory_event(tn_profile *p, double at) {
  if (open_event(p, 'C', "memory", at))
    fprintf(p->trace, ",\"name\":\"tensors\",\"args\":{\"bytes\":%zu}}",
            tn_engine_measure(p->engine).bytes_in_use);
}

/* ---- the hooks ---- */

static void on_call(tn_call_stack *stack, bool entering) {
  tn_profile *p = taking;
  if (!p || stack->depth == 0 || stack->depth > TN_CALL_DEPTH) return;
  frame *f = &p->frames[stack->depth - 1];
  const double now = tn_seconds();
  if (entering) {
    *f = (frame){.begin = now};
    return;
  }
  if (f->begin == 0) return; /* entered before the profile began */
  const tn_call *call = &stack->calls[stack->depth - 1];
  const double seconds = now - f->begin;
  if (stack->depth > 1) p->frames[stack->depth - 2].inside += seconds;
  cost *c = find(p->components, call->component, call->function);
  if (c) {
    c->calls++;
    c->total += seconds;
    c->self += seconds - f->inside;
    c->operations += f->operations;
    c->bytes += f->bytes;
  }
  component_event(p, call, f->begin, seconds);
  if (stack->depth == 1) memory_event(p, now);
}

static void on_operation(void *context, const char *operation, double seconds, size_t bytes,
                         const tn_tensor *output) {
  tn_profile *p = context;
  (void)output;
  if (!pthread_equal(p->owner, pthread_self())) return;
  cost *c = find(p->operations, NULL, operation);
  if (c) {
    c->calls++;
    c->total += seconds;
    c->bytes += (double)bytes;
  }
  const uint32_t depth = p->context->stack.depth;
  if (depth > 0 && depth <= TN_CALL_DEPTH) {
    p->frames[depth - 1].operations += seconds;
    p->frames[depth - 1].bytes += (double)bytes;
  }
  if (open_event(p, 'X', "operation", tn_seconds() - seconds))
    fprintf(p->trace, ",\"name\":\"%s\",\"dur\":%.3f,\"args\":{\"bytes\":%zu}}", operation, 1e6 * seconds,
            bytes);
}

tn_profile *tn_profile_begin(tn_context *context, tn_engine *engine, const char *trace_file,
                             tn_error *error) {
  tn_profile *p = tn_take(sizeof *p);
  p->context = context;
  p->engine = engine;
  p->owner = pthread_self();
  if (trace_file) {
    p->trace_name = tn_copy_text(trace_file);
    p->trace = fopen(trace_file, "w");
    if (!p->trace) {
      tn_error_set(error, TN_ERROR_IO, NULL, 0, "%s: %s", trace_file, strerror(errno));
      tn_profile_free(p);
      return NULL;
    }
    fputs("{\"displayTimeUnit\":\"ms\",\"traceEvents\":[", p->trace);
  }
  p->began = tn_seconds();
  taking = p;
  context->stack.hook = on_call;
  tn_engine_set_trace(engine, on_operation, p);
  return p;
}

void tn_profile_stage_begin(tn_profile *p, const char *name) {
  if (!p) return;
  stage_memory *s = tn_grow(&p->stages, p->stage_count, &p->stage_room, sizeof *s);
  p->stage_count++;
  *s = (stage_memory){.name = name, .begin = tn_seconds()};
  tn_engine_reset_high(p->engine);
}

void tn_profile_stage_end(tn_profile *p) {
  if (!p) return;
  stage_memory *s = &p->stages[p->stage_count - 1];
  s->seconds = tn_seconds() - s->begin;
  s->high = tn_engine_measure(p->engine).bytes_high;
  if (!open_event(p, 'X', "stage", s->begin)) return;
  fputs(",\"name\":", p->trace);
  write_string(p, s->name);
  fprintf(p->trace, ",\"dur\":%.3f}", 1e6 * s->seconds);
}

tn_status tn_profile_end(tn_profile *p, tn_error *error) {
  p->context->stack.hook = NULL;
  tn_engine_set_trace(p->engine, NULL, NULL);
  taking = NULL;
  p->ended = tn_seconds();
  if (!p->trace) return TN_OK;
  fputs("\n]}\n", p->trace);
  const bool wrong = fflush(p->trace) != 0 || ferror(p->trace);
  const int number = errno;
  const bool closed = fclose(p->trace) == 0;
  p->trace = NULL;
  if (!wrong && closed) return TN_OK;
  return tn_error_set(error, TN_ERROR_IO, NULL, 0, "%s: %s", p->trace_name, strerror(wrong ? number : errno));
}

/* ---- the tables ---- */

/* Operations by total, components by self; what never ran comes last. */
static double weight(const cost *c) { return c->calls == 0 ? -1 : c->who ? c->self : c->total; }
static int slower_first(const void *a, const void *b) {
  const double x = weight(*(const cost *const *)a), y = weight(*(const cost *const *)b);
  return (x < y) - (x > y);
}

static uint32_t sorted(const cost *table, const cost **rows) {
  uint32_t count = 0;
  for (uint32_t i = 0; i < SLOTS; i++)
    if (table[i].calls > 0) rows[count++] = &table[i];
  qsort(rows, count, sizeof *rows, slower_first);
  return count;
}

static const char *size_text(double bytes, char *text, size_t room) {
  static const char *const units[] = {"B", "kB", "MB", "GB", "TB"};
  uint32_t unit = 0;
  while (bytes >= 1000 && unit < 4) bytes /= 1000, unit++;
  snprintf(text, room, unit ? "%.1f %s" : "%.0f %s", bytes, units[unit]);
  return text;
}

static void print_components(const tn_profile *p, FILE *to, double seconds) {
  const cost *rows[SLOTS];
  char size[32];
  const uint32_t count = sorted(p->components, rows);
  fprintf(to, "\n%-44s %9s %9s %9s %6s %9s %9s\n", "component", "calls", "total s", "self s", "share",
          "in ops s", "output");
  for (uint32_t i = 0; i < count && i < SHOWN_ROWS; i++) {
    const cost *c = rows[i];
    const tn_component *who = c->who;
    char name[256], full[128], kind[64];
    tn_kind_short_name(who->cls->kind, kind, sizeof kind);
    snprintf(full, sizeof full, "%s.%s", kind, who->cls->name);
    if (strcmp(who->name, full) == 0) /* made from its bare name */
      snprintf(name, sizeof name, "%s %s", full, c->what);
    else
      snprintf(name, sizeof name, "%s%s%s (%s) %s", who->name, *who->part ? ":" : "", who->part, full,
               c->what);
    fprintf(to, "%-44s %9llu %9.3f %9.3f %5.1f%% %9.3f %9s\n", name, (unsigned long long)c->calls, c->total,
            c->self, 100 * c->self / seconds, c->operations, size_text(c->bytes, size, sizeof size));
  }
}

static void print_operations(const tn_profile *p, FILE *to, double seconds) {
  const cost *rows[SLOTS];
  char size[32];
  const uint32_t count = sorted(p->operations, rows);
  double rest = 0, all = 0;
  fprintf(to, "\n%-44s %9s %9s %9s %6s %9s\n", "operation", "calls", "total s", "us/call", "share", "output");
  for (uint32_t i = 0; i < count; i++) {
    const cost *c = rows[i];
    all += c->total;
    if (i >= SHOWN_ROWS) {
      rest += c->total;
      continue;
    }
    fprintf(to, "%-44s %9llu %9.3f %9.1f %5.1f%% %9s\n", c->what, (unsigned long long)c->calls, c->total,
            1e6 * c->total / (double)c->calls, 100 * c->total / seconds,
            size_text(c->bytes, size, sizeof size));
  }
  if (rest > 0) fprintf(to, "%-44s %9s %9.3f %9s %5.1f%%\n", "(others)", "", rest, "", 100 * rest / seconds);
  fprintf(to, "%-44s %9s %9.3f %9s %5.1f%%\n", "(between operations)", "", seconds - all, "",
          100 * (seconds - all) / seconds);
}

void tn_profile_print(const tn_profile *p, FILE *to) {
  const double seconds = p->ended - p->began;
  char size[32];
  print_components(p, to, seconds);
  print_operations(p, to, seconds);
  fprintf(to, "\n%-44s %9s %9s\n", "stage", "seconds", "memory");
  for (uint32_t i = 0; i < p->stage_count; i++)
    fprintf(to, "%-44s %9.3f %9s\n", p->stages[i].name, p->stages[i].seconds,
            size_text((double)p->stages[i].high, size, sizeof size));
  if (p->dropped)
    fprintf(to, "\nthe trace holds the first %llu events, %llu more happened\n",
            (unsigned long long)p->events, (unsigned long long)p->dropped);
}

void tn_profile_free(tn_profile *p) {
  if (!p) return;
  if (p->trace) fclose(p->trace);
  free(p->trace_name);
  free(p->stages);
  free(p);
}
