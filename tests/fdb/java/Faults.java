import com.apple.foundationdb.Database;
import com.apple.foundationdb.FDBException;
import com.apple.foundationdb.MutationType;
import com.apple.foundationdb.Transaction;
import com.apple.foundationdb.subspace.Subspace;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.concurrent.CompletableFuture;
import java.util.function.Consumer;

/** What changes the rules, and what is against them. */
final class Faults {
    private Faults() {}

    static void options(Database db, Subspace space) {
        byte[] key = space.pack();
        Check.write(db, tr -> tr.set(key, Check.bytes("old")));
        Check.with(db, tr -> {
            tr.options().setReadYourWritesDisable();
            tr.set(key, Check.bytes("new"));
            Check.same(tr.get(key).join(), "old");
        });
        Check.with(db, tr -> {
            tr.options().setSnapshotRywDisable();
            tr.set(key, Check.bytes("new"));
            Check.same(tr.snapshot().get(key).join(), "old");
            Check.same(tr.get(key).join(), "new");
        });
        Check.with(db, tr -> {
            tr.options().setTimeout(20);
            long began = System.nanoTime();
            Check.fails(1031, () -> {
                while (System.nanoTime() - began < Check.PATIENCE * 1_000_000_000L) {
                    tr.get(key).join();
                }
            });
            Check.fails(1031, () -> tr.commit().join());
        });
        FDBException conflict = new FDBException("a conflict", 1020);
        try (Transaction tr = db.createTransaction()) {
            tr.options().setRetryLimit(1);
            Transaction again = tr.onError(conflict).join();
            Check.fails(1020, () -> again.onError(conflict).join());
            again.close();
        }
        Check.with(db, tr -> {
            tr.options().setSizeLimit(1000);
            tr.set(key, new byte[2000]);
            Check.that(tr.getApproximateSize().join() > 2000, "its size");
            Check.fails(2101, () -> tr.commit().join());
        });
        Check.write(db, tr -> {
            tr.options().setAccessSystemKeys();
            tr.set(Check.bytes("\u00ff\u0002/plinth/java"), new byte[0]);
        });
        Check.with(db, tr -> {
            tr.options().setReadSystemKeys();
            tr.options().setPriorityBatch();
            tr.options().setLockAware();
            Check.same(tr.get(Check.bytes("\u00ff\u0002/plinth/java")).join(), "");
        });
    }

    static void errors(Database db, Subspace space) {
        byte[] key = space.pack();
        byte[] tooLong = new byte[10_001];
        byte[] a = Check.bytes("a");
        byte[] b = Check.bytes("b");
        Map<Consumer<Transaction>, Integer> cases = new LinkedHashMap<>();
        cases.put(tr -> tr.set(tooLong, a), 2102);
        cases.put(tr -> tr.set(key, new byte[100_001]), 2103);
        cases.put(tr -> tr.clear(b, a), 2005);
        cases.put(tr -> tr.set(Check.bytes("\u00ff/mine"), a), 2004);
        cases.put(tr -> tr.mutate(MutationType.SET_VERSIONSTAMPED_KEY, a, a), 2000);
        cases.put(tr -> tr.setReadVersion(0), 2011);
        cases.forEach((action, code) -> Check.with(db, tr -> {
            action.accept(tr);
            Check.fails(code, () -> tr.get(key).join());
            Check.fails(code, () -> tr.commit().join());
        }));
        Check.with(db, tr -> {
            Check.fails(2004, () -> tr.get(Check.bytes("\u00ff/mine")).join());
            Check.fails(2005, () -> tr.addReadConflictRange(b, a));
            Check.same(tr.get(tooLong).join(), (Object) null);
            tr.commit().join();
            Check.fails(2017, () -> tr.get(key).join());
        });
        Check.with(db, tr -> {
            tr.setReadVersion(tr.getDatabase().read(other -> other.getReadVersion().join())
                    + 1_000_000_000L);
            Check.fails(1009, () -> tr.get(key).join());
        });
        Check.same(new FDBException("", 0).isSuccess(), true);
        Check.same(new FDBException("", 1021).isMaybeCommitted(), true);
        Check.same(new FDBException("", 2101).isRetryable(), false);
    }

    static void cancelled(Database db, Subspace space) {
        byte[] key = space.pack();
        Check.with(db, tr -> {
            tr.cancel();
            Check.fails(1025, () -> tr.get(key).join());
            Check.fails(1025, () -> tr.commit().join());
        });
        // A read that waits for a version to come goes with its transaction.
        Transaction tr = db.createTransaction();
        tr.setReadVersion(db.read(other -> other.getReadVersion().join()) + 100_000_000L);
        CompletableFuture<byte[]> waiting = tr.get(key);
        Check.that(!waiting.isDone(), "it waits");
        tr.close();
        Check.fails(1025, () -> Check.soon(waiting));
    }
}
