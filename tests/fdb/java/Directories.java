import com.apple.foundationdb.Database;
import com.apple.foundationdb.Transaction;
import com.apple.foundationdb.directory.Directory;
import com.apple.foundationdb.directory.DirectoryAlreadyExistsException;
import com.apple.foundationdb.directory.DirectoryLayer;
import com.apple.foundationdb.directory.DirectoryMoveException;
import com.apple.foundationdb.directory.DirectorySubspace;
import com.apple.foundationdb.directory.NoSuchDirectoryException;
import com.apple.foundationdb.subspace.Subspace;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.List;
import java.util.TreeSet;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CompletionException;

/** The directory layer: names for short prefixes. */
final class Directories {
    private static final Directory ROOT = DirectoryLayer.getDefault();

    private Directories() {}

    private static List<String> path(String... names) {
        return Arrays.asList(names);
    }

    private static void fails(Class<?> kind, CompletableFuture<?> future) {
        try {
            future.join();
        } catch (CompletionException failure) {
            Check.same(failure.getCause().getClass(), kind);
            return;
        }
        throw new AssertionError("it goes well instead of failing with " + kind);
    }

    static void directories(Database db, Subspace space) {
        byte[] layer = Check.bytes("people");
        DirectorySubspace users = ROOT.createOrOpen(db, path("app", "users"), layer).join();
        Check.same(users.getPath(), path("app", "users"));
        Check.same(users.getLayer(), "people");
        Check.that(users.pack().length <= 3, "a short prefix");
        DirectorySubspace again = ROOT.open(db, path("app", "users")).join();
        Check.same(again, users);
        fails(DirectoryAlreadyExistsException.class, ROOT.create(db, path("app", "users")));
        fails(NoSuchDirectoryException.class, ROOT.open(db, path("app", "nobody")));

        Check.write(db, tr -> tr.set(users.pack("ann"), Check.bytes("Ann")));
        users.create(db, path("old")).join();
        DirectorySubspace moved = users.moveTo(db, path("app", "people")).join();
        // The contents stay where they are.
        Check.same(Check.read(db, moved.pack("ann")), "Ann");
        Check.same(ROOT.list(db, path("app")).join(), path("people"));
        Check.same(moved.list(db).join(), path("old"));
        moved.remove(db).join();
        Check.that(!ROOT.exists(db, path("app", "people", "old")).join(), "all of it is gone");
        Check.same(Check.read(db, users.pack("ann")), (Object) null);
        Check.that(!ROOT.removeIfExists(db, path("app", "people")).join(), "nothing is left");

        try (Transaction tr = db.createTransaction()) {
            ROOT.create(tr, path("app", "never")).join();
        }
        Check.that(!ROOT.exists(db, path("app", "never")).join(), "it was not committed");
    }

    static void partitions(Database db, Subspace space) {
        byte[] partition = DirectoryLayer.PARTITION_LAYER;
        DirectorySubspace parts = ROOT.createOrOpen(db, path("parts"), partition).join();
        DirectorySubspace inner = parts.createOrOpen(db, path("a", "b")).join();
        Check.same(inner.getPath(), path("parts", "a", "b"));
        Check.same(ROOT.open(db, path("parts", "a", "b")).join(), inner);
        Check.same(parts.list(db).join(), path("a"));
        fails(DirectoryMoveException.class,
                ROOT.move(db, path("parts", "a"), path("elsewhere")));
        // A layer of our own place, with prefixes of our own choice.
        DirectoryLayer mine = new DirectoryLayer(
                space.subspace(com.apple.foundationdb.tuple.Tuple.from("nodes")),
                space.subspace(com.apple.foundationdb.tuple.Tuple.from("contents")), true);
        byte[] prefix = Check.bytes("chosen prefix in Java");
        DirectorySubspace chosen = mine.create(db, path("chosen"), new byte[0], prefix).join();
        Check.same(chosen.pack(), Check.text(prefix));
    }

    /** All at once: no two get the same prefix, or one under another. */
    static void many(Database db, Subspace space) {
        List<CompletableFuture<DirectorySubspace>> all = new ArrayList<>();
        for (int i = 0; i < 40; i++) {
            all.add(ROOT.create(db, path("crowd", "" + i)));
        }
        TreeSet<String> prefixes = new TreeSet<>();
        all.forEach(one -> prefixes.add(Check.text(Check.soon(one).pack())));
        Check.same(prefixes.size(), all.size());
        String last = null;
        for (String prefix : prefixes) {
            Check.that(last == null || !prefix.startsWith(last), "one lies under another");
            last = prefix;
        }
        List<String> names = new ArrayList<>(ROOT.list(db, path("crowd")).join());
        Collections.sort(names);
        Check.same(names.size(), all.size());
    }
}
