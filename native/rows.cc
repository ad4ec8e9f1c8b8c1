// An extension of SQLite for src/index/rows.ts: pack_rows(name, number, …), an aggregate that gives all rows as one BLOB. An object
// for each row, and a value for each of its columns, would take three times as long as finding them.
//
// The BLOB, in this machine's byte order: count of rows (4 bytes), 4 bytes of nothing; for each row its numbers as doubles (NaN: NULL);
// for each row where its name ends (4 bytes); the names. Of no rows at all: NULL.

#include <sqlite3ext.h>

#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <new>
#include <vector>

SQLITE_EXTENSION_INIT1

namespace {

struct Rows {
  std::vector<double> numbers;
  std::vector<uint32_t> ends;
  std::vector<uint8_t> names;
};

// SQLite's memory of an aggregate is all zeros at first, and knows no destructors.
Rows** Slot(sqlite3_context* context) {
  return static_cast<Rows**>(sqlite3_aggregate_context(context, sizeof(Rows*)));
}

void Step(sqlite3_context* context, int count, sqlite3_value** values) try {
  Rows** const slot = Slot(context);
  if (!slot) throw std::bad_alloc();
  if (!*slot) *slot = new Rows;
  Rows& rows = **slot;
  const auto* name = static_cast<const uint8_t*>(sqlite3_value_blob(values[0]));
  rows.names.insert(rows.names.end(), name, name + sqlite3_value_bytes(values[0]));
  rows.ends.push_back(static_cast<uint32_t>(rows.names.size()));
  for (int i = 1; i < count; i++) {
    const bool known = sqlite3_value_type(values[i]) != SQLITE_NULL;
    rows.numbers.push_back(known ? sqlite3_value_double(values[i]) : std::nan(""));
  }
} catch (const std::bad_alloc&) {
  sqlite3_result_error_nomem(context);
}

template <typename T>
uint8_t* Put(uint8_t* at, const std::vector<T>& values) {
  const size_t length = values.size() * sizeof(T);
  if (length > 0) std::memcpy(at, values.data(), length);
  return at + length;
}

void Final(sqlite3_context* context) {
  Rows** const slot = Slot(context);
  if (!slot || !*slot) return sqlite3_result_null(context);
  const std::unique_ptr<Rows> rows(*slot);
  *slot = nullptr;
  const uint32_t head[2] = {static_cast<uint32_t>(rows->ends.size()), 0};
  const size_t length = sizeof head + rows->numbers.size() * sizeof(double) + rows->ends.size() * sizeof(uint32_t) + rows->names.size();
  auto* const blob = static_cast<uint8_t*>(std::malloc(length));
  if (!blob) return sqlite3_result_error_nomem(context);
  std::memcpy(blob, head, sizeof head);
  Put(Put(Put(blob + sizeof head, rows->numbers), rows->ends), rows->names);
  sqlite3_result_blob64(context, blob, length, std::free);
}

}  // namespace

extern "C" __attribute__((visibility("default"))) int sqlite3_rows_init(sqlite3* db, char**, const sqlite3_api_routines* api) {
  SQLITE_EXTENSION_INIT2(api);
  return sqlite3_create_function_v2(db, "pack_rows", -1, SQLITE_UTF8 | SQLITE_DETERMINISTIC, nullptr, nullptr, Step, Final, nullptr);
}
