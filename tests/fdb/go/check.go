package main

import (
	"encoding/binary"
	"errors"
	"fmt"
	"runtime"
	"time"

	"github.com/apple/foundationdb/bindings/go/src/fdb"
)

// patience is how long something may take that should happen soon.
const patience = 20 * time.Second

// failure is what a failed check panics with; it passes through the binding's retry loops.
type failure string

// check fails with the place and a text if something doesn't hold.
func check(holds bool, format string, args ...interface{}) {
	if holds {
		return
	}
	place := ""
	for depth := 1; depth < 6; depth++ {
		if _, file, line, ok := runtime.Caller(depth); ok {
			place += fmt.Sprintf("%s:%d\n", file, line)
		}
	}
	panic(failure(place + fmt.Sprintf(format, args...)))
}

// fine fails if there is an error.
func fine(err error) {
	check(err == nil, "%v", err)
}

// wants fails unless the error is FoundationDB's with this code.
func wants(err error, code int) {
	var is fdb.Error
	check(errors.As(err, &is) && is.Code == code, "%v instead of error %d", err, code)
}

// same fails unless both are the same.
func same(is, should interface{}) {
	is, should = fmt.Sprintf("%v", is), fmt.Sprintf("%v", should)
	check(is == should, "%v instead of %v", is, should)
}

// begin gives a transaction that nobody retries.
func begin(db fdb.Database) fdb.Transaction {
	tr, err := db.CreateTransaction()
	fine(err)
	return tr
}

// write runs a function that gives no result in a transaction, again when it conflicts.
func write(db fdb.Transactor, run func(tr fdb.Transaction)) {
	_, err := db.Transact(func(tr fdb.Transaction) (interface{}, error) {
		run(tr)
		return nil, nil
	})
	fine(err)
}

// read gives the value of a key, by a transaction of its own.
func read(db fdb.ReadTransactor, key fdb.KeyConvertible) []byte {
	value, err := db.ReadTransact(func(tr fdb.ReadTransaction) (interface{}, error) {
		return tr.Get(key).MustGet(), nil
	})
	fine(err)
	return value.([]byte)
}

// soon waits for a future, and fails if it takes too long.
func soon(future fdb.FutureNil) error {
	done := make(chan error, 1)
	go func() { done <- future.Get() }()
	select {
	case err := <-done:
		return err
	case <-time.After(patience):
		check(false, "a future isn't ready in time")
		return nil
	}
}

// number is a number as atomic operations have it.
func number(n uint64) []byte {
	bytes := make([]byte, 8)
	binary.LittleEndian.PutUint64(bytes, n)
	return bytes
}

// count is the number that number has made.
func count(bytes []byte) uint64 {
	check(len(bytes) == 8, "a number of %d bytes", len(bytes))
	return binary.LittleEndian.Uint64(bytes)
}
