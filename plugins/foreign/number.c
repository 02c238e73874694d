// SPDX-License-Identifier: MIT
#include "number.h"

#include <math.h>
#include <string.h>

bool foreign_is_double(foreign_type type) {
  return type.class == FOREIGN_REAL && type.bytes == sizeof(double);
}

static bool write_signed(uint32_t bytes, double number, void *place) {
  double limit = ldexp(1, (int)(8 * bytes - 1));
  if (!(number >= -limit && number < limit) || number != floor(number)) return false;
  int64_t v = (int64_t)number;
  switch (bytes) {
  case 1: *(int8_t *)place = (int8_t)v; return true;
  case 2: *(int16_t *)place = (int16_t)v; return true;
  case 4: *(int32_t *)place = (int32_t)v; return true;
  default: *(int64_t *)place = v; return true;
  }
}

static bool write_unsigned(uint32_t bytes, double number, void *place) {
  if (!(number >= 0 && number < ldexp(1, (int)(8 * bytes))) || number != floor(number)) return false;
  uint64_t v = (uint64_t)number;
  switch (bytes) {
  case 1: *(uint8_t *)place = (uint8_t)v; return true;
  case 2: *(uint16_t *)place = (uint16_t)v; return true;
  case 4: *(uint32_t *)place = (uint32_t)v; return true;
  default: *(uint64_t *)place = v; return true;
  }
}

bool foreign_write(foreign_type type, double number, void *place) {
  switch (type.class) {
  case FOREIGN_VOID: return false;
  case FOREIGN_BOOL: *(bool *)place = number != 0; return true;
  case FOREIGN_SIGNED: return write_signed(type.bytes, number, place);
  case FOREIGN_UNSIGNED: return write_unsigned(type.bytes, number, place);
  case FOREIGN_REAL:
    if (type.bytes == sizeof(float))
      *(float *)place = (float)number;
    else
      *(double *)place = number;
    return true;
  }
  return false;
}

double foreign_read(foreign_type type, const void *place) {
  switch (type.class) {
  case FOREIGN_VOID: return NAN;
  case FOREIGN_BOOL: return *(const bool *)place;
  case FOREIGN_SIGNED:
    switch (type.bytes) {
    case 1: return *(const int8_t *)place;
    case 2: return *(const int16_t *)place;
    case 4: return *(const int32_t *)place;
    default: return (double)*(const int64_t *)place;
    }
  case FOREIGN_UNSIGNED:
    switch (type.bytes) {
    case 1: return *(const uint8_t *)place;
    case 2: return *(const uint16_t *)place;
    case 4: return *(const uint32_t *)place;
    default: return (double)*(const uint64_t *)place;
    }
  case FOREIGN_REAL:
    return type.bytes == sizeof(float) ? (double)*(const float *)place : *(const double *)place;
  }
  return NAN;
}

bool foreign_write_all(foreign_type type, const double *numbers, size_t count, void *place) {
  if (foreign_is_double(type)) {
    memcpy(place, numbers, count * sizeof(double));
    return true;
  }
  for (size_t i = 0; i < count; i++)
    if (!foreign_write(type, numbers[i], (char *)place + i * type.bytes)) return false;
  return true;
}

void foreign_read_all(foreign_type type, const void *place, size_t count, double *numbers) {
  for (size_t i = 0; i < count; i++) numbers[i] = foreign_read(type, (const char *)place + i * type.bytes);
}
