// SPDX-License-Identifier: MIT
#include "core/pipeline/digest.h"
#include <errno.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <string.h>

/* A tn_digest is OpenSSL's context under another name. */

tn_digest *tn_digest_new(void) {
  /* A plugin may call exit while a checkpoint is hashed: OpenSSL must not clean up under it. */
  OPENSSL_init_crypto(OPENSSL_INIT_NO_ATEXIT, NULL);
  EVP_MD_CTX *context = EVP_MD_CTX_new();
  if (context && EVP_DigestInit_ex(context, EVP_sha256(), NULL)) return (tn_digest *)context;
  EVP_MD_CTX_free(context);
  return NULL;
}

void tn_digest_add(tn_digest *digest, const void *data, size_t bytes) {
  EVP_DigestUpdate((EVP_MD_CTX *)digest, data, bytes);
}

void tn_digest_end(tn_digest *digest, unsigned char hash[32]) {
  memset(hash, 0, 32);
  if (digest) EVP_DigestFinal_ex((EVP_MD_CTX *)digest, hash, NULL);
  EVP_MD_CTX_free((EVP_MD_CTX *)digest);
}

bool tn_digest_of_file(const char *path, char text[65]) {
  unsigned char hash[32], bytes[16384];
  FILE *file = fopen(path, "rb");
  if (!file) return false;
  tn_digest *digest = tn_digest_new();
  for (size_t n; digest && (n = fread(bytes, 1, sizeof bytes, file)) > 0;) tn_digest_add(digest, bytes, n);
  bool good = digest && !ferror(file);
  int error = digest ? errno : ENOMEM;
  tn_digest_end(digest, hash);
  fclose(file);
  for (size_t i = 0; i < sizeof hash; i++) snprintf(text + 2 * i, 3, "%02x", hash[i]);
  errno = error;
  return good;
}
