import com.apple.foundationdb.Database;
import com.apple.foundationdb.KeyValue;
import com.apple.foundationdb.MutationType;
import com.apple.foundationdb.Transaction;
import com.apple.foundationdb.subspace.Subspace;
import com.apple.foundationdb.tuple.Tuple;
import java.util.ArrayList;
import java.util.List;
import java.util.Random;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.function.IntConsumer;

/** Money moves between accounts from many threads at once: whoever looks sees all of it. */
final class Accounts {
    private static final int COUNT = 12;
    private static final int DEPOSIT = 100;
    private static final int TELLERS = 6;
    private static final int TRANSFERS = 20;

    private Accounts() {}

    static void accounts(Database db, Subspace space) {
        open(db, space);
        AtomicInteger attempts = new AtomicInteger();
        AtomicBoolean isDone = new AtomicBoolean();
        CompletableFuture<Void> auditor = CompletableFuture.runAsync(() -> {
            while (!isDone.get()) {
                Check.same(total(db, space), (long) COUNT * DEPOSIT);
            }
        });
        atOnce(teller -> {
            Random random = new Random(teller);
            for (int i = 0; i < TRANSFERS; i++) {
                byte[] from = space.pack(random.nextInt(COUNT));
                byte[] to = space.pack(random.nextInt(COUNT));
                long amount = random.nextInt(40);
                Check.write(db, tr -> {
                    attempts.incrementAndGet();
                    long source = Check.count(tr.get(from).join());
                    if (source >= amount) {
                        tr.set(from, Check.number(source - amount));
                        // Read after the write: it may be the same account.
                        tr.set(to, Check.number(Check.count(tr.get(to).join()) + amount));
                    }
                });
            }
        });
        isDone.set(true);
        Check.soon(auditor);
        Check.same(total(db, space), (long) COUNT * DEPOSIT);
        Check.that(attempts.get() >= TELLERS * TRANSFERS, attempts + " attempts");
    }

    /** Adds without reading: nobody has to try twice. */
    static void counter(Database db, Subspace space) {
        AtomicInteger attempts = new AtomicInteger();
        atOnce(adder -> {
            for (int i = 0; i < TRANSFERS; i++) {
                Check.write(db, tr -> {
                    attempts.incrementAndGet();
                    tr.mutate(MutationType.ADD, space.pack(), Check.number(1));
                });
            }
        });
        Check.same(Check.count(Check.read(db, space.pack())), (long) TELLERS * TRANSFERS);
        Check.same(attempts.get(), TELLERS * TRANSFERS);
    }

    /** The same as accounts, by callbacks alone: no thread waits. */
    static void asynchronously(Database db, Subspace space) {
        open(db, space);
        List<CompletableFuture<Void>> all = new ArrayList<>();
        for (int i = 0; i < 100; i++) {
            byte[] from = space.pack(i % COUNT);
            byte[] to = space.pack((i * 5 + 1) % COUNT);
            all.add(db.runAsync(tr -> transfer(tr, from, to)));
        }
        all.forEach(Check::soon);
        Check.same(total(db, space), (long) COUNT * DEPOSIT);
    }

    private static CompletableFuture<Void> transfer(Transaction tr, byte[] from, byte[] to) {
        return tr.get(from).thenCompose(source -> {
            tr.set(from, Check.number(Check.count(source) - 1));
            return tr.get(to).thenAccept(
                    target -> tr.set(to, Check.number(Check.count(target) + 1)));
        });
    }

    private static void open(Database db, Subspace space) {
        Check.write(db, tr -> {
            for (int i = 0; i < COUNT; i++) {
                tr.set(space.pack(Tuple.from(i)), Check.number(DEPOSIT));
            }
        });
    }

    private static long total(Database db, Subspace space) {
        return db.read(tr -> {
            long sum = 0;
            for (KeyValue row : tr.getRange(space.range())) {
                sum += Check.count(row.getValue());
            }
            return sum;
        });
    }

    private static void atOnce(IntConsumer action) {
        List<CompletableFuture<Void>> all = new ArrayList<>();
        for (int i = 0; i < TELLERS; i++) {
            int number = i;
            CompletableFuture<Void> done = new CompletableFuture<>();
            all.add(done);
            // Threads of their own: the common pool may have but one.
            new Thread(() -> {
                try {
                    action.accept(number);
                    done.complete(null);
                } catch (Throwable failure) {
                    done.completeExceptionally(failure);
                }
            }).start();
        }
        all.forEach(Check::soon);
    }
}
