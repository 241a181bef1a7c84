package main

import (
	"bytes"
	"fmt"
	"time"

	"github.com/apple/foundationdb/bindings/go/src/fdb"
	"github.com/apple/foundationdb/bindings/go/src/fdb/subspace"
)

// options sets those that change what a transaction sees, and some that don't.
func options(db fdb.Database, space subspace.Subspace) {
	write(db, func(tr fdb.Transaction) { tr.Set(space, []byte("old")) })

	tr := begin(db)
	fine(tr.Options().SetReadYourWritesDisable())
	tr.Set(space, []byte("new"))
	same(string(tr.Get(space).MustGet()), "old")
	tr = begin(db)
	tr.Set(space, []byte("new"))
	// Too late: the error stays until the end.
	fine(tr.Options().SetReadYourWritesDisable())
	wants(tr.Commit().Get(), 2000)

	tr = begin(db)
	fine(tr.Options().SetSnapshotRywDisable())
	tr.Set(space, []byte("new"))
	same(string(tr.Snapshot().Get(space).MustGet()), "old")
	same(string(tr.Get(space).MustGet()), "new")
	fine(tr.Options().SetSnapshotRywEnable())
	same(string(tr.Snapshot().Get(space).MustGet()), "new")

	for _, set := range []func(fdb.TransactionOptions) error{
		fdb.TransactionOptions.SetPriorityBatch,
		fdb.TransactionOptions.SetPrioritySystemImmediate,
		fdb.TransactionOptions.SetCausalReadRisky,
		fdb.TransactionOptions.SetCausalWriteRisky,
		fdb.TransactionOptions.SetAutomaticIdempotency,
		fdb.TransactionOptions.SetLockAware,
		func(o fdb.TransactionOptions) error { return o.SetTag("a tag") },
		func(o fdb.TransactionOptions) error { return o.SetDebugTransactionIdentifier("me") },
		func(o fdb.TransactionOptions) error { return o.SetMaxRetryDelay(5) },
	} {
		tr := begin(db)
		fine(set(tr.Options()))
		tr.Set(space, []byte("with an option"))
		fine(tr.Commit().Get())
	}
	// What makes no sense is found out later.
	for _, set := range []func(fdb.TransactionOptions) error{
		func(o fdb.TransactionOptions) error { return o.SetTimeout(-1) },
		func(o fdb.TransactionOptions) error { return o.SetSizeLimit(31) },
		func(o fdb.TransactionOptions) error { return o.SetDebugTransactionIdentifier("") },
	} {
		tr := begin(db)
		fine(set(tr.Options()))
		_, err := tr.Get(space).Get()
		wants(err, 2006)
	}
	// The network runs: too late for this.
	wants(fdb.Options().SetTraceEnable("/tmp"), 2007)
}

// timeoutsAndRetryLimits ends transactions that take too long.
func timeoutsAndRetryLimits(_ fdb.Database, space subspace.Subspace) {
	db, err := fdb.OpenWithConnectionString(clusterFile())
	fine(err)
	defer db.Close()
	untilTimedOut := func(tr fdb.Transaction) {
		for began := time.Now(); ; {
			if _, err := tr.Get(space).Get(); err != nil {
				wants(err, 1031)
				break
			}
			check(time.Since(began) < patience, "it never times out")
		}
		wants(tr.Commit().Get(), 1031)
		wants(tr.OnError(fdb.Error{Code: 1020}).Get(), 1031)
	}
	tr := begin(db)
	fine(tr.Options().SetTimeout(20))
	untilTimedOut(tr)
	tr.Reset()
	tr.Get(space).MustGet()

	// Attempts are counted from the first.
	tr = begin(db)
	fine(tr.Options().SetRetryLimit(2))
	fine(tr.Options().SetMaxRetryDelay(1))
	fine(tr.OnError(fdb.Error{Code: 1020}).Get())
	fine(tr.OnError(fdb.Error{Code: 1007}).Get())
	wants(tr.OnError(fdb.Error{Code: 1021}).Get(), 1021)
	_, err = tr.Get(space).Get()
	wants(err, 1025)

	// The database gives each transaction its own.
	fine(db.Options().SetTransactionTimeout(20))
	untilTimedOut(begin(db))
	fine(db.Options().SetTransactionTimeout(0))
	fine(db.Options().SetTransactionRetryLimit(1))
	attempts := 0
	_, err = db.Transact(func(tr fdb.Transaction) (interface{}, error) {
		attempts++
		return nil, fmt.Errorf("wrapped: %w", fdb.Error{Code: 1020})
	})
	wants(err, 1020)
	same(attempts, 2)
}

// versions reads the past, and waits for the future in vain.
func versions(db fdb.Database, space subspace.Subspace) {
	var committed []int64
	for _, value := range []string{"one", "two", "three"} {
		tr := begin(db)
		tr.Set(space, []byte(value))
		fine(tr.Commit().Get())
		version, err := tr.GetCommittedVersion()
		fine(err)
		committed = append(committed, version)
	}
	for i, value := range []string{"one", "two", "three"} {
		tr := begin(db)
		tr.SetReadVersion(committed[i])
		same(tr.GetReadVersion().MustGet(), committed[i])
		same(string(tr.Get(space).MustGet()), value)
	}
	check(begin(db).GetReadVersion().MustGet() >= committed[2], "what is committed is seen")

	tr := begin(db)
	_, err := tr.GetCommittedVersion()
	fine(err)
	fine(tr.Commit().Get())
	nothing, err := tr.GetCommittedVersion()
	fine(err)
	same(nothing, -1)

	tr = begin(db)
	tr.SetReadVersion(committed[2] + 1_000_000_000)
	_, err = tr.Get(space).Get()
	wants(err, 1009)
	tr = begin(db)
	tr.SetReadVersion(0)
	_, err = tr.Get(space).Get()
	wants(err, 2011)
	tr = begin(db)
	tr.GetReadVersion().MustGet()
	tr.SetReadVersion(committed[2])
	_, err = tr.Get(space).Get()
	wants(err, 2010)
}

// sizes asks how large a transaction is, and makes it too large.
func sizes(db fdb.Database, space subspace.Subspace) {
	tr := begin(db)
	empty := tr.GetApproximateSize().MustGet()
	tr.Set(space, bytes.Repeat([]byte("x"), 1000))
	set := tr.GetApproximateSize().MustGet()
	check(set >= empty+1000, "%d, then %d", empty, set)
	tr.Get(space.Sub("read")).MustGet()
	check(tr.GetApproximateSize().MustGet() > set, "what is read counts too")
	fine(tr.Options().SetSizeLimit(500))
	wants(tr.Commit().Get(), 2101)

	tr = begin(db)
	for i := 0; i < 101; i++ {
		tr.Set(space.Sub(i), make([]byte, 100_000))
	}
	wants(tr.Commit().Get(), 2101)
}
