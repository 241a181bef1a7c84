package main

import (
	"math/rand"
	"sync"
	"sync/atomic"

	"github.com/apple/foundationdb/bindings/go/src/fdb"
	"github.com/apple/foundationdb/bindings/go/src/fdb/subspace"
	"github.com/apple/foundationdb/bindings/go/src/fdb/tuple"
)

const (
	accountCount = 12
	deposit      = 100
	tellers      = 8
	transfers    = 20
)

// accounts moves money from many goroutines at once: whoever looks sees all of it.
func accounts(db fdb.Database, space subspace.Subspace) {
	account := func(i int) fdb.Key { return space.Pack(tuple.Tuple{i}) }
	write(db, func(tr fdb.Transaction) {
		for i := 0; i < accountCount; i++ {
			tr.Set(account(i), number(deposit))
		}
	})
	var attempts int64
	var working, looking sync.WaitGroup
	done := make(chan struct{})
	looking.Add(1)
	go func() {
		defer looking.Done()
		for {
			same(total(db, space), accountCount*deposit)
			select {
			case <-done:
				return
			default:
			}
		}
	}()
	for teller := 0; teller < tellers; teller++ {
		working.Add(1)
		go func(random *rand.Rand) {
			defer working.Done()
			for i := 0; i < transfers; i++ {
				from := account(random.Intn(accountCount))
				to := account(random.Intn(accountCount))
				amount := uint64(random.Intn(40))
				write(db, func(tr fdb.Transaction) {
					atomic.AddInt64(&attempts, 1)
					move(tr, from, to, amount)
				})
			}
		}(rand.New(rand.NewSource(int64(teller))))
	}
	working.Wait()
	close(done)
	looking.Wait()
	check(attempts >= tellers*transfers, "%d attempts", attempts)
}

// move takes money from one account and puts it into another, if there is enough.
func move(tr fdb.Transaction, from, to fdb.Key, amount uint64) {
	source := count(tr.Get(from).MustGet())
	if source < amount {
		return
	}
	tr.Set(from, number(source-amount))
	// Read after the write: it may be the same account.
	tr.Set(to, number(count(tr.Get(to).MustGet())+amount))
}

func total(db fdb.Database, space subspace.Subspace) uint64 {
	sum, err := db.ReadTransact(func(tr fdb.ReadTransaction) (interface{}, error) {
		var sum uint64
		rows := tr.GetRange(space, fdb.RangeOptions{}).Iterator()
		for rows.Advance() {
			sum += count(rows.MustGet().Value)
		}
		return sum, nil
	})
	fine(err)
	return sum.(uint64)
}

// counter adds from many goroutines without reading: nobody has to try twice.
func counter(db fdb.Database, space subspace.Subspace) {
	var attempts int64
	var working sync.WaitGroup
	for adder := 0; adder < tellers; adder++ {
		working.Add(1)
		go func() {
			defer working.Done()
			for i := 0; i < transfers; i++ {
				write(db, func(tr fdb.Transaction) {
					atomic.AddInt64(&attempts, 1)
					tr.Add(space, number(1))
				})
			}
		}()
	}
	working.Wait()
	same(count(read(db, space)), tellers*transfers)
	same(attempts, tellers*transfers)
}
