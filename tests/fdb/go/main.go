// A program in Go that uses every part of FoundationDB's binding: what it sees must be what
// FoundationDB shows. It takes the API version, and the name of a scenario if it shall be only one,
// finds the database by the default cluster file, and prints the name of each scenario that went
// well. The first that doesn't ends it.
package main

import (
	"fmt"
	"os"
	"strconv"

	"github.com/apple/foundationdb/bindings/go/src/fdb"
	"github.com/apple/foundationdb/bindings/go/src/fdb/subspace"
)

// scenarios run one after the other, each with a part of the key space of its own.
var scenarios = []struct {
	name string
	run  func(db fdb.Database, space subspace.Subspace)
}{
	{"accounts", accounts},
	{"counter", counter},
	{"conflict", conflict},
	{"conflict ranges", conflictRanges},
	{"conflict report", conflictReport},
	{"range modes", rangeModes},
	{"iterators", iterators},
	{"selectors", selectors},
	{"own writes", ownWrites},
	{"atomic operations", atomicOperations},
	{"watches", watches},
	{"watch limit", watchLimit},
	{"versionstamped keys", versionstampedKeys},
	{"versionstamped values", versionstampedValues},
	{"tuples in order", tuplesInOrder},
	{"directories", directories},
	{"partitions", partitions},
	{"many directories at once", manyDirectories},
	{"options", options},
	{"timeouts and retry limits", timeoutsAndRetryLimits},
	{"versions", versions},
	{"sizes", sizes},
	{"errors", faults},
	{"cancelled", cancelled},
	{"system keys", systemKeys},
	{"locality", locality},
	{"databases", databases},
}

func main() {
	defer func() {
		switch reason := recover().(type) {
		case nil:
		case failure:
			fmt.Fprintln(os.Stderr, string(reason))
			os.Exit(1)
		default:
			panic(reason)
		}
	}()
	version, err := strconv.Atoi(os.Args[1])
	check(err == nil, "the API version: %v", err)
	wants(fdb.APIVersion(10_000), 2203)
	fdb.MustAPIVersion(version)
	wants(fdb.APIVersion(version-1), 2201)
	db := fdb.MustOpenDefault()
	for _, scenario := range scenarios {
		if len(os.Args) > 2 && os.Args[2] != scenario.name {
			continue
		}
		scenario.run(db, subspace.Sub(scenario.name))
		fmt.Println(scenario.name)
	}
}
