/* What the cases share. */

#ifndef CASES_H
#define CASES_H

#include "engine.h"

/* How much is done, in tenths. */
extern int scale;

/* A name with a number in it. */
char *name(char *into, const char *format, int number);
/* Sets keys from a format, in transactions of 100. */
void fill(FDBDatabase *db, const char *format, int many);
void put(FDBDatabase *db, const char *key, const char *value);
/* Whether a key has this value; NULL is none. */
void expect(txn_t *txn, const char *key, const char *should);
/* Whether a page between two keys, each inclusive or not, has so many rows. */
void expect_page(FDBDatabase *db, const char *begin, bool from, const char *end, bool to, int limit,
                 int count, bool has_more);

void writers_conflict_by_what_they_read(FDBDatabase *db);
void sessions_are_checked_by_a_snapshot_and_a_conflict_range(FDBDatabase *db);
void conflicts_are_retried_and_errors_are_not(FDBDatabase *db);
void thousands_of_futures_are_under_way_at_once(FDBDatabase *db);
void a_cancelled_future_calls_back(FDBDatabase *db);
void stamped_keys_are_in_the_order_of_commits(FDBDatabase *db);
void stamped_values_change_where_they_should(FDBDatabase *db);
void the_metadata_version_tells_what_is_new(FDBDatabase *db);

#endif
