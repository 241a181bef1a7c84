import com.apple.foundationdb.Database;
import com.apple.foundationdb.FDB;
import com.apple.foundationdb.KeySelector;
import com.apple.foundationdb.KeyValue;
import com.apple.foundationdb.ReadTransaction;
import com.apple.foundationdb.StreamingMode;
import com.apple.foundationdb.async.AsyncIterable;
import com.apple.foundationdb.async.AsyncIterator;
import com.apple.foundationdb.async.AsyncUtil;
import com.apple.foundationdb.subspace.Subspace;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;

/** Reads of many rows, in all ways. */
final class Ranges {
    private static final int COUNT = 1200;

    private Ranges() {}

    static List<KeyValue> fill(Database db, Subspace space, int many) {
        List<KeyValue> rows = new ArrayList<>();
        for (int i = 0; i < many; i++) {
            byte[] value = Check.bytes(String.format("%0100d", i));
            rows.add(new KeyValue(space.pack(i), value));
        }
        Check.write(db, tr -> rows.forEach(row -> tr.set(row.getKey(), row.getValue())));
        return rows;
    }

    static void modes(Database db, Subspace space) {
        List<KeyValue> rows = fill(db, space, COUNT);
        for (StreamingMode mode : StreamingMode.values()) {
            for (int limit : new int[] {0, 1, 7, COUNT, COUNT + 1}) {
                for (boolean reverse : new boolean[] {false, true}) {
                    // One for each: all together may take longer than a transaction may live.
                    Check.with(db, tr -> everyWay(tr, space, rows, limit, reverse, mode));
                }
            }
        }
    }

    private static void everyWay(ReadTransaction tr, Subspace space, List<KeyValue> rows,
            int limit, boolean reverse, StreamingMode mode) {
        AsyncIterable<KeyValue> range = tr.getRange(space.range(), limit, reverse, mode);
        if (mode == StreamingMode.EXACT && limit == 0) {
            // "Exactly as many as I say" makes no sense of nothing.
            Check.fails(2210, () -> Check.soon(AsyncUtil.collect(range)));
            return;
        }
        List<KeyValue> expected = new ArrayList<>(rows);
        if (reverse) {
            Collections.reverse(expected);
        }
        if (limit > 0 && limit < expected.size()) {
            expected = expected.subList(0, limit);
        }
        Check.same(Check.soon(AsyncUtil.collect(range)), expected);
        Check.same(Check.soon(range.asList()), expected);
        List<KeyValue> one = new ArrayList<>();
        tr.snapshot().getRange(space.range(), limit, reverse, mode).forEach(one::add);
        Check.same(one, expected);
    }

    /** The same through buffers that the binding fills without copies. */
    static void directBuffers(Database db, Subspace space) {
        FDB.instance().enableDirectBufferQuery(true);
        modes(db, space);
        FDB.instance().enableDirectBufferQuery(false);
    }

    /** Several iterators of one result, some of which stop early, while the rows go away. */
    static void iterators(Database db, Subspace space) {
        List<KeyValue> rows = fill(db, space, COUNT);
        Check.with(db, tr -> {
            AsyncIterable<KeyValue> range = tr.getRange(space.range());
            AsyncIterator<KeyValue> early = range.iterator();
            for (int i = 0; i < 3; i++) {
                Check.that(early.hasNext(), "there is more");
                Check.same(early.next(), rows.get(i));
            }
            Check.write(db, other -> other.clear(space.range()));
            Check.same(Check.soon(range.asList()), rows);
            Check.that(Check.soon(early.onHasNext()), "there is still more");
            Check.same(early.next(), rows.get(3));
            early.cancel();
        });
        Check.that(db.read(tr -> tr.getRange(space.range()).asList().join()).isEmpty(), "gone");
    }

    static void selectors(Database db, Subspace space) {
        List<KeyValue> rows = fill(db, space, 20);
        byte[] five = rows.get(5).getKey();
        Check.with(db, tr -> {
            Object[][] cases = {
                {KeySelector.firstGreaterOrEqual(five), 5},
                {KeySelector.firstGreaterThan(five), 6},
                {KeySelector.lastLessOrEqual(five), 5},
                {KeySelector.lastLessThan(five), 4},
                {KeySelector.firstGreaterOrEqual(five).add(7), 12},
                {KeySelector.lastLessOrEqual(five).add(-3), 2},
            };
            for (Object[] a : cases) {
                byte[] key = rows.get((Integer) a[1]).getKey();
                Check.same(tr.getKey((KeySelector) a[0]).join(), Check.text(key));
            }
            KeySelector before = KeySelector.lastLessThan(new byte[0]).add(-4);
            Check.same(tr.getKey(before).join(), "");
            KeySelector after = KeySelector.firstGreaterThan(Check.bytes("\u00fe")).add(50);
            Check.same(tr.getKey(after).join(), "\u00ff");
            KeySelector begin = KeySelector.firstGreaterThan(rows.get(3).getKey());
            KeySelector end = KeySelector.lastLessOrEqual(five).add(10);
            Check.same(tr.getRange(begin, end).asList().join(), rows.subList(4, 15));
            Check.same(tr.getRange(end, begin).asList().join(), Collections.emptyList());
        });
    }

    /** Reads through what the transaction itself has changed. */
    static void ownWrites(Database db, Subspace space) {
        List<KeyValue> rows = fill(db, space, 300);
        List<KeyValue> expected = new ArrayList<>(rows.subList(0, 100));
        KeyValue added = new KeyValue(space.pack(150), Check.bytes("again"));
        expected.add(added);
        expected.addAll(rows.subList(200, 299));
        Check.write(db, tr -> {
            tr.clear(rows.get(100).getKey(), rows.get(200).getKey());
            tr.set(added.getKey(), added.getValue());
            tr.clear(rows.get(299).getKey());
            Check.same(tr.getRange(space.range()).asList().join(), expected);
            Check.same(tr.snapshot().getRange(space.range()).asList().join(), expected);
            Check.same(Check.text(tr.get(added.getKey()).join()), "again");
        });
        Check.same(db.read(tr -> tr.getRange(space.range()).asList().join()), expected);
    }
}
