/* The handles and numbers of the FoundationDB C API. */

#ifndef FDB_C_TYPES_H
#define FDB_C_TYPES_H

#ifndef DLLEXPORT
#define DLLEXPORT
#endif

#ifdef __cplusplus
extern "C" {
#endif

/* What a call gives that answers later, and one that answers at once. */
typedef struct FDB_future FDBFuture;
typedef struct FDB_result FDBResult;

/* What a program works with. */
typedef struct FDB_cluster FDBCluster;
typedef struct FDB_database FDBDatabase;
typedef struct FDB_tenant FDBTenant;
typedef struct FDB_transaction FDBTransaction;

/* 0 for success, else the number of an error; fdb_get_error says what it means. */
typedef int fdb_error_t;
/* 0 or 1. */
typedef int fdb_bool_t;

#ifdef __cplusplus
}
#endif

#endif
