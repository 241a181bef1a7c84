import com.apple.foundationdb.Database;
import com.apple.foundationdb.FDB;
import com.apple.foundationdb.LocalityUtil;
import com.apple.foundationdb.async.AsyncUtil;
import com.apple.foundationdb.async.CloseableAsyncIterator;
import com.apple.foundationdb.subspace.Subspace;
import java.util.List;

/** Where keys are, and how the database itself is found. */
final class Places {
    private Places() {}

    static void locality(Database db, Subspace space) {
        byte[] first = new byte[0];
        byte[] last = {(byte) 0xff};
        try (CloseableAsyncIterator<byte[]> keys = LocalityUtil.getBoundaryKeys(db, first, last)) {
            List<byte[]> all = Check.soon(AsyncUtil.collectRemaining(keys));
            Check.that(!all.isEmpty(), "at least one shard");
            Check.same(all.get(0), "");
        }
        Ranges.fill(db, space, 1200);
        Check.with(db, tr -> {
            String[] addresses = Check.soon(LocalityUtil.getAddressesForKey(tr, space.pack()));
            Check.same(addresses.length, 1);
            Check.that(addresses[0].startsWith("127.0.0.1"), addresses[0]);
            long size = Check.soon(tr.getEstimatedRangeSizeBytes(space.range()));
            Check.that(size > 30_000 && size < 480_000, size + " bytes are estimated");
            // This version of the binding keeps the points to itself.
            Check.that(Check.soon(tr.getRangeSplitPoints(space.range(), 20_000)) != null, "points");
        });
        double busyness = db.getMainThreadBusyness();
        Check.that(busyness >= 0 && busyness <= 1, "a share: " + busyness);
    }

    static void databases(Database db, Subspace space) {
        Check.write(db, tr -> tr.set(space.pack(), Check.bytes("here")));
        try (Database same = FDB.instance().open(System.getenv("FDB_CLUSTER_FILE"))) {
            Check.same(Check.read(same, space.pack()), "here");
        }
        try (Database missing = FDB.instance().open("/nonexistent/fdb.cluster")) {
            Check.fails(1515, () -> Check.read(missing, space.pack()));
        }
    }
}
