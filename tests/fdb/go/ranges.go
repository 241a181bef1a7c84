package main

import (
	"fmt"

	"github.com/apple/foundationdb/bindings/go/src/fdb"
	"github.com/apple/foundationdb/bindings/go/src/fdb/subspace"
	"github.com/apple/foundationdb/bindings/go/src/fdb/tuple"
)

// rowCount rows are more than any mode has in one page but two.
const rowCount = 1200

// fill writes rows of a little more than 100 bytes, and gives them.
func fill(db fdb.Database, space subspace.Subspace, many int) []fdb.KeyValue {
	rows := make([]fdb.KeyValue, many)
	for i := range rows {
		rows[i].Key = space.Pack(tuple.Tuple{i})
		rows[i].Value = []byte(fmt.Sprintf("%0100d", i))
	}
	write(db, func(tr fdb.Transaction) {
		for _, row := range rows {
			tr.Set(row.Key, row.Value)
		}
	})
	return rows
}

// expect gives what a range read must answer.
func expect(rows []fdb.KeyValue, options fdb.RangeOptions) []fdb.KeyValue {
	expected := append([]fdb.KeyValue(nil), rows...)
	if options.Reverse {
		for i, j := 0, len(expected)-1; i < j; i, j = i+1, j-1 {
			expected[i], expected[j] = expected[j], expected[i]
		}
	}
	if options.Limit > 0 && options.Limit < len(expected) {
		expected = expected[:options.Limit]
	}
	return expected
}

// rangeModes reads the same rows in every way there is to read them.
func rangeModes(db fdb.Database, space subspace.Subspace) {
	rows := fill(db, space, rowCount)
	modes := []fdb.StreamingMode{
		fdb.StreamingModeWantAll, fdb.StreamingModeIterator, fdb.StreamingModeExact,
		fdb.StreamingModeSmall, fdb.StreamingModeMedium, fdb.StreamingModeLarge,
		fdb.StreamingModeSerial,
	}
	for _, mode := range modes {
		for _, limit := range []int{0, 1, 7, rowCount, rowCount + 1} {
			for _, reverse := range []bool{false, true} {
				// One for each: all together may take longer than a transaction may live.
				tr := begin(db)
				options := fdb.RangeOptions{Limit: limit, Mode: mode, Reverse: reverse}
				if mode == fdb.StreamingModeExact && limit == 0 {
					// "Exactly as many as I say" makes no sense of nothing.
					iterator := tr.GetRange(space, options).Iterator()
					check(iterator.Advance(), "an error is there to be got")
					_, err := iterator.Get()
					wants(err, 2210)
					continue
				}
				same(iterate(tr.GetRange(space, options)), expect(rows, options))
				snapshot := tr.Snapshot().GetRange(space, options)
				same(snapshot.GetSliceOrPanic(), expect(rows, options))
			}
		}
	}
}

func iterate(result fdb.RangeResult) []fdb.KeyValue {
	var rows []fdb.KeyValue
	for iterator := result.Iterator(); iterator.Advance(); {
		rows = append(rows, iterator.MustGet())
	}
	return rows
}

// iterators shares one result among several, some of which stop early, while the rows go away.
func iterators(db fdb.Database, space subspace.Subspace) {
	rows := fill(db, space, rowCount)
	tr := begin(db)
	result := tr.GetRange(space, fdb.RangeOptions{})
	early, late := result.Iterator(), result.Iterator()
	for i := 0; i < 3; i++ {
		check(early.Advance(), "there is more")
		same(early.MustGet(), rows[i])
	}
	write(db, func(tr fdb.Transaction) { tr.ClearRange(space) })
	for i := 0; late.Advance(); i++ {
		same(late.MustGet(), rows[i])
	}
	check(early.Advance(), "there is still more")
	same(early.MustGet(), rows[3])
	same(len(begin(db).GetRange(space, fdb.RangeOptions{}).GetSliceOrPanic()), 0)
}

// selectors finds keys by their neighbours.
func selectors(db fdb.Database, space subspace.Subspace) {
	rows := fill(db, space, 20)
	key := func(i int) fdb.Key { return rows[i].Key }
	tr := begin(db)
	cases := []struct {
		selector fdb.KeySelector
		key      fdb.Key
	}{
		{fdb.FirstGreaterOrEqual(key(5)), key(5)},
		{fdb.FirstGreaterThan(key(5)), key(6)},
		{fdb.LastLessOrEqual(key(5)), key(5)},
		{fdb.LastLessThan(key(5)), key(4)},
		{fdb.KeySelector{Key: key(5), OrEqual: false, Offset: 8}, key(12)},
		{fdb.KeySelector{Key: key(5), OrEqual: true, Offset: -3}, key(2)},
		{fdb.FirstGreaterOrEqual(space.Pack(tuple.Tuple{100})), nil},
		{fdb.KeySelector{Key: fdb.Key(""), OrEqual: false, Offset: -5}, fdb.Key("")},
		{fdb.KeySelector{Key: fdb.Key("\xff"), OrEqual: false, Offset: 7}, fdb.Key("\xff")},
	}
	for _, a := range cases {
		found := tr.GetKey(a.selector).MustGet()
		same(found, tr.Snapshot().GetKey(a.selector).MustGet())
		if a.key != nil {
			same(found, a.key)
		} else {
			check(!space.Contains(found), "%v lies outside", found)
		}
	}
	rangeOf := func(begin, end fdb.Selectable) []fdb.KeyValue {
		some := fdb.SelectorRange{Begin: begin, End: end}
		return tr.GetRange(some, fdb.RangeOptions{}).GetSliceOrPanic()
	}
	same(rangeOf(fdb.FirstGreaterThan(key(3)), fdb.FirstGreaterThan(key(7))), rows[4:8])
	same(rangeOf(fdb.LastLessThan(key(3)), fdb.LastLessOrEqual(key(7))), rows[2:7])
	middle := fdb.KeySelector{Key: key(0), OrEqual: false, Offset: 11}
	same(rangeOf(middle, fdb.FirstGreaterOrEqual(key(15))), rows[10:15])
	same(rangeOf(fdb.FirstGreaterThan(key(7)), fdb.FirstGreaterThan(key(3))), rows[:0])
}

// ownWrites reads ranges through what the transaction itself has changed.
func ownWrites(db fdb.Database, space subspace.Subspace) {
	rows := fill(db, space, 300)
	tr := begin(db)
	expected := append([]fdb.KeyValue(nil), rows[:100]...)
	tr.ClearRange(fdb.KeyRange{Begin: rows[100].Key, End: rows[200].Key})
	added := fdb.KeyValue{Key: space.Pack(tuple.Tuple{150}), Value: []byte("again")}
	tr.Set(added.Key, added.Value)
	expected = append(expected, added)
	expected = append(expected, rows[200:299]...)
	tr.Clear(rows[299].Key)
	changed := fdb.KeyValue{Key: rows[250].Key, Value: []byte("otherwise")}
	tr.Set(changed.Key, changed.Value)
	expected[101+50] = changed
	for _, mode := range []fdb.StreamingMode{fdb.StreamingModeSmall, fdb.StreamingModeWantAll} {
		for _, reverse := range []bool{false, true} {
			options := fdb.RangeOptions{Mode: mode, Reverse: reverse}
			same(iterate(tr.GetRange(space, options)), expect(expected, options))
			same(iterate(tr.Snapshot().GetRange(space, options)), expect(expected, options))
		}
	}
	// Others see it when it is committed, at once.
	same(len(begin(db).GetRange(space, fdb.RangeOptions{}).GetSliceOrPanic()), 300)
	fine(tr.Commit().Get())
	same(begin(db).GetRange(space, fdb.RangeOptions{}).GetSliceOrPanic(), expected)
}

// atomicOperations changes values without reading them, and reads them all the same.
func atomicOperations(db fdb.Database, space subspace.Subspace) {
	cases := []struct {
		name       string
		does       func(tr fdb.Transaction, key fdb.KeyConvertible, operand []byte)
		value      string
		operand    string
		result     string
		resultNone string
	}{
		{"add", fdb.Transaction.Add, "\xff\x01", "\x02\x00\x00", "\x01\x02\x00", "\x02\x00\x00"},
		{"and", fdb.Transaction.BitAnd, "\x0f\xff", "\x3c", "\x0c", "\x3c"},
		{"or", fdb.Transaction.BitOr, "\x0f", "\x30\x01", "\x3f\x01", "\x30\x01"},
		{"xor", fdb.Transaction.BitXor, "\x0f", "\x3c", "\x33", "\x3c"},
		{"max", fdb.Transaction.Max, "\x05\x01", "\x06\x00", "\x05\x01", "\x06\x00"},
		{"min", fdb.Transaction.Min, "\x05\x01", "\x06\x00", "\x06\x00", "\x06\x00"},
		{"byte max", fdb.Transaction.ByteMax, "abc", "abd", "abd", "abd"},
		{"byte min", fdb.Transaction.ByteMin, "abc", "abd", "abc", "abd"},
		{"append", fdb.Transaction.AppendIfFits, "ab", "cd", "abcd", "cd"},
		{"clear", fdb.Transaction.CompareAndClear, "ab", "ab", "", ""},
		{"keep", fdb.Transaction.CompareAndClear, "ab", "cd", "ab", ""},
	}
	for _, a := range cases {
		there, absent := space.Sub(a.name, "there"), space.Sub(a.name, "absent")
		write(db, func(tr fdb.Transaction) { tr.Set(there, []byte(a.value)) })
		write(db, func(tr fdb.Transaction) {
			a.does(tr, there, []byte(a.operand))
			a.does(tr, absent, []byte(a.operand))
			same(string(tr.Get(there).MustGet()), a.result)
			same(string(tr.Get(absent).MustGet()), a.resultNone)
		})
		same(string(read(db, there)), a.result)
		same(string(read(db, absent)), a.resultNone)
	}
}
