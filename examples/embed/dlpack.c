// SPDX-License-Identifier: MIT
/* Gets a trained tensor out through DLPack, without a copy; it outlives the host.
 *   cc dlpack.c $(pkg-config --cflags --libs tenon) -o dlpack && ./dlpack FILE.ini net layers.0.weight */
#include <stdio.h>
#include <tenon/embed.h>

int main(int argc, char **argv) {
  if (argc != 4) {
    fprintf(stderr, "usage: %s FILE.ini SECTION TENSOR\n", argv[0]);
    return 2;
  }
  tn_embed *host = tn_embed_open(NULL);
  tn_dl_managed *managed = NULL;
  if (tn_embed_run(host, argv[1], NULL, 0, NULL) == TN_OK) managed = tn_embed_tensor(host, argv[2], argv[3]);
  if (!managed) fprintf(stderr, "error: %s\n", tn_embed_error(host));
  tn_embed_close(host);
  if (!managed) return 1;

  const tn_dl_tensor *t = &managed->dl_tensor; /* the layout of DLPack's DLTensor */
  int64_t count = 1;
  printf("%s: float%d (", argv[3], t->dtype.bits);
  for (int i = 0; i < t->ndim; i++) {
    printf("%s%lld", i ? ", " : "", (long long)t->shape[i]);
    count *= t->shape[i];
  }
  double sum = 0;
  for (int64_t i = 0; i < count; i++) sum += ((const float *)t->data)[i] * ((const float *)t->data)[i];
  printf("), sum of squares %.4f\n", sum);
  managed->deleter(managed);
  return 0;
}
