/* Futures by the thousand, and those that are given up. */

#include "cases.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

typedef struct {
    pthread_mutex_t lock;
    pthread_cond_t all;
    int left, failed;
} crowd_t;

static void count_down(FDBFuture *future, void *parameter) {
    crowd_t *crowd = parameter;
    pthread_mutex_lock(&crowd->lock);
    crowd->failed += fdb_future_get_error(future) != 0;
    if (--crowd->left == 0) pthread_cond_signal(&crowd->all);
    pthread_mutex_unlock(&crowd->lock);
}

/* Waits for callbacks of all futures; how many failed. */
static int wait_for_all(FDBFuture **futures, int many, bool cancels) {
    crowd_t crowd = {PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, many, 0};
    for (int i = 0; i < many; i++)
        CHECK(fdb_future_set_callback(futures[i], count_down, &crowd) == 0, "a callback");
    for (int i = 0; cancels && i < many; i++) fdb_future_cancel(futures[i]);
    pthread_mutex_lock(&crowd.lock);
    while (crowd.left > 0) pthread_cond_wait(&crowd.all, &crowd.lock);
    pthread_mutex_unlock(&crowd.lock);
    return crowd.failed;
}

void thousands_of_futures_are_under_way_at_once(FDBDatabase *db) {
    const int txns = 10 * scale, each = 50, many = txns * each;
    txn_t *all = calloc((size_t)txns, sizeof *all);
    FDBFuture **futures = calloc((size_t)many, sizeof *futures);
    fill(db, "crowd/%04d", each);
    char key[64];
    for (int i = 0; i < txns; i++) {
        all[i] = txn_new(db);
        for (int j = 0; j < each; j++) {
            name(key, "crowd/%04d", j);
            futures[i * each + j] =
                fdb_transaction_get(all[i].raw, (uint8_t *)key, (int)strlen(key), j % 2);
        }
    }
    CHECK(wait_for_all(futures, many, false) == 0, "all are read");
    for (int i = 0; i < many; i++) {
        fdb_bool_t present;
        const uint8_t *value;
        int size;
        CHECK(fdb_future_get_value(futures[i], &present, &value, &size) == 0, "a value");
        name(key, "crowd/%04d", i % each);
        CHECK(present && memcmp(value, key, (size_t)size) == 0, "it is another's");
        fdb_future_destroy(futures[i]);
    }
    for (int i = 0; i < txns; i++) {
        txn_set(&all[i], name(key, "crowd/new/%04d", i), "new");
        futures[i] = fdb_transaction_commit(all[i].raw);
    }
    CHECK(wait_for_all(futures, txns, false) == 0, "all are committed");
    for (int i = 0; i < txns; i++) {
        fdb_future_destroy(futures[i]);
        txn_free(&all[i]);
    }
    free(futures);
    free(all);
    expect_page(db, "crowd/new/", true, "crowd/new0", false, 0, txns, false);
}

/* Whoever cancels waits for the callback: if it never came, 3FS would hang. */
void a_cancelled_future_calls_back(FDBDatabase *db) {
    const int many = 100 * scale;
    FDBFuture **futures = calloc((size_t)many, sizeof *futures);
    txn_t txn = txn_new(db);
    /* These wait for a version that does not come. */
    fdb_transaction_set_read_version(txn.raw, INT64_MAX / 2);
    for (int i = 0; i < many; i++)
        futures[i] = fdb_transaction_get(txn.raw, (const uint8_t *)"foo", 3, 0);
    CHECK(fdb_future_get_error(futures[0]) == 2015, "it waits");
    CHECK(wait_for_all(futures, many, true) == many, "all are cancelled");
    for (int i = 0; i < many; i++) {
        CHECK(fdb_future_get_error(futures[i]) == 1101, "it was cancelled");
        fdb_future_destroy(futures[i]);
    }
    /* The transaction takes its own along; what nobody waits for is simply destroyed. */
    futures[0] = fdb_transaction_get(txn.raw, (const uint8_t *)"foo", 3, 0);
    futures[1] = fdb_transaction_get(txn.raw, (const uint8_t *)"foo", 3, 0);
    fdb_transaction_cancel(txn.raw);
    CHECK(txn_await(&txn, futures[0], false) == CANCELED, "error %d", txn.error);
    fdb_future_destroy(futures[1]);
    fdb_transaction_reset(txn.raw);
    expect(&txn, "foo", NULL);
    txn_free(&txn);
    free(futures);
}
