// SPDX-License-Identifier: MIT
/* metrics.csv in the run directory: one line a figure, ready for spreadsheets and data frames.
 *   kind,stage,step,epoch,seconds,name,value          kind: step or result */
#include "file.h"

struct csv {
  struct observer_file file;
};

/* A cell, quoted if it must be (RFC 4180). */
static void put_cell(FILE *stream, const char *text) {
  if (!text) text = "";
  if (!strpbrk(text, ",\"\r\n")) {
    fputs(text, stream);
    return;
  }
  fputc('"', stream);
  for (; *text; text++) {
    if (*text == '"') fputc('"', stream);
    fputc(*text, stream);
  }
  fputc('"', stream);
}

static tn_status csv_event(void *self, const tn_event *event) {
  struct csv *csv = self;
  const bool step = event->type == TN_EVENT_STEP, ends = event->type == TN_EVENT_STAGE_END;
  const bool cost = event->type == TN_EVENT_COST;
  if (!step && !ends && !cost && event->type != TN_EVENT_RESULT) return TN_OK;
  const bool fresh = !csv->file.stream && csv->file.bytes == 0;
  bool ready;
  const tn_status status = observer_file_open(&csv->file, "metrics.csv", &ready);
  if (status < 0 || !ready) return status;
  FILE *stream = csv->file.stream;
  if (fresh) fputs("kind,stage,step,epoch,seconds,name,value\n", stream);
  for (uint32_t i = 0; !ends && i < event->scalar_count; i++) {
    fputs(step ? "step," : cost ? "cost," : "result,", stream);
    put_cell(stream, event->stage);
    fprintf(stream, ",%lld,%.10g,%.3f,", (long long)event->progress.step, event->progress.epoch,
            event->seconds);
    put_cell(stream, event->scalars[i].name);
    fprintf(stream, ",%.17g\n", event->scalars[i].value);
  }
  return observer_file_flush(&csv->file, "metrics.csv");
}

static void csv_destroy(void *self) { observer_file_close(&((struct csv *)self)->file); }
static tn_status csv_state(void *self, const tn_visitor *visitor) {
  return observer_file_state(&((struct csv *)self)->file, visitor);
}

static const tn_class csv_class = {.size = sizeof(tn_class),
                                   .kind = TN_OBSERVER,
                                   .name = "csv",
                                   .summary = "Figures as metrics.csv in the run directory",
                                   .reference = "RFC 4180",
                                   .instance_size = sizeof(struct csv),
                                   .vtable =
                                       &(const tn_observer){.size = sizeof(tn_observer), .event = csv_event},
                                   .destroy = csv_destroy,
                                   .state = csv_state};
TN_PLUGIN("observer_csv", "1.0.0", "MIT", &csv_class)
