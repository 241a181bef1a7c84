import com.apple.foundationdb.Database;
import com.apple.foundationdb.KeySelector;
import com.apple.foundationdb.KeyValue;
import com.apple.foundationdb.MappedKeyValue;
import com.apple.foundationdb.StreamingMode;
import com.apple.foundationdb.Transaction;
import com.apple.foundationdb.async.AsyncUtil;
import com.apple.foundationdb.subspace.Subspace;
import com.apple.foundationdb.tuple.Tuple;
import java.util.ArrayList;
import java.util.List;

/** An index by age, and the people behind each of its rows, found by one read. */
final class MappedRanges {
    private static final int PEOPLE = 300;

    private MappedRanges() {}

    static void mappedRanges(Database db, Subspace space) {
        Subspace index = space.subspace(Tuple.from("index"));
        Subspace people = space.subspace(Tuple.from("people"));
        Check.write(db, tr -> {
            for (int i = 0; i < PEOPLE; i++) {
                tr.set(index.pack(Tuple.from(age(i), i)), new byte[0]);
                tr.set(people.pack(Tuple.from(i, "name")), Check.bytes("name " + i));
                tr.set(people.pack(Tuple.from(i, "town")), Check.bytes("town " + i));
            }
        });
        // The index rows are ("mapped ranges", "index", age, id): the id is element 3.
        byte[] mapper = Tuple.from("mapped ranges", "people", "{K[3]}", "{...}").pack();
        for (int limit : new int[] {0, 1, 50}) {
            Check.with(db, tr -> compare(read(tr, index, mapper, limit, false), index, people,
                    limit));
        }
        Check.with(db, tr -> Check.fails(2108, () -> read(tr, index, mapper, 0, true)));
        // Each person is a row of its own if it is named in full.
        byte[] point = Tuple.from("mapped ranges", "people", "{K[3]}", "name").pack();
        Check.with(db, tr -> {
            List<MappedKeyValue> rows = read(tr, index, point, 2, false);
            Check.same(rows.get(1).getRangeResult().size(), 1);
        });
        Check.with(db, tr -> {
            tr.set(people.pack(Tuple.from(0, "name")), Check.bytes("changed"));
            Check.fails(2039, () -> read(tr, index, mapper, 0, false));
        });
        Check.with(db, tr -> Check.fails(2043,
                () -> read(tr, index, Check.bytes("\u00fd"), 0, false)));
        byte[] missing = Tuple.from("mapped ranges", "people", "{K[9]}").pack();
        Check.with(db, tr -> Check.fails(2030, () -> read(tr, index, missing, 0, false)));
    }

    private static int age(int person) {
        return person % 90;
    }

    private static List<MappedKeyValue> read(Transaction tr, Subspace index, byte[] mapper,
            int limit, boolean reverse) {
        return Check.soon(AsyncUtil.collect(tr.getMappedRange(
                KeySelector.firstGreaterOrEqual(index.range().begin),
                KeySelector.firstGreaterOrEqual(index.range().end),
                mapper, limit, reverse, StreamingMode.WANT_ALL)));
    }

    private static void compare(List<MappedKeyValue> rows, Subspace index, Subspace people,
            int limit) {
        List<Integer> expected = new ArrayList<>();
        for (int age = 0; age < 90; age++) {
            for (int person = age; person < PEOPLE; person += 90) {
                expected.add(person);
            }
        }
        Check.same(rows.size(), limit == 0 ? PEOPLE : limit);
        for (int i = 0; i < rows.size(); i++) {
            int person = expected.get(i);
            MappedKeyValue row = rows.get(i);
            Check.same(Check.text(row.getKey()),
                    Check.text(index.pack(Tuple.from(age(person), person))));
            Subspace own = people.subspace(Tuple.from(person));
            Check.same(Check.text(row.getRangeBegin()), Check.text(own.pack()));
            List<KeyValue> found = new ArrayList<>();
            found.add(new KeyValue(own.pack("name"), Check.bytes("name " + person)));
            found.add(new KeyValue(own.pack("town"), Check.bytes("town " + person)));
            Check.same(row.getRangeResult(), found);
        }
    }
}
