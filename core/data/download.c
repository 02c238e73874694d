// SPDX-License-Identifier: MIT
#include "core/data/download.h"
#include "core/plugin/dylib.h"
#include <curl/curl.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { TRIES = 3, STALL_SECONDS = 60 };

/* What is used of libcurl. */
static struct {
  CURLcode (*global_init)(long flags);
  CURL *(*easy_init)(void);
  CURLcode (*easy_setopt)(CURL *easy, CURLoption option, ...);
  CURLcode (*easy_perform)(CURL *easy);
  CURLcode (*easy_getinfo)(CURL *easy, CURLINFO info, ...);
  const char *(*easy_strerror)(CURLcode code);
  void (*easy_cleanup)(CURL *easy);
} api;
/* curl.h checks types in macros of these names; here they go through the table. */
#undef curl_easy_setopt
#undef curl_easy_getinfo

static tn_status load(tn_error *error) {
  static bool loaded;
  static const struct {
    const char *name;
    void *place;
  } functions[] = {{"curl_global_init", &api.global_init},   {"curl_easy_init", &api.easy_init},
                   {"curl_easy_setopt", &api.easy_setopt},   {"curl_easy_perform", &api.easy_perform},
                   {"curl_easy_getinfo", &api.easy_getinfo}, {"curl_easy_strerror", &api.easy_strerror},
                   {"curl_easy_cleanup", &api.easy_cleanup}};
  if (loaded) return TN_OK;
  char reason[256];
  tn_dylib *library = tn_dylib_system("libcurl.so.4", reason, sizeof reason);
  if (!library)
    return tn_error_set(error, TN_ERROR_MISSING, NULL, 0,
                        "libcurl is needed to fetch data (Debian: libcurl4): %s", reason);
  for (size_t i = 0; i < sizeof functions / sizeof *functions; i++) {
    const void *symbol = tn_dylib_symbol(library, functions[i].name);
    if (!symbol)
      return tn_error_set(error, TN_ERROR_MISSING, NULL, 0, "libcurl has no %s", functions[i].name);
    memcpy(functions[i].place, &symbol, sizeof symbol);
  }
  api.global_init(CURL_GLOBAL_DEFAULT);
  loaded = true;
  return TN_OK;
}

struct transfer {
  FILE *file;
  int64_t begin; /* bytes that were there */
  tn_download_progress progress;
  void *context;
};

static int show(void *context, curl_off_t total, curl_off_t done, curl_off_t up_total, curl_off_t up) {
  const struct transfer *transfer = context;
  (void)up_total, (void)up;
  if (transfer->progress)
    transfer->progress(transfer->context, transfer->begin + done, total > 0 ? transfer->begin + total : 0);
  return 0;
}

static size_t keep(char *data, size_t size, size_t count, void *context) {
  const struct transfer *transfer = context;
  return fwrite(data, size, count, transfer->file);
}

static CURLcode transfer_once(CURL *easy, const char *url, struct transfer *transfer) {
  api.easy_setopt(easy, CURLOPT_URL, url);
  api.easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https");
  api.easy_setopt(easy, CURLOPT_REDIR_PROTOCOLS_STR, "http,https");
  api.easy_setopt(easy, CURLOPT_FOLLOWLOCATION, 1L);
  api.easy_setopt(easy, CURLOPT_MAXREDIRS, 10L);
  api.easy_setopt(easy, CURLOPT_FAILONERROR, 1L);
  api.easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
  api.easy_setopt(easy, CURLOPT_CONNECTTIMEOUT, 30L);
  api.easy_setopt(easy, CURLOPT_LOW_SPEED_LIMIT, 1L);
  api.easy_setopt(easy, CURLOPT_LOW_SPEED_TIME, (long)STALL_SECONDS);
  api.easy_setopt(easy, CURLOPT_USERAGENT, "tenon/" TN_VERSION);
  api.easy_setopt(easy, CURLOPT_RESUME_FROM_LARGE, (curl_off_t)transfer->begin);
  api.easy_setopt(easy, CURLOPT_WRITEFUNCTION, keep);
  api.easy_setopt(easy, CURLOPT_WRITEDATA, transfer);
  api.easy_setopt(easy, CURLOPT_NOPROGRESS, 0L);
  api.easy_setopt(easy, CURLOPT_XFERINFOFUNCTION, show);
  api.easy_setopt(easy, CURLOPT_XFERINFODATA, transfer);
  return api.easy_perform(easy);
}

/* The server does not continue there: it sent the whole file (RFC 9110, 15.3.7), or there is nothing behind
 * what is there (416). */
static bool cannot_continue(CURLcode code, long answer) {
  return code == CURLE_RANGE_ERROR || (code == CURLE_HTTP_RETURNED_ERROR && answer == 416);
}
static bool may_work_again(CURLcode code, long answer) {
  return code == CURLE_PARTIAL_FILE || code == CURLE_RECV_ERROR || code == CURLE_SEND_ERROR ||
         code == CURLE_OPERATION_TIMEDOUT || code == CURLE_GOT_NOTHING ||
         (code == CURLE_HTTP_RETURNED_ERROR && answer >= 500);
}

/* Written to the disk, closed. */
static bool settle(FILE *file) {
  const bool good = fflush(file) == 0 && fsync(fileno(file)) == 0;
  return fclose(file) == 0 && good;
}

tn_status tn_download(const char *url, const char *path, tn_download_progress progress, void *context,
                      tn_error *error) {
  const tn_status loaded = load(error);
  if (loaded < 0) return loaded;
  CURLcode code = CURLE_OK;
  long answer = 0;
  bool start_over = false;
  for (int try = 0; try < TRIES; try++) {
    struct transfer transfer = {fopen(path, start_over ? "wb" : "ab"), 0, progress, context};
    struct stat before;
    if (!transfer.file || fstat(fileno(transfer.file), &before) != 0)
      return tn_error_set(error, TN_ERROR_IO, NULL, 0, "%s: %s", path, strerror(errno));
    transfer.begin = (int64_t)before.st_size;
    CURL *easy = api.easy_init();
    code = easy ? transfer_once(easy, url, &transfer) : CURLE_OUT_OF_MEMORY;
    if (easy) api.easy_getinfo(easy, CURLINFO_RESPONSE_CODE, &answer);
    if (easy) api.easy_cleanup(easy);
    if (!settle(transfer.file))
      return tn_error_set(error, TN_ERROR_IO, NULL, 0, "%s: %s", path, strerror(errno));
    if (code == CURLE_OK) return TN_OK;
    start_over = transfer.begin > 0 && cannot_continue(code, answer);
    if (!start_over && !may_work_again(code, answer)) break;
  }
  if (code == CURLE_HTTP_RETURNED_ERROR)
    return tn_error_set(error, TN_ERROR_IO, NULL, 0, "%s: the server answered %ld", url, answer);
  return tn_error_set(error, TN_ERROR_IO, NULL, 0, "%s: %s", url, api.easy_strerror(code));
}
