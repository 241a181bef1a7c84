/* Who conflicts with whom, and who tries again. */

#include "cases.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

enum { WORKERS = 8 };
typedef enum { BY_GET, BY_SNAPSHOT, BY_CONFLICT_KEY } way_t;
typedef struct {
    FDBDatabase *db;
    way_t way;
    pthread_barrier_t *start;
    int conflicts;
} worker_t;

static void *work(void *parameter) {
    worker_t *worker = parameter;
    for (int i = 0; i < 10 * scale; i++) {
        txn_t txn = txn_new(worker->db);
        blob_t value = {NULL, 0};
        bool present;
        status_t read = txn_get(&txn, "shared", worker->way != BY_GET, &value, &present);
        CHECK(read == FINE, "error %d", txn.error);
        if (worker->way == BY_CONFLICT_KEY) txn_read_conflict(&txn, "shared");
        blob_free(&value);
        /* The first time all have read before anyone commits. */
        if (i == 0) pthread_barrier_wait(worker->start);
        txn_set(&txn, "shared", "value");
        status_t status = txn_commit(&txn);
        CHECK(status == FINE || status == CONFLICT, "error %d", txn.error);
        worker->conflicts += status == CONFLICT;
        txn_free(&txn);
    }
    return NULL;
}

void writers_conflict_by_what_they_read(FDBDatabase *db) {
    for (way_t way = BY_GET; way <= BY_CONFLICT_KEY; way++) {
        pthread_t threads[WORKERS];
        worker_t workers[WORKERS];
        pthread_barrier_t start;
        pthread_barrier_init(&start, NULL, WORKERS);
        int conflicts = 0;
        for (int i = 0; i < WORKERS; i++) {
            workers[i] = (worker_t){db, way, &start, 0};
            pthread_create(&threads[i], NULL, work, &workers[i]);
        }
        for (int i = 0; i < WORKERS; i++) {
            pthread_join(threads[i], NULL);
            conflicts += workers[i].conflicts;
        }
        pthread_barrier_destroy(&start);
        if (way == BY_SNAPSHOT) CHECK(conflicts == 0, "%d conflicts", conflicts);
        else CHECK(conflicts >= WORKERS - 1, "%d conflicts", conflicts);
    }
}

/* A directory may go if it has no open files; someone opens one meanwhile. */
void sessions_are_checked_by_a_snapshot_and_a_conflict_range(FDBDatabase *db) {
    for (int opens = 0; opens < 2; opens++) {
        txn_t txn = txn_new(db);
        page_t page;
        txn_read_conflict_range(&txn, "INOS/7/", "INOS/70");
        status_t status = txn_range(&txn, "INOS/7/", true, "INOS/70", false, 1, true, &page);
        CHECK(status == FINE && page.count == 0 && !page.has_more, "no session");
        page_free(&page);
        txn_clear(&txn, "DENT/7");
        put(db, opens ? "INOS/7/new" : "INOS/8/new", "session");
        CHECK(txn_commit(&txn) == (opens ? CONFLICT : FINE), "error %d", txn.error);
        txn_free(&txn);
    }
}

static status_t count_up(txn_t *txn, void *db) {
    blob_t value = {NULL, 0};
    bool present;
    status_t status = txn_get(txn, "IDEM/counter", false, &value, &present);
    if (status != FINE) return status;
    int count = present ? atoi(value.data) : 0;
    blob_free(&value);
    char text[64];
    if (count < 3) put(db, "IDEM/counter", name(text, "%d", count + 1));
    txn_set(txn, "IDEM/counter", name(text, "%d", count + 1));
    return FINE;
}

static status_t too_large(txn_t *txn, void *unused) {
    (void)unused;
    char *value = calloc(1, 100002);
    memset(value, 'x', 100001);
    txn_set(txn, "large", value);
    free(value);
    return FINE;
}

void conflicts_are_retried_and_errors_are_not(FDBDatabase *db) {
    int attempts;
    CHECK(with_transaction(db, count_up, db, &attempts) == FINE, "it comes through");
    CHECK(attempts == 4, "%d attempts", attempts);
    txn_t txn = txn_new(db);
    expect(&txn, "IDEM/counter", "4");
    txn_free(&txn);
    CHECK(with_transaction(db, too_large, NULL, &attempts) == FAILED, "it can't");
    CHECK(attempts == 1, "%d attempts", attempts);
}
