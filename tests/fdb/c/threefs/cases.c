/* What 3FS's own tests and services do with FoundationDB. Takes a folder for traces and the path of
 * the library; "small" after them makes less of it, "leaks" does it wrong. Prints the name of each
 * case that went well. */

#include "cases.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int scale = 10;

char *name(char *into, const char *format, int number) {
    snprintf(into, 64, format, number);
    return into;
}

void fill(FDBDatabase *db, const char *format, int many) {
    char key[64];
    for (int i = 0; i < many;) {
        txn_t txn = txn_new(db);
        for (int to = i + 100; i < many && i < to; i++) txn_set(&txn, name(key, format, i), key);
        CHECK(txn_commit(&txn) == FINE, "error %d", txn.error);
        txn_free(&txn);
    }
}

void put(FDBDatabase *db, const char *key, const char *value) {
    txn_t txn = txn_new(db);
    txn_set(&txn, key, value);
    CHECK(txn_commit(&txn) == FINE, "error %d", txn.error);
    txn_free(&txn);
}

void expect(txn_t *txn, const char *key, const char *should) {
    blob_t value = {NULL, 0};
    bool present;
    CHECK(txn_get(txn, key, true, &value, &present) == FINE, "error %d", txn->error);
    CHECK(present == (should != NULL), "%s is %s", key, present ? "there" : "absent");
    CHECK(!present || strcmp(value.data, should) == 0, "%s is %s", key, value.data);
    blob_free(&value);
}

static void a_future_is_waited_for(FDBDatabase *db) {
    txn_t txn = txn_new(db);
    FDBFuture *size = fdb_transaction_get_approximate_size(txn.raw);
    baton_t *baton = baton_new();
    CHECK(fdb_future_set_callback(size, post_baton, baton) == 0, "a callback");
    baton_wait(baton);
    baton_free(baton);
    int64_t bytes;
    CHECK(fdb_future_get_int64(size, &bytes) == 0 && bytes >= 0, "%ld bytes", (long)bytes);
    fdb_future_destroy(size);
    expect(&txn, "foo", NULL);
    CHECK(txn_commit(&txn) == FINE && txn_committed_version(&txn) == -1, "nothing was written");
    txn_free(&txn);
}

void expect_page(FDBDatabase *db, const char *begin, bool from, const char *end, bool to, int limit,
                 int count, bool has_more) {
    txn_t txn = txn_new(db);
    for (int snapshot = 0; snapshot < 2; snapshot++) {
        page_t page;
        status_t status = txn_range(&txn, begin, from, end, to, limit, snapshot, &page);
        CHECK(status == FINE, "error %d", txn.error);
        CHECK(page.count == count && page.has_more == has_more, "%d rows, %s", page.count,
              page.has_more ? "more" : "no more");
        page_free(&page);
    }
    txn_free(&txn);
}

static void pages_end_where_they_should(FDBDatabase *db) {
    fill(db, "page/%03d", 100);
    expect_page(db, "page/", true, "page0", false, 10, 10, true);
    expect_page(db, "page/", true, "page0", false, 0, 100, false);
    expect_page(db, "page/", true, "page0", false, -1, 100, false);
    /* The limit was hit, whatever comes after. */
    expect_page(db, "page/", true, "page0", false, 100, 100, true);
    expect_page(db, "page/", true, "page0", false, 101, 100, false);
    expect_page(db, "page/007", true, "page/007", true, 100, 1, false);
    expect_page(db, "page/006", false, "page/008", false, 100, 1, false);
    expect_page(db, "page/006", true, "page/008", true, 2, 2, true);
    expect_page(db, "page/x", true, "page/y", true, 1, 0, false);
}

static void a_prefix_is_listed_in_pages(FDBDatabase *db) {
    const int many = 130 * scale;
    fill(db, "INOD%05d", many);
    txn_t txn = txn_new(db);
    char last[64] = "INOD", expected[64];
    int found = 0;
    for (bool inclusive = true, more = true; more; inclusive = false) {
        page_t page;
        CHECK(txn_range(&txn, last, inclusive, "INOE", false, 128, false, &page) == FINE, "a page");
        more = page.has_more;
        CHECK(page.count > 0 || !more, "an empty page is the last");
        for (int i = 0; i < page.count; i++, found++)
            CHECK(strcmp(page.rows[i].key.data, name(expected, "INOD%05d", found)) == 0, "order");
        if (page.count > 0) strcpy(last, page.rows[page.count - 1].key.data);
        page_free(&page);
    }
    CHECK(found == many, "%d rows", found);
    txn_free(&txn);
}

static void old_versions_are_read(FDBDatabase *db) {
    const char *values[] = {NULL, "1", "2"};
    int64_t versions[3];
    for (int i = 0; i < 3; i++) {
        txn_t txn = txn_new(db);
        if (values[i]) txn_set(&txn, "version", values[i]);
        else txn_clear(&txn, "version");
        CHECK(txn_commit(&txn) == FINE, "error %d", txn.error);
        versions[i] = txn_committed_version(&txn);
        CHECK(versions[i] > 0 && (i == 0 || versions[i] > versions[i - 1]), "versions grow");
        txn_free(&txn);
    }
    for (int i = 0; i < 3; i++) {
        txn_t txn = txn_new(db);
        fdb_transaction_set_read_version(txn.raw, versions[i]);
        expect(&txn, "version", values[i]);
        txn_free(&txn);
    }
    txn_t txn = txn_new(db);
    fdb_transaction_set_read_version(txn.raw, versions[2] + 1000000000);
    blob_t value;
    bool present;
    CHECK(txn_get(&txn, "version", false, &value, &present) == FUTURE_VERSION, "%d", txn.error);
    fdb_transaction_reset(txn.raw);
    expect(&txn, "version", "2");
    txn_free(&txn);
}

static void options_that_3fs_sets_change_nothing_that_it_sees(FDBDatabase *db) {
    txn_t txn = txn_new(db);
    const int64_t backoff = 10;
    txn_option(&txn, FDB_TR_OPTION_MAX_RETRY_DELAY, &backoff);
    txn_option(&txn, FDB_TR_OPTION_PRIORITY_BATCH, NULL);
    txn_option(&txn, FDB_TR_OPTION_USE_GRV_CACHE, NULL);
    put(db, "option", "value");
    expect(&txn, "option", "value");
    txn_set(&txn, "option", "another");
    CHECK(txn_commit(&txn) == FINE, "error %d", txn.error);
    txn_free(&txn);
}

/* 3FS holds its own table against the library's, as of API version 710. */
static void errors_are_classed_as_in_7_1(FDBDatabase *db) {
    (void)db;
    for (fdb_error_t error = 1; error <= 9999; error++) {
        if (error == 1039) continue;
        const status_t status = status_of(error, false);
        CHECK(is_retryable(status, true)
                  == !!fdb_error_predicate(FDB_ERROR_PREDICATE_RETRYABLE, error),
              "%d", error);
        CHECK(is_retryable(status, false)
                  == !!fdb_error_predicate(FDB_ERROR_PREDICATE_RETRYABLE_NOT_COMMITTED, error),
              "%d", error);
    }
    CHECK(fdb_error_predicate(FDB_ERROR_PREDICATE_MAYBE_COMMITTED, 1021), "1021");
    CHECK(!fdb_error_predicate(FDB_ERROR_PREDICATE_MAYBE_COMMITTED, 1020), "1020");
}

/* Forgets a future. */
static void leak(FDBDatabase *db) {
    txn_t txn = txn_new(db);
    baton_t *baton = baton_new();
    FDBFuture *future = fdb_transaction_get(txn.raw, (const uint8_t *)"foo", 3, 0);
    CHECK(fdb_future_set_callback(future, post_baton, baton) == 0, "a callback");
    baton_wait(baton);
    baton_free(baton);
    txn_free(&txn);
}

static const struct {
    const char *name;
    void (*run)(FDBDatabase *db);
} cases[] = {
    {"a future is waited for", a_future_is_waited_for},
    {"pages end where they should", pages_end_where_they_should},
    {"a prefix is listed in pages", a_prefix_is_listed_in_pages},
    {"old versions are read", old_versions_are_read},
    {"writers conflict by what they read", writers_conflict_by_what_they_read},
    {"sessions are checked", sessions_are_checked_by_a_snapshot_and_a_conflict_range},
    {"conflicts are retried", conflicts_are_retried_and_errors_are_not},
    {"thousands of futures at once", thousands_of_futures_are_under_way_at_once},
    {"a cancelled future calls back", a_cancelled_future_calls_back},
    {"stamped keys are in order", stamped_keys_are_in_the_order_of_commits},
    {"stamped values", stamped_values_change_where_they_should},
    {"the metadata version", the_metadata_version_tells_what_is_new},
    {"options", options_that_3fs_sets_change_nothing_that_it_sees},
    {"errors are classed as in 7.1", errors_are_classed_as_in_7_1},
};

int main(int count, char **arguments) {
    CHECK(count >= 3, "a folder and the library");
    const char *how = count > 3 ? arguments[3] : "";
    if (strcmp(how, "small") == 0) scale = 1;
    engine_start(arguments[1], arguments[2]);
    FDBDatabase *db = engine_database();
    if (strcmp(how, "leaks") == 0) {
        leak(db);
        fdb_database_destroy(db);
        engine_stop();
        return 0;
    }
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        cases[i].run(db);
        puts(cases[i].name);
    }
    fdb_database_destroy(db);
    engine_stop();
    return 0;
}
