package main

import (
	"bytes"
	"strings"

	"github.com/apple/foundationdb/bindings/go/src/fdb"
	"github.com/apple/foundationdb/bindings/go/src/fdb/subspace"
)

// faults does what must not be done.
func faults(db fdb.Database, space subspace.Subspace) {
	long := fdb.Key(bytes.Repeat([]byte("k"), 10_001))
	backwards := fdb.KeyRange{Begin: fdb.Key("b"), End: fdb.Key("a")}
	cases := []struct {
		code int
		does func(tr fdb.Transaction)
	}{
		{2102, func(tr fdb.Transaction) { tr.Set(long, nil) }},
		{2103, func(tr fdb.Transaction) { tr.Set(space, make([]byte, 100_001)) }},
		{2102, func(tr fdb.Transaction) { tr.Add(long, nil) }},
		{2005, func(tr fdb.Transaction) { tr.ClearRange(backwards) }},
		{2004, func(tr fdb.Transaction) { tr.Set(fdb.Key("\xff/mine"), nil) }},
		{2004, func(tr fdb.Transaction) { tr.Clear(fdb.Key("\xff/mine")) }},
		{2000, func(tr fdb.Transaction) { tr.SetVersionstampedKey(fdb.Key("abc"), nil) }},
		// The first error is the one that stays.
		{2005, func(tr fdb.Transaction) {
			tr.ClearRange(backwards)
			tr.Set(long, nil)
		}},
	}
	for _, a := range cases {
		tr := begin(db)
		a.does(tr)
		_, err := tr.Get(space).Get()
		wants(err, a.code)
		wants(tr.Commit().Get(), a.code)
		wants(tr.OnError(fdb.Error{Code: a.code}).Get(), a.code)
		// The error stays until it is reset.
		_, err = tr.Get(space).Get()
		wants(err, a.code)
		tr.Reset()
		tr.Get(space).MustGet()
	}
	tr := begin(db)
	same(tr.Get(long).MustGet(), []byte(nil))
	tr.Clear(long)
	_, err := tr.Get(fdb.Key("\xff/mine")).Get()
	wants(err, 2004)
	_, err = tr.GetKey(fdb.FirstGreaterThan(fdb.Key("\xff\x01"))).Get()
	wants(err, 2004)
	_, err = tr.GetRange(space, fdb.RangeOptions{Limit: -2}).GetSliceWithError()
	wants(err, 2012)
	// None of these were the transaction's.
	fine(tr.Commit().Get())

	// Used up by its commit.
	tr = begin(db)
	tr.Set(space, nil)
	fine(tr.Commit().Get())
	_, err = tr.Get(space).Get()
	wants(err, 2017)
	wants(tr.Commit().Get(), 2017)
	tr.Reset()
	tr.Get(space).MustGet()

	// Programs show these to people, and look for them in logs.
	text := fdb.Error{Code: 1020}.Error()
	check(strings.Contains(text, "not committed due to conflict"), "%s", text)
	check(strings.Contains(fdb.Error{Code: 1007}.Error(), "too old"), "1007")
	check(fdb.Error{Code: 31999}.Error() != "", "an unknown code has a text too")
}

// cancelled ends transactions and futures while they are at work.
func cancelled(db fdb.Database, space subspace.Subspace) {
	tr := begin(db)
	tr.Set(space, nil)
	tr.Cancel()
	_, err := tr.Get(space).Get()
	wants(err, 1025)
	wants(tr.Commit().Get(), 1025)
	wants(tr.OnError(fdb.Error{Code: 1020}).Get(), 1025)
	tr.Reset()
	tr.Get(space).MustGet()

	// Reads that wait for a version to come.
	waits := func() (fdb.Transaction, fdb.FutureByteSlice) {
		tr := begin(db)
		tr.SetReadVersion(begin(db).GetReadVersion().MustGet() + 100_000_000)
		return tr, tr.Get(space)
	}
	tr, future := waits()
	check(!future.IsReady(), "it waits")
	future.Cancel()
	_, err = future.Get()
	wants(err, 1101)
	tr.Reset()
	tr, future = waits()
	tr.Cancel()
	_, err = future.Get()
	wants(err, 1025)
	tr, future = waits()
	tr.Reset()
	_, err = future.Get()
	wants(err, 1025)
	tr.Get(space).MustGet()
}

// systemKeys looks where only those look who say so.
func systemKeys(db fdb.Database, space subspace.Subspace) {
	tr := begin(db)
	fine(tr.Options().SetReadSystemKeys())
	tr.Set(fdb.Key("\xff\x02/mine"), nil)
	wants(tr.Commit().Get(), 2004)
	key := fdb.Key("\xff\x02/plinth/test")
	write(db, func(tr fdb.Transaction) {
		fine(tr.Options().SetAccessSystemKeys())
		tr.Set(key, []byte("a value"))
	})
	tr = begin(db)
	fine(tr.Options().SetReadSystemKeys())
	same(string(tr.Get(key).MustGet()), "a value")
	same(tr.GetKey(fdb.LastLessThan(fdb.Key("\xff\xff"))).MustGet()[0], 0xff)
	// A clear of all there is leaves it alone.
	tr = begin(db)
	tr.ClearRange(fdb.KeyRange{Begin: fdb.Key(""), End: fdb.Key("\xff")})
	tr.Set(space, nil)
	fine(tr.Options().SetReadSystemKeys())
	same(string(tr.Get(key).MustGet()), "a value")

	for _, name := range []string{"connection_string", "cluster_file_path", "status/json"} {
		check(len(begin(db).Get(fdb.Key("\xff\xff/"+name)).MustGet()) > 0, "%s", name)
	}
	same(string(begin(db).Get(fdb.Key("\xff\xff/connection_string")).MustGet()), clusterFile())
	tr = begin(db)
	tr.Get(space.Sub("read")).MustGet()
	reads := fdb.KeyRange{
		Begin: fdb.Key("\xff\xff/transaction/read_conflict_range/"),
		End:   fdb.Key("\xff\xff/transaction/read_conflict_range/\xff\xff"),
	}
	same(len(tr.GetRange(reads, fdb.RangeOptions{}).GetSliceOrPanic()), 2)
	tr.Set(fdb.Key("\xff\xff/connection_string"), nil)
	_, err := tr.Get(space).Get()
	if fdb.MustGetAPIVersion() >= 700 {
		wants(err, 2114)
	} else {
		// Nothing could be written there at all.
		wants(err, 2004)
	}
}
