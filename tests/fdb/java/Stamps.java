import com.apple.foundationdb.Database;
import com.apple.foundationdb.KeyValue;
import com.apple.foundationdb.MutationType;
import com.apple.foundationdb.Transaction;
import com.apple.foundationdb.subspace.Subspace;
import com.apple.foundationdb.tuple.Tuple;
import com.apple.foundationdb.tuple.Versionstamp;
import java.math.BigInteger;
import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.List;
import java.util.Random;
import java.util.UUID;
import java.util.concurrent.CompletableFuture;

/** Tuples as keys, and those that take their place by the order of the commits. */
final class Stamps {
    private Stamps() {}

    static void versionstamps(Database db, Subspace space) {
        List<byte[]> stamps = new ArrayList<>();
        for (int i = 0; i < 20; i++) {
            try (Transaction tr = db.createTransaction()) {
                for (int j = 0; j < 3; j++) {
                    byte[] key = space.packWithVersionstamp(
                            Tuple.from(Versionstamp.incomplete(j), "end"));
                    byte[] value = {(byte) i, (byte) j};
                    tr.mutate(MutationType.SET_VERSIONSTAMPED_KEY, key, value);
                }
                CompletableFuture<byte[]> promised = tr.getVersionstamp();
                tr.commit().join();
                stamps.add(promised.join());
                long version = ByteBuffer.wrap(promised.join()).getLong();
                Check.same(tr.getCommittedVersion(), version);
            }
        }
        List<KeyValue> rows = db.read(tr -> tr.getRange(space.range()).asList().join());
        Check.same(rows.size(), 60);
        for (int i = 0; i < rows.size(); i++) {
            Versionstamp stamp = space.unpack(rows.get(i).getKey()).getVersionstamp(0);
            Check.same(stamp, Versionstamp.complete(stamps.get(i / 3), i % 3));
            byte[] value = {(byte) (i / 3), (byte) (i % 3)};
            Check.same(rows.get(i).getValue(), Check.text(value));
        }

        // A stamp in a value; nobody can know it before the commit.
        byte[] key = space.pack("value");
        byte[] operand = Tuple.from("a", Versionstamp.incomplete(7)).packWithVersionstamp();
        try (Transaction tr = db.createTransaction()) {
            tr.mutate(MutationType.SET_VERSIONSTAMPED_VALUE, key, operand);
            CompletableFuture<byte[]> promised = tr.getVersionstamp();
            tr.commit().join();
            Tuple value = Tuple.fromBytes(Check.read(db, key));
            Check.same(value, Tuple.from("a", Versionstamp.complete(promised.join(), 7)));
        }
        Check.with(db, tr -> {
            tr.mutate(MutationType.SET_VERSIONSTAMPED_VALUE, key, operand);
            Check.fails(1036, () -> tr.get(key).join());
        });
        Check.with(db, tr -> {
            CompletableFuture<byte[]> promised = tr.getVersionstamp();
            tr.commit().join();
            Check.same(tr.getCommittedVersion(), -1L);
            Check.fails(2021, () -> promised.join());
        });
    }

    static void tuplesInOrder(Database db, Subspace space) {
        List<Tuple> ordered = Arrays.asList(
                Tuple.from((Object) null), Tuple.from(new byte[0]), Tuple.from(new byte[] {0}),
                Tuple.from(""), Tuple.from("a\0b"), Tuple.from("\u00e9"),
                Tuple.from(Tuple.from(null, "x")), Tuple.from(Tuple.from("x")),
                Tuple.from(BigInteger.TEN.pow(30).negate()), Tuple.from(Long.MIN_VALUE),
                Tuple.from(-256), Tuple.from(-1), Tuple.from(0), Tuple.from(1),
                Tuple.from(1, null), Tuple.from(1, 2, "x"), Tuple.from(Long.MAX_VALUE),
                Tuple.from(BigInteger.TEN.pow(30)), Tuple.from(-1.5f), Tuple.from(2f),
                Tuple.from(-2.5), Tuple.from(1e300), Tuple.from(false), Tuple.from(true),
                Tuple.from(new UUID(1, 2)), Tuple.from(Versionstamp.complete(new byte[10])));
        List<Integer> shuffled = new ArrayList<>();
        for (int i = 0; i < ordered.size(); i++) {
            shuffled.add(i);
        }
        Collections.shuffle(shuffled, new Random(1));
        Check.write(db, tr -> shuffled.forEach(
                i -> tr.set(space.pack(ordered.get(i)), new byte[] {(byte) (int) i})));
        List<KeyValue> rows = db.read(tr -> tr.getRange(space.range()).asList().join());
        Check.same(rows.size(), ordered.size());
        for (int i = 0; i < rows.size(); i++) {
            Check.same(space.unpack(rows.get(i).getKey()), ordered.get(i));
            Check.same((int) rows.get(i).getValue()[0], i);
        }
        List<Tuple> sorted = new ArrayList<>(ordered);
        Collections.sort(sorted);
        Check.same(sorted, ordered);
    }
}
