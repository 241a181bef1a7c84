import com.apple.foundationdb.Database;
import com.apple.foundationdb.FDBException;
import com.apple.foundationdb.KeySelector;
import com.apple.foundationdb.Transaction;
import com.apple.foundationdb.subspace.Subspace;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.function.Consumer;

/** Somebody else writes what a transaction has read. */
final class Conflicts {
    private Conflicts() {}

    static void conflict(Database db, Subspace space) {
        byte[] read = space.pack("read");
        byte[] written = space.pack("written");
        Transaction tr = db.createTransaction();
        Check.same(tr.get(read).join(), (Object) null);
        Check.write(db, other -> other.set(read, Check.bytes("theirs")));
        tr.set(written, Check.bytes("ours"));
        Throwable failure = tr.commit().handle((done, error) -> error).join();
        Check.same(Check.code(failure), 1020);
        FDBException error = (FDBException) failure;
        Check.that(error.isRetryable() && error.isRetryableNotCommitted(), "to be tried again");
        Check.that(!error.isMaybeCommitted(), "certainly not committed");
        try (Transaction again = tr.onError(error).join()) {
            Check.same(again.get(read).join(), "theirs");
            Check.same(again.get(written).join(), (Object) null);
            again.set(written, Check.bytes("ours"));
            again.commit().join();
        }

        AtomicInteger attempts = new AtomicInteger();
        Check.write(db, own -> {
            own.get(read).join();
            if (attempts.incrementAndGet() < 3) {
                Check.write(db, other -> other.set(read, Check.bytes("" + attempts)));
            }
            own.set(written, Check.bytes("ours"));
        });
        Check.same(attempts.get(), 3);
        Check.fails(2101, () -> Check.write(db, own -> {
            throw new FDBException("too large", 2101);
        }));
    }

    /** What counts as read and as written, beyond what was. */
    static void ranges(Database db, Subspace space) {
        byte[] theirs = space.pack("theirs");
        byte[] ours = space.pack("ours");
        byte[] begin = space.range().begin;
        byte[] end = space.range().end;
        Map<Consumer<Transaction>, Boolean> cases = new LinkedHashMap<>();
        cases.put(tr -> {}, false);
        cases.put(tr -> tr.get(theirs).join(), true);
        cases.put(tr -> tr.get(ours).join(), false);
        cases.put(tr -> tr.snapshot().get(theirs).join(), false);
        cases.put(tr -> tr.getRange(begin, end).asList().join(), true);
        cases.put(tr -> tr.snapshot().getRange(begin, end).asList().join(), false);
        cases.put(tr -> tr.getKey(KeySelector.firstGreaterThan(ours)).join(), true);
        cases.put(tr -> tr.addReadConflictKey(theirs), true);
        cases.put(tr -> tr.addReadConflictRange(begin, end), true);
        cases.put(tr -> tr.snapshot().addReadConflictKeyIfNotSnapshot(theirs), false);
        cases.forEach((action, fails) -> Check.with(db, tr -> {
            tr.getReadVersion().join();
            action.accept(tr);
            Check.write(db, other -> other.set(theirs, Check.bytes("changed")));
            tr.set(ours, Check.bytes("ours"));
            if (fails) {
                Check.fails(1020, () -> tr.commit().join());
            } else {
                tr.commit().join();
            }
        }));
        // A write that is only said to be.
        Check.with(db, tr -> {
            tr.get(theirs).join();
            Check.write(db, other -> other.addWriteConflictRange(begin, end));
            tr.set(ours, Check.bytes("ours"));
            Check.fails(1020, () -> tr.commit().join());
        });
    }
}
