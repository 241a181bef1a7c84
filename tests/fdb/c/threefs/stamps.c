/* What is stamped with the version of its commit. */

#include "cases.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void stamped_keys_are_in_the_order_of_commits(FDBDatabase *db) {
    const int many = 10 * scale;
    char value[64];
    for (int i = 0; i < many; i++) {
        txn_t txn = txn_new(db);
        txn_stamped_key(&txn, "stamp/\0\0\0\0\0\0\0\0\0\0", 16, 6, name(value, "%d", i));
        CHECK(txn_commit(&txn) == FINE, "error %d", txn.error);
        txn_free(&txn);
    }
    txn_t txn = txn_new(db);
    page_t page;
    CHECK(txn_range(&txn, "stamp/", true, "stamp0", false, 0, true, &page) == FINE, "all");
    CHECK(page.count == many, "%d rows", page.count);
    for (int i = 0; i < many; i++) {
        CHECK(page.rows[i].key.size == 16, "%d bytes", page.rows[i].key.size);
        CHECK(atoi(page.rows[i].value.data) == i, "%s is number %d", page.rows[i].value.data, i);
    }
    page_free(&page);
    txn_free(&txn);
}

void stamped_values_change_where_they_should(FDBDatabase *db) {
    char value[1024], last[10] = {0};
    srand(1);
    for (int i = 0; i < 2 * scale; i++) {
        memset(value, 'v', sizeof value);
        const int offset = rand() % (int)(sizeof value - 10);
        txn_t txn = txn_new(db);
        txn_stamped_value(&txn, "stamped", value, sizeof value, (uint32_t)offset);
        CHECK(txn_commit(&txn) == FINE, "error %d", txn.error);
        txn_free(&txn);
        txn = txn_new(db);
        blob_t found;
        bool present;
        CHECK(txn_get(&txn, "stamped", false, &found, &present) == FINE && present, "it is there");
        CHECK(found.size == (int)sizeof value, "%d bytes", found.size);
        CHECK(memcmp(found.data + offset, last, 10) > 0, "stamps grow");
        memcpy(last, found.data + offset, 10);
        memset(found.data + offset, 'v', 10);
        CHECK(memcmp(found.data, value, sizeof value) == 0, "the rest is as it was");
        blob_free(&found);
        txn_free(&txn);
    }
}

/* The distributor: every server's record and the map are stamped by the same commit. */
void the_metadata_version_tells_what_is_new(FDBDatabase *db) {
    const char zeros[10] = {0};
    blob_t values[2] = {{NULL, 0}, {NULL, 0}}, record = {NULL, 0};
    for (int i = 0; i < 2; i++) {
        txn_t txn = txn_new(db);
        txn_stamped_value(&txn, "\xff/metadataVersion", zeros, 10, 0);
        txn_stamped_value(&txn, "META/server", zeros, 10, 0);
        CHECK(txn_commit(&txn) == FINE, "error %d", txn.error);
        txn_free(&txn);
        txn = txn_new(db);
        bool present;
        status_t status = txn_get(&txn, "\xff/metadataVersion", false, &values[i], &present);
        CHECK(status == FINE && present && values[i].size == 10, "error %d", txn.error);
        status = txn_get(&txn, "META/server", false, &record, &present);
        CHECK(status == FINE && present, "error %d", txn.error);
        CHECK(memcmp(record.data, values[i].data, 10) == 0, "the same stamp");
        blob_free(&record);
        txn_free(&txn);
    }
    CHECK(memcmp(values[0].data, values[1].data, 10) < 0, "it grows");
    blob_free(&values[0]);
    blob_free(&values[1]);
}
