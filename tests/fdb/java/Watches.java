import com.apple.foundationdb.Database;
import com.apple.foundationdb.MutationType;
import com.apple.foundationdb.Transaction;
import com.apple.foundationdb.subspace.Subspace;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.atomic.AtomicInteger;

/** Waits for keys to change. */
final class Watches {
    private Watches() {}

    private static CompletableFuture<Void> watch(Database db, byte[] key) {
        return db.run(tr -> tr.watch(key));
    }

    static void watches(Database db, Subspace space) {
        byte[] key = space.pack("key");
        CompletableFuture<Void> absent = watch(db, key);
        Check.that(!absent.isDone(), "nothing has changed yet");
        Check.write(db, tr -> tr.set(key, Check.bytes("one")));
        Check.soon(absent);

        // Another key, the same value, what comes to nothing: none of these is a change.
        CompletableFuture<Void> changed = watch(db, key);
        Check.write(db, tr -> tr.set(space.pack("other"), new byte[0]));
        Check.write(db, tr -> tr.set(key, Check.bytes("one")));
        Check.write(db, tr -> tr.mutate(MutationType.ADD, key, new byte[3]));
        Check.that(!changed.isDone(), "the value is still the same");
        Check.write(db, tr -> tr.clear(key));
        Check.soon(changed);

        AtomicInteger calls = new AtomicInteger();
        List<CompletableFuture<Void>> many = new ArrayList<>();
        for (int i = 0; i < 100; i++) {
            byte[] each = i % 2 == 0 ? key : space.pack(i);
            many.add(watch(db, each).thenRun(calls::incrementAndGet));
        }
        Check.write(db, tr -> {
            tr.set(key, Check.bytes("two"));
            for (int i = 1; i < 100; i += 2) {
                tr.set(space.pack(i), Check.bytes("" + i));
            }
        });
        many.forEach(Check::soon);
        Check.same(calls.get(), 100);

        // A watch ends with its transaction, unless that is committed.
        Transaction tr = db.createTransaction();
        CompletableFuture<Void> lost = tr.watch(key);
        tr.cancel();
        Check.fails(1025, () -> Check.soon(lost));
        tr.close();
        CompletableFuture<Void> given = watch(db, key);
        given.cancel(true);
        Check.that(given.isCancelled(), "it is given up");
    }
}
