package main

import (
	"bytes"

	"github.com/apple/foundationdb/bindings/go/src/fdb"
	"github.com/apple/foundationdb/bindings/go/src/fdb/subspace"
)

// conflict has somebody else write what a transaction has read.
func conflict(db fdb.Database, space subspace.Subspace) {
	read, written := space.Sub("read"), space.Sub("written")
	tr := begin(db)
	same(tr.Get(read).MustGet(), []byte(nil))
	write(db, func(tr fdb.Transaction) { tr.Set(read, []byte("theirs")) })
	tr.Set(written, []byte("ours"))
	err := tr.Commit().Get()
	wants(err, 1020)
	fine(tr.OnError(err.(fdb.Error)).Get())
	// It has been reset, and reads anew.
	same(tr.Get(read).MustGet(), []byte("theirs"))
	same(tr.Get(written).MustGet(), []byte(nil))
	tr.Set(written, []byte("ours"))
	fine(tr.Commit().Get())

	// The retry loop does the same.
	attempts := 0
	write(db, func(tr fdb.Transaction) {
		attempts++
		tr.Get(read).MustGet()
		if attempts < 3 {
			write(db, func(tr fdb.Transaction) { tr.Set(read, []byte{byte(attempts)}) })
		}
		tr.Set(written, []byte{byte(attempts)})
	})
	same(attempts, 3)
	same(tr.GetDatabase() == db, true)

	// Nothing is retried that can't succeed.
	_, err = db.Transact(func(tr fdb.Transaction) (interface{}, error) {
		return nil, fdb.Error{Code: 2101}
	})
	wants(err, 2101)
}

// conflictRanges says what counts as read and as written, beyond what was.
func conflictRanges(db fdb.Database, space subspace.Subspace) {
	whole, err := fdb.PrefixRange(space.Bytes())
	fine(err)
	theirs, ours := space.Sub("theirs"), space.Sub("ours")
	// Each is done before somebody writes; whether the commit then fails is said beside it.
	cases := []struct {
		fails bool
		does  func(tr fdb.Transaction)
	}{
		{false, func(tr fdb.Transaction) {}},
		{true, func(tr fdb.Transaction) { tr.Get(theirs).MustGet() }},
		{false, func(tr fdb.Transaction) { tr.Get(ours).MustGet() }},
		{false, func(tr fdb.Transaction) { tr.Snapshot().Get(theirs).MustGet() }},
		{true, func(tr fdb.Transaction) {
			tr.GetRange(whole, fdb.RangeOptions{}).GetSliceOrPanic()
		}},
		{false, func(tr fdb.Transaction) {
			tr.Snapshot().GetRange(whole, fdb.RangeOptions{}).GetSliceOrPanic()
		}},
		{true, func(tr fdb.Transaction) { tr.GetKey(fdb.FirstGreaterThan(ours)).MustGet() }},
		{false, func(tr fdb.Transaction) {
			tr.Snapshot().GetKey(fdb.FirstGreaterThan(ours)).MustGet()
		}},
		{true, func(tr fdb.Transaction) { fine(tr.AddReadConflictKey(theirs)) }},
		{false, func(tr fdb.Transaction) { fine(tr.AddReadConflictKey(ours)) }},
		{true, func(tr fdb.Transaction) { fine(tr.AddReadConflictRange(whole)) }},
		{true, func(tr fdb.Transaction) { tr.Watch(theirs) }},
		// What a transaction has itself written it doesn't read from the database.
		{false, func(tr fdb.Transaction) {
			tr.Set(theirs, []byte("mine"))
			tr.Get(theirs).MustGet()
		}},
	}
	for i, a := range cases {
		tr := begin(db)
		tr.GetReadVersion().MustGet()
		a.does(tr)
		write(db, func(tr fdb.Transaction) { tr.Set(theirs, []byte{byte(i)}) })
		tr.Set(ours, []byte("here"))
		err := tr.Commit().Get()
		check((err != nil) == a.fails, "case %d: %v", i, err)
		if err != nil {
			wants(err, 1020)
		}
	}

	// Writes that are only said to be.
	for _, says := range []func(tr fdb.Transaction) error{
		func(tr fdb.Transaction) error { return tr.AddWriteConflictKey(theirs) },
		func(tr fdb.Transaction) error { return tr.AddWriteConflictRange(whole) },
	} {
		tr := begin(db)
		tr.Get(theirs).MustGet()
		tr.Set(ours, nil)
		write(db, func(tr fdb.Transaction) { fine(says(tr)) })
		wants(tr.Commit().Get(), 1020)
	}
	// And one that isn't.
	tr := begin(db)
	tr.Get(theirs).MustGet()
	tr.Set(ours, nil)
	write(db, func(tr fdb.Transaction) {
		fine(tr.Options().SetNextWriteNoWriteConflictRange())
		tr.Set(theirs, nil)
	})
	fine(tr.Commit().Get())
	wants(tr.AddReadConflictRange(fdb.KeyRange{Begin: fdb.Key("b"), End: fdb.Key("a")}), 2005)
}

// conflictReport asks which keys have conflicted.
func conflictReport(db fdb.Database, space subspace.Subspace) {
	lost, kept := space.Sub("lost"), space.Sub("kept")
	tr := begin(db)
	fine(tr.Options().SetReportConflictingKeys())
	tr.Get(lost).MustGet()
	tr.Get(kept).MustGet()
	write(db, func(tr fdb.Transaction) { tr.Set(lost, nil) })
	tr.Set(kept, nil)
	wants(tr.Commit().Get(), 1020)
	prefix := []byte("\xff\xff/transaction/conflicting_keys/")
	keys := fdb.KeyRange{Begin: fdb.Key(prefix), End: fdb.Key(append(prefix[:len(prefix):len(prefix)], 0xff))}
	rows := tr.GetRange(keys, fdb.RangeOptions{}).GetSliceOrPanic()
	same(len(rows), 2)
	same(rows[0].Key[len(prefix):], fdb.Key(lost.Bytes()))
	same(rows[0].Value, []byte("1"))
	same(rows[1].Key[len(prefix):], fdb.Key(bytes.Join([][]byte{lost.Bytes(), {0}}, nil)))
	same(rows[1].Value, []byte("0"))
}
