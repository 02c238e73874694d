// SPDX-License-Identifier: MIT
#define _GNU_SOURCE /* dl_iterate_phdr, pthread_getattr_np */
#include "core/pipeline/box.h"
#include "core/config/kind.h"
#include "core/config/memory.h"
#include "core/pipeline/internal.h"
#include <execinfo.h>
#include <fcntl.h>
#include <link.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

enum { COMPONENTS = 4096, SEGMENTS = 1024, PATH = 256, ROOM = 1 << 16, ALTERNATE = 1 << 16, FRAMES = 64 };

typedef struct known {
  const tn_component *component; /* an address in the worker */
  char name[64], full[96], file[PATH];
  uint32_t line;
} known;

/* A loaded stretch of a shared object. */
typedef struct segment {
  uintptr_t start, end;
  uint64_t offset; /* of its first byte in the file */
  char file[PATH];
} segment;

struct tn_box {
  bool finished;
  const tn_call_stack *stack;
  double step_began, step_limit;
  int log;
  char directory[4096], cause[128];
  uint32_t component_count, segment_count;
  known components[COMPONENTS]; /* pages that nobody touches are never there */
  segment segments[SEGMENTS];
  _Alignas(64) unsigned char room[ROOM];
};

static tn_box *mine; /* of the worker; for the signal handler */
static uintptr_t stack_low, stack_high;

tn_box *tn_box_new(void) {
  void *memory = mmap(NULL, sizeof(tn_box), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) return NULL;
  tn_box *box = memory;
  box->log = -1;
  return box;
}

/* Crashes. The handler runs on a stack of its own and touches no heap: either may be what is broken. */

static void on_crash(int number, siginfo_t *info, void *context) {
  (void)context;
  const uintptr_t at = (uintptr_t)info->si_addr;
  const bool at_address = number == SIGSEGV || number == SIGBUS;
  static const char digits[] = "0123456789abcdef";
  char *to = mine->cause;
  const char *what = number == SIGSEGV && at >= stack_low && at < stack_high ? "stack overflow"
                     : number == SIGSEGV ? "segmentation fault at address 0x"
                     : number == SIGBUS  ? "bus error at address 0x"
                     : number == SIGFPE  ? "arithmetic exception"
                     : number == SIGILL  ? "illegal instruction"
                     : number == SIGABRT ? "abort"
                                         : "";
  while (*what) *to++ = *what++;
  if (at_address && to[-1] == 'x') {
    int shift = 60;
    while (shift > 0 && !(at >> shift & 15)) shift -= 4;
    for (; shift >= 0; shift -= 4) *to++ = digits[at >> shift & 15];
  }
  *to = 0;
  signal(number, SIG_DFL);
  if (mine->log >= 0) {
    /* Finding frames reads what the loader keeps in the heap. If that is broken it may not come to an end. */
    sigset_t alarms;
    sigemptyset(&alarms);
    sigaddset(&alarms, SIGALRM);
    signal(SIGALRM, SIG_DFL);
    pthread_sigmask(SIG_UNBLOCK, &alarms, NULL);
    alarm(1);
    void *frames[FRAMES];
    const int count = backtrace(frames, FRAMES);
    backtrace_symbols_fd(frames, count, mine->log);
  }
  raise(number);
}

/* Pages below the stack's limit, and some above it: a frame may jump over the guard. */
static void find_stack(void) {
  pthread_attr_t attributes;
  void *low = NULL;
  size_t size = 0;
  if (pthread_getattr_np(pthread_self(), &attributes) != 0) return;
  pthread_attr_getstack(&attributes, &low, &size);
  pthread_attr_destroy(&attributes);
  const uintptr_t margin = 1 << 20;
  stack_low = (uintptr_t)low > margin ? (uintptr_t)low - margin : 0;
  stack_high = (uintptr_t)low + (1 << 16);
}

static void out_of_memory(void) { tn_box_finish(mine); }

void tn_box_work(tn_box *box) {
  static unsigned char alternate[ALTERNATE];
  static const int signals[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT, SIGALRM};
  if (!box) return;
  mine = box;
  tn_take_failed(out_of_memory);
#ifndef __SANITIZE_ADDRESS__ /* which has handlers of its own */
  void *frame;
  backtrace(&frame, 1); /* the first call loads what it needs */
  find_stack();
  sigaltstack(&(stack_t){.ss_sp = alternate, .ss_size = sizeof alternate}, NULL);
  struct sigaction action = {.sa_sigaction = on_crash, .sa_flags = SA_SIGINFO | SA_ONSTACK};
  sigfillset(&action.sa_mask);
  for (size_t i = 0; i < TN_ARRAY_LENGTH(signals); i++) sigaction(signals[i], &action, NULL);
#else
  (void)alternate, (void)signals, (void)on_crash, (void)find_stack;
#endif
}

void *tn_box_place(tn_box *box, size_t bytes, size_t stack) {
  if (!box || bytes > ROOM) return NULL;
  memset(box->room, 0, bytes);
  box->stack = (const tn_call_stack *)(const void *)(box->room + stack);
  box->component_count = 0;
  return box->room;
}

void tn_box_directory(tn_box *box, const char *directory) {
  if (box) snprintf(box->directory, sizeof box->directory, "%s", directory);
}
void tn_box_log(tn_box *box, int file) {
  if (box) box->log = file;
}
void tn_box_finish(tn_box *box) {
  if (box) box->finished = true;
}
void tn_box_limit_step(tn_box *box, double seconds) {
  if (!box || box->step_limit == seconds) return;
  box->step_limit = seconds;
  kill(getppid(), SIGUSR1); /* it waits without a limit so far */
}
void tn_box_step(tn_box *box, double now) {
  if (box) __atomic_store(&box->step_began, &now, __ATOMIC_RELAXED);
}

tn_status tn_box_limit_memory(tn_box *box, int64_t megabytes) {
  if (!box || megabytes <= 0) return TN_OK;
  unsigned long long pages[6] = {0};
  FILE *file = fopen("/proc/self/statm", "r"); /* proc(5): the sixth number is data and stack */
  const bool read = file && fscanf(file, "%llu %llu %llu %llu %llu %llu", &pages[0], &pages[1], &pages[2],
                                   &pages[3], &pages[4], &pages[5]) == 6;
  if (file) fclose(file);
  const rlim_t bytes =
      ((rlim_t)megabytes << 20) + (rlim_t)(pages[5] * (unsigned long long)sysconf(_SC_PAGESIZE));
  if (read && setrlimit(RLIMIT_DATA, &(struct rlimit){bytes, bytes}) == 0) return TN_OK;
  return TN_ERROR_INVALID;
}

/* Where things are. */

typedef struct search {
  uintptr_t address;
  segment *found; /* NULL: only whether it is in a segment */
  bool here;
} search;

static int look(struct dl_phdr_info *info, size_t size, void *context) {
  search *s = context;
  (void)size;
  for (int i = 0; i < info->dlpi_phnum; i++) {
    const ElfW(Phdr) *part = &info->dlpi_phdr[i];
    const uintptr_t start = info->dlpi_addr + part->p_vaddr;
    if (part->p_type != PT_LOAD || s->address < start || s->address - start >= part->p_memsz) continue;
    s->here = true;
    if (!s->found) return 1;
    /* All segments of the object: its texts are in another one than its tables. */
    for (int k = 0; k < info->dlpi_phnum && mine->segment_count < SEGMENTS; k++) {
      const ElfW(Phdr) *load = &info->dlpi_phdr[k];
      if (load->p_type != PT_LOAD) continue;
      segment *to = &mine->segments[mine->segment_count++];
      *to = (segment){info->dlpi_addr + load->p_vaddr, info->dlpi_addr + load->p_vaddr + load->p_filesz,
                      load->p_offset, ""};
      snprintf(to->file, sizeof to->file, "%s", info->dlpi_name);
    }
    return 1;
  }
  return 0;
}

static const segment *segment_of(const tn_box *box, uintptr_t address) {
  for (uint32_t i = 0; i < box->segment_count; i++)
    if (address >= box->segments[i].start && address < box->segments[i].end) return &box->segments[i];
  return NULL;
}

void tn_box_component(tn_box *box, const tn_component *component) {
  if (!box || box->component_count == COMPONENTS) return;
  known *to = &box->components[box->component_count];
  char kind[64];
  tn_kind_short_name(component->cls->kind, kind, sizeof kind);
  to->component = component;
  to->line = component->line;
  snprintf(to->name, sizeof to->name, "%s", component->name);
  snprintf(to->full, sizeof to->full, "%s.%s", kind, component->cls->name);
  snprintf(to->file, sizeof to->file, "%s", component->file);
  box->component_count++;
  search s = {(uintptr_t)component->vtable, box->segments, false};
  if (!segment_of(box, s.address)) dl_iterate_phdr(look, &s);
}

/* Reading, in the supervisor. */

bool tn_box_finished(const tn_box *box) { return box->finished; }
const char *tn_box_run(const tn_box *box) { return box->directory; }
const char *tn_box_cause(const tn_box *box) { return box->cause; }
double tn_box_step_limit(const tn_box *box) { return box->step_limit; }

double tn_box_patience(const tn_box *box, double now) {
  double began;
  __atomic_load(&box->step_began, &began, __ATOMIC_RELAXED);
  if (box->step_limit <= 0) return -1;
  if (began <= 0) return box->step_limit; /* between two steps: look again by then */
  const double left = began + box->step_limit - now;
  return left > 0 ? left : 0;
}

/* The text at an address of the worker: in what both have mapped, or in a plugin's file. */
static void text_at(const tn_box *box, const char *address, char *text, size_t bytes) {
  search s = {(uintptr_t)address, NULL, false};
  const segment *in = segment_of(box, s.address);
  text[0] = 0;
  if (in) {
    const int file = open(in->file, O_RDONLY | O_CLOEXEC);
    const ssize_t n =
        file >= 0 ? pread(file, text, bytes - 1, (off_t)(in->offset + (s.address - in->start))) : 0;
    text[n > 0 ? n : 0] = 0;
    if (file >= 0) close(file);
  } else if (address) {
    dl_iterate_phdr(look, &s);
    if (s.here) snprintf(text, bytes, "%s", address);
  }
  for (char *c = text; *c; c++)
    if ((unsigned char)*c < 0x20) *c = 0;
}

void tn_box_place_of_death(const tn_box *box, char *text, size_t bytes) {
  char function[64];
  text[0] = 0;
  const uint32_t depth = box->stack ? box->stack->depth : 0;
  if (depth == 0) return;
  const tn_call *call = &box->stack->calls[(depth - 1) % TN_CALL_DEPTH];
  text_at(box, call->function, function, sizeof function);
  for (uint32_t i = 0; i < box->component_count; i++) {
    const known *k = &box->components[i];
    if (k->component != call->component) continue;
    size_t used = 0;
    if (*k->file) used = (size_t)snprintf(text, bytes, "%s:%u: ", k->file, k->line);
    if (used >= bytes) return;
    if (strncmp(k->name, k->full, strlen(k->full)) == 0)
      snprintf(text + used, bytes - used, "%s %s: ", k->full, function);
    else
      snprintf(text + used, bytes - used, "[%s] %s %s: ", k->name, k->full, function);
    return;
  }
}
