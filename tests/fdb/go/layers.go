package main

import (
	"bytes"
	"fmt"
	"math/rand"
	"sort"
	"sync"

	"github.com/apple/foundationdb/bindings/go/src/fdb"
	"github.com/apple/foundationdb/bindings/go/src/fdb/directory"
	"github.com/apple/foundationdb/bindings/go/src/fdb/subspace"
	"github.com/apple/foundationdb/bindings/go/src/fdb/tuple"
)

// tuplesInOrder stores tuples as keys and finds them in the order of their elements.
func tuplesInOrder(db fdb.Database, space subspace.Subspace) {
	ordered := []tuple.Tuple{
		{nil}, {[]byte("")}, {[]byte("\x00")}, {[]byte("a")}, {[]byte("a"), 1}, {""}, {"a\x00b"}, {"é"},
		{tuple.Tuple{}}, {tuple.Tuple{nil, "x"}}, {tuple.Tuple{"x", tuple.Tuple{1}}},
		{int64(-1 << 62)}, {-70000}, {-255}, {-1}, {0}, {1}, {1, nil}, {1, 2, "x"}, {255}, {256},
		{int64(1 << 62)}, {float32(-1.5)}, {float32(2)}, {-2.5}, {0.0}, {1e300}, {false}, {true},
		{tuple.UUID{1}}, {tuple.UUID{2}},
		{tuple.Versionstamp{TransactionVersion: [10]byte{9}, UserVersion: 1}},
	}
	write(db, func(tr fdb.Transaction) {
		for _, i := range rand.New(rand.NewSource(1)).Perm(len(ordered)) {
			tr.Set(space.Pack(ordered[i]), []byte{byte(i)})
		}
	})
	rows := begin(db).GetRange(space, fdb.RangeOptions{}).GetSliceOrPanic()
	same(len(rows), len(ordered))
	for i, row := range rows {
		elements, err := space.Unpack(row.Key)
		fine(err)
		same(elements, ordered[i])
		same(row.Value, []byte{byte(i)})
	}
	// All that begin with 1.
	ones := begin(db).GetRange(space.Sub(1), fdb.RangeOptions{}).GetSliceOrPanic()
	same(len(ones), 2)
}

// directories makes, finds, moves and removes them.
func directories(db fdb.Database, _ subspace.Subspace) {
	path := func(names ...string) []string { return append([]string{"app"}, names...) }
	users, err := directory.CreateOrOpen(db, path("users"), []byte("people"))
	fine(err)
	again, err := directory.CreateOrOpen(db, path("users"), nil)
	fine(err)
	same(again.Bytes(), users.Bytes())
	same(users.GetPath(), path("users"))
	same(string(users.GetLayer()), "people")
	check(len(users.Bytes()) <= 3, "a short prefix: %v", users.Bytes())
	_, err = directory.Create(db, path("users"), nil)
	same(err, directory.ErrDirAlreadyExists)
	_, err = directory.Open(db, path("nobody"), nil)
	same(err, directory.ErrDirNotExists)
	_, err = directory.Open(db, path("users"), []byte("things"))
	check(err != nil, "the layer is another")

	write(db, func(tr fdb.Transaction) { tr.Set(users.Pack(tuple.Tuple{"ann"}), []byte("Ann")) })
	_, err = directory.Create(db, path("users", "old"), nil)
	fine(err)
	moved, err := directory.Move(db, path("users"), path("people"))
	fine(err)
	// The contents stay where they are.
	same(moved.Bytes(), users.Bytes())
	same(string(read(db, moved.Pack(tuple.Tuple{"ann"}))), "Ann")
	names, err := directory.List(db, path())
	fine(err)
	same(names, []string{"people"})
	names, err = moved.List(db, nil)
	fine(err)
	same(names, []string{"old"})

	removed, err := moved.Remove(db, nil)
	fine(err)
	same(removed, true)
	exists, err := directory.Exists(db, path("people", "old"))
	fine(err)
	same(exists, false)
	same(read(db, moved.Pack(tuple.Tuple{"ann"})), []byte(nil))
	removed, err = directory.Root().Remove(db, path("people"))
	fine(err)
	same(removed, false)

	// All of it in one transaction, which is then thrown away.
	tr := begin(db)
	_, err = directory.Create(tr, path("never"), nil)
	fine(err)
	tr.Cancel()
	exists, err = directory.Exists(db, path("never"))
	fine(err)
	same(exists, false)
}

// partitions keeps a tree of directories under one prefix.
func partitions(db fdb.Database, _ subspace.Subspace) {
	parts, err := directory.CreateOrOpen(db, []string{"parts"}, []byte("partition"))
	fine(err)
	inner, err := parts.CreateOrOpen(db, []string{"a", "b"}, nil)
	fine(err)
	same(inner.GetPath(), []string{"parts", "a", "b"})
	found, err := directory.Open(db, []string{"parts", "a", "b"}, nil)
	fine(err)
	same(found.Bytes(), inner.Bytes())
	names, err := parts.List(db, nil)
	fine(err)
	same(names, []string{"a"})
	other, err := parts.CreateOrOpen(db, []string{"c"}, nil)
	fine(err)
	// Same partition, same first bytes.
	check(inner.Bytes()[0] == other.Bytes()[0], "%v and %v", inner.Bytes(), other.Bytes())
	_, err = directory.Move(db, []string{"parts", "c"}, []string{"elsewhere"})
	check(err != nil, "nothing moves out of a partition")

	// A layer of our own place, with prefixes of our own choice.
	mine := directory.NewDirectoryLayer(subspace.Sub("nodes"), subspace.Sub("contents"), true)
	chosen, err := mine.CreatePrefix(db, []string{"chosen"}, nil, []byte("chosen prefix"))
	fine(err)
	same(string(chosen.Bytes()), "chosen prefix")
	_, err = mine.CreatePrefix(db, []string{"under"}, nil, []byte("chosen prefix/under"))
	check(err != nil, "the prefix is taken")
}

// manyDirectories makes them from many goroutines: no two get the same prefix.
func manyDirectories(db fdb.Database, _ subspace.Subspace) {
	const makers, each = 6, 8
	prefixes := make(chan []byte, makers*each)
	var working sync.WaitGroup
	for maker := 0; maker < makers; maker++ {
		working.Add(1)
		go func(maker int) {
			defer working.Done()
			for i := 0; i < each; i++ {
				path := []string{"crowd", fmt.Sprintf("%d-%d", maker, i)}
				made, err := directory.Create(db, path, nil)
				fine(err)
				prefixes <- made.Bytes()
			}
		}(maker)
	}
	working.Wait()
	close(prefixes)
	var all [][]byte
	for prefix := range prefixes {
		all = append(all, prefix)
	}
	sort.Slice(all, func(i, j int) bool { return bytes.Compare(all[i], all[j]) < 0 })
	for i := 1; i < len(all); i++ {
		check(!bytes.HasPrefix(all[i], all[i-1]), "%v lies under %v", all[i], all[i-1])
	}
	names, err := directory.List(db, []string{"crowd"})
	fine(err)
	same(len(names), makers*each)
}
