import com.apple.foundationdb.Database;
import com.apple.foundationdb.FDB;
import com.apple.foundationdb.subspace.Subspace;
import com.apple.foundationdb.tuple.Tuple;
import java.util.LinkedHashMap;
import java.util.Map;

/**
 * A program in Java that uses every part of FoundationDB's binding: what it sees must be what
 * FoundationDB shows. It takes the API version, whether to stop the network itself ("stop") or to
 * leave that to the binding ("leave"), and the name of a scenario if it shall be only one; finds the
 * database by the default cluster file; and prints the name of each scenario that went well. The
 * first that doesn't ends it.
 */
final class Program {
    /** What a scenario does, with a part of the key space of its own. */
    interface Scenario {
        void run(Database db, Subspace space);
    }

    private static Map<String, Scenario> scenarios() {
        Map<String, Scenario> all = new LinkedHashMap<>();
        all.put("accounts", Accounts::accounts);
        all.put("counter", Accounts::counter);
        all.put("asynchronous accounts", Accounts::asynchronously);
        all.put("conflict", Conflicts::conflict);
        all.put("conflict ranges", Conflicts::ranges);
        all.put("range modes", Ranges::modes);
        all.put("direct buffers", Ranges::directBuffers);
        all.put("iterators", Ranges::iterators);
        all.put("selectors", Ranges::selectors);
        all.put("own writes", Ranges::ownWrites);
        all.put("mapped ranges", MappedRanges::mappedRanges);
        all.put("watches", Watches::watches);
        all.put("versionstamps", Stamps::versionstamps);
        all.put("tuples in order", Stamps::tuplesInOrder);
        all.put("directories", Directories::directories);
        all.put("partitions", Directories::partitions);
        all.put("many directories at once", Directories::many);
        all.put("options", Faults::options);
        all.put("errors", Faults::errors);
        all.put("cancelled", Faults::cancelled);
        all.put("locality", Places::locality);
        all.put("databases", Places::databases);
        return all;
    }

    public static void main(String[] arguments) {
        FDB fdb = FDB.selectAPIVersion(Integer.parseInt(arguments[0]));
        // Whoever forgets to close something shall hear of it.
        fdb.setUnclosedWarning(true);
        try (Database db = fdb.open()) {
            scenarios().forEach((name, scenario) -> {
                if (arguments.length < 3 || arguments[2].equals(name)) {
                    scenario.run(db, new Subspace(Tuple.from(name)));
                    System.out.println(name);
                }
            });
        } catch (Throwable failure) {
            failure.printStackTrace();
            // Threads may still wait for what never comes.
            Runtime.getRuntime().halt(1);
        }
        if (arguments[1].equals("stop")) {
            fdb.stopNetwork();
        }
    }
}
