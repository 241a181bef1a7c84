package main

import (
	"strings"

	"github.com/apple/foundationdb/bindings/go/src/fdb"
	"github.com/apple/foundationdb/bindings/go/src/fdb/subspace"
	"github.com/apple/foundationdb/bindings/go/src/fdb/tuple"
)

// locality asks where keys are, and how many bytes lie between them.
func locality(db fdb.Database, space subspace.Subspace) {
	all := fdb.KeyRange{Begin: fdb.Key(""), End: fdb.Key("\xff")}
	boundaries, err := db.LocalityGetBoundaryKeys(all, 0, 0)
	fine(err)
	check(len(boundaries) > 0, "at least one shard")
	same(boundaries[0], fdb.Key(""))
	tr := begin(db)
	addresses := tr.LocalityGetAddressesForKey(space).MustGet()
	same(len(addresses), 1)
	check(strings.HasPrefix(addresses[0], "127.0.0.1:"), "%s", addresses[0])

	fill(db, space, rowCount)
	const bytesMin = rowCount * 100
	tr = begin(db)
	size := tr.GetEstimatedRangeSizeBytes(space).MustGet()
	check(size > bytesMin/4 && size < bytesMin*4, "%d bytes are estimated", size)
	first, last := space.FDBRangeKeys()
	points := tr.GetRangeSplitPoints(space, 20_000).MustGet()
	check(len(points) > 3, "%d points", len(points))
	same(points[0], first)
	same(points[len(points)-1], last)
	for i := 1; i < len(points); i++ {
		check(string(points[i-1]) < string(points[i]), "they are in order")
	}
	// Neither of these reads anything that could conflict.
	write(db, func(tr fdb.Transaction) { tr.Set(space.Pack(tuple.Tuple{0}), nil) })
	tr.Set(space, nil)
	fine(tr.Commit().Get())
}

// databases opens them in all ways, and one that isn't there.
func databases(db fdb.Database, space subspace.Subspace) {
	write(db, func(tr fdb.Transaction) { tr.Set(space, []byte("here")) })
	same(fdb.MustOpenDefault() == db, true)
	named, err := fdb.OpenWithConnectionString(clusterFile())
	fine(err)
	same(string(read(named, space)), "here")
	tr := begin(named)
	named.Close()
	// A transaction keeps what it needs.
	same(string(tr.Get(space).MustGet()), "here")

	missing := fdb.MustOpenDatabase("/nonexistent/fdb.cluster")
	_, err = begin(missing).Get(space).Get()
	wants(err, 1515)
	wrong, err := fdb.OpenWithConnectionString("what is this")
	if err == nil {
		_, err = begin(wrong).Get(space).Get()
	}
	wants(err, 2104)
	_, err = fdb.Open("", []byte("not DB"))
	wants(err, 2013)
}
