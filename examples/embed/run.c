// SPDX-License-Identifier: MIT
/* Runs a pipeline from C:  cc run.c $(pkg-config --cflags --libs tenon) -o run && ./run FILE.ini test.accuracy */
#include <stdio.h>
#include <tenon/embed.h>

int main(int argc, char **argv) {
  if (argc != 3) {
    fprintf(stderr, "usage: %s FILE.ini STAGE.RESULT\n", argv[0]);
    return 2;
  }
  tn_embed *host = tn_embed_open(NULL);
  const char *overrides[] = {"pipeline.seed=7"};
  if (tn_embed_run(host, argv[1], overrides, 1, NULL) != TN_OK) {
    fprintf(stderr, "error: %s\n", tn_embed_error(host));
    tn_embed_close(host);
    return 1;
  }
  printf("%s = %.4f\n", argv[2], tn_embed_result(host, argv[2]));
  tn_embed_close(host);
  return 0;
}
