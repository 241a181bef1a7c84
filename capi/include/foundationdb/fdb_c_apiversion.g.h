/* The newest API version of this header, and the one that bindings should ask for. */

#ifndef FDB_C_APIVERSION_G_H
#define FDB_C_APIVERSION_G_H

#define FDB_LATEST_API_VERSION 800
#define FDB_LATEST_BINDINGS_API_VERSION 800

#endif
