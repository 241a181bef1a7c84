package main

import (
	"bytes"
	"encoding/binary"

	"github.com/apple/foundationdb/bindings/go/src/fdb"
	"github.com/apple/foundationdb/bindings/go/src/fdb/subspace"
	"github.com/apple/foundationdb/bindings/go/src/fdb/tuple"
)

// versionstampedKeys keeps a log whose keys are in the order of the commits.
func versionstampedKeys(db fdb.Database, space subspace.Subspace) {
	const commits, each = 20, 3
	var stamps []fdb.Key
	for i := 0; i < commits; i++ {
		tr := begin(db)
		for j := 0; j < each; j++ {
			stamp := tuple.IncompleteVersionstamp(uint16(j))
			key, err := space.PackWithVersionstamp(tuple.Tuple{stamp, "end"})
			fine(err)
			tr.SetVersionstampedKey(fdb.Key(key), []byte{byte(i), byte(j)})
		}
		promised := tr.GetVersionstamp()
		fine(tr.Commit().Get())
		stamp := promised.MustGet()
		same(len(stamp), 10)
		version, err := tr.GetCommittedVersion()
		fine(err)
		same(binary.BigEndian.Uint64(stamp), version)
		stamps = append(stamps, stamp)
	}
	rows := begin(db).GetRange(space, fdb.RangeOptions{}).GetSliceOrPanic()
	same(len(rows), commits*each)
	for i, row := range rows {
		same(row.Value, []byte{byte(i / each), byte(i % each)})
		elements, err := space.Unpack(row.Key)
		fine(err)
		stamp := elements[0].(tuple.Versionstamp)
		check(bytes.Equal(stamp.TransactionVersion[:], stamps[i/each]), "the stamp that was promised")
		same(stamp.UserVersion, i%each)
		same(elements[1], "end")
	}

	// Nobody can know yet what the key will be.
	tr := begin(db)
	key, err := space.PackWithVersionstamp(tuple.Tuple{tuple.IncompleteVersionstamp(0)})
	fine(err)
	tr.SetVersionstampedKey(fdb.Key(key), nil)
	_, err = tr.GetRange(space, fdb.RangeOptions{}).GetSliceWithError()
	wants(err, 1036)
	wants(tr.Commit().Get(), 1036)

	// A transaction that writes nothing has no stamp, nor one that fails.
	tr = begin(db)
	promised := tr.GetVersionstamp()
	fine(tr.Commit().Get())
	_, err = promised.Get()
	wants(err, 2021)
	tr = begin(db)
	promised = tr.GetVersionstamp()
	tr.Get(space).MustGet()
	write(db, func(tr fdb.Transaction) { tr.Set(space, nil) })
	tr.Set(space, nil)
	wants(tr.Commit().Get(), 1020)
	_, err = promised.Get()
	wants(err, 2020)
}

// versionstampedValues puts stamps into values, where the last four bytes say.
func versionstampedValues(db fdb.Database, space subspace.Subspace) {
	operand := append(bytes.Repeat([]byte("-"), 15), 3, 0, 0, 0)
	tr := begin(db)
	tr.SetVersionstampedValue(space, operand)
	promised := tr.GetVersionstamp()
	_, err := tr.Get(space).Get()
	wants(err, 1036)
	// A read that has failed is not forgotten.
	wants(tr.Commit().Get(), 1036)
	_, err = promised.Get()
	wants(err, 2020)

	tr = begin(db)
	fine(tr.Options().SetBypassUnreadable())
	tr.SetVersionstampedValue(space, operand)
	same(tr.Get(space).MustGet(), operand)
	promised = tr.GetVersionstamp()
	fine(tr.Commit().Get())
	stamp := promised.MustGet()
	same(read(db, space), append(append([]byte("---"), stamp...), "--"...))

	// Too short for a stamp at that place.
	tr = begin(db)
	tr.SetVersionstampedValue(space, append(bytes.Repeat([]byte("-"), 12), 3, 0, 0, 0))
	wants(tr.Commit().Get(), 2000)

	// The one system key that everyone may read and stamp.
	metadata := fdb.Key("\xff/metadataVersion")
	write(db, func(tr fdb.Transaction) { tr.SetVersionstampedValue(metadata, make([]byte, 14)) })
	first := read(db, metadata)
	write(db, func(tr fdb.Transaction) { tr.SetVersionstampedValue(metadata, make([]byte, 14)) })
	second := read(db, metadata)
	check(len(first) == 10 && bytes.Compare(first, second) < 0, "%v, then %v", first, second)
	tr = begin(db)
	tr.Set(metadata, make([]byte, 10))
	wants(tr.Commit().Get(), 2000)
}
