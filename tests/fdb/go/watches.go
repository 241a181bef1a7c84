package main

import (
	"fmt"
	"os"
	"strings"

	"github.com/apple/foundationdb/bindings/go/src/fdb"
	"github.com/apple/foundationdb/bindings/go/src/fdb/subspace"
)

// watch gives a future that is ready when a key has changed.
func watch(db fdb.Database, key fdb.KeyConvertible) fdb.FutureNil {
	future, err := db.Transact(func(tr fdb.Transaction) (interface{}, error) {
		return tr.Watch(key), nil
	})
	fine(err)
	return future.(fdb.FutureNil)
}

// watches waits for changes, from many goroutines too.
func watches(db fdb.Database, space subspace.Subspace) {
	key := space.Sub("key")
	absent := watch(db, key)
	check(!absent.IsReady(), "nothing has changed yet")
	write(db, func(tr fdb.Transaction) { tr.Set(key, []byte("one")) })
	fine(soon(absent))

	// Another key, the same value, what comes to nothing: none of these is a change.
	changed := watch(db, key)
	write(db, func(tr fdb.Transaction) { tr.Set(space.Sub("other"), nil) })
	write(db, func(tr fdb.Transaction) { tr.Set(key, []byte("one")) })
	write(db, func(tr fdb.Transaction) { tr.Add(key, []byte{0, 0, 0}) })
	check(!changed.IsReady(), "the value is still the same")
	write(db, func(tr fdb.Transaction) { tr.Clear(key) })
	fine(soon(changed))

	// Many at once, on one key and on many.
	const each = 50
	var waiting []fdb.FutureNil
	for i := 0; i < each; i++ {
		waiting = append(waiting, watch(db, key), watch(db, space.Sub("many", i)))
	}
	write(db, func(tr fdb.Transaction) {
		tr.Set(key, []byte("two"))
		for i := 0; i < each; i++ {
			tr.Set(space.Sub("many", i), []byte(fmt.Sprint(i)))
		}
	})
	for _, future := range waiting {
		fine(soon(future))
	}

	// It compares with what its transaction has written.
	tr := begin(db)
	tr.Set(key, []byte("three"))
	own := tr.Watch(key)
	fine(tr.Commit().Get())
	check(!own.IsReady(), "the change was ours")
	write(db, func(tr fdb.Transaction) { tr.Set(key, []byte("four")) })
	fine(soon(own))

	// A watch ends with its cancellation, and before it is committed with its transaction.
	given := watch(db, key)
	given.Cancel()
	wants(soon(given), 1101)
	tr = begin(db)
	lost := tr.Watch(key)
	tr.Reset()
	wants(soon(lost), 1025)
	tr = begin(db)
	fine(tr.Options().SetReadYourWritesDisable())
	wants(soon(tr.Watch(key)), 1034)
}

// clusterFile is where the server is.
func clusterFile() string {
	text, err := os.ReadFile(os.Getenv("FDB_CLUSTER_FILE"))
	fine(err)
	return strings.TrimSpace(string(text))
}

// watchLimit has one watch too many.
func watchLimit(_ fdb.Database, space subspace.Subspace) {
	db, err := fdb.OpenWithConnectionString(clusterFile())
	fine(err)
	defer db.Close()
	fine(db.Options().SetMaxWatches(2))
	first, second := watch(db, space.Sub(1)), watch(db, space.Sub(2))
	wants(soon(watch(db, space.Sub(3))), 1032)
	check(!first.IsReady() && !second.IsReady(), "the first two wait")
	// One that has gone leaves room.
	first.Cancel()
	third := watch(db, space.Sub(3))
	write(db, func(tr fdb.Transaction) { tr.Set(space.Sub(3), nil) })
	fine(soon(third))
	second.Cancel()
}
