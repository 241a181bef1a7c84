import com.apple.foundationdb.Database;
import com.apple.foundationdb.FDBException;
import com.apple.foundationdb.Transaction;
import com.apple.foundationdb.TransactionContext;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.util.Objects;
import java.util.concurrent.CompletionException;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import java.util.function.Consumer;

/** What scenarios say of what they see. */
final class Check {
    /** How long something may take that should happen soon, in seconds. */
    static final long PATIENCE = 20;

    private Check() {}

    static void that(boolean holds, String text) {
        if (!holds) {
            throw new AssertionError(text);
        }
    }

    static void same(Object is, Object should) {
        that(Objects.equals(is, should), is + " instead of " + should);
    }

    static void same(byte[] is, String should) {
        same(text(is), should);
    }

    /** The action must fail with FoundationDB's error of this code. */
    static void fails(int code, Runnable action) {
        try {
            action.run();
        } catch (RuntimeException failure) {
            same(code(failure), code);
            return;
        }
        throw new AssertionError("it goes well instead of failing with " + code);
    }

    /** The code of an error, whatever it is wrapped in. */
    static int code(Throwable failure) {
        for (Throwable cause = failure; cause != null; cause = cause.getCause()) {
            if (cause instanceof FDBException) {
                return ((FDBException) cause).getCode();
            }
        }
        throw new AssertionError(failure);
    }

    /** Waits for a future, and fails if it takes too long. */
    static <T> T soon(CompletableFuture<T> future) {
        try {
            return future.get(PATIENCE, TimeUnit.SECONDS);
        } catch (ExecutionException failure) {
            throw new CompletionException(failure.getCause());
        } catch (InterruptedException | TimeoutException failure) {
            throw new AssertionError("a future isn't ready in time", failure);
        }
    }

    /** Runs an action in a transaction of its own, again when it conflicts. */
    static void write(TransactionContext db, Consumer<Transaction> action) {
        db.run(tr -> {
            action.accept(tr);
            return null;
        });
    }

    /** Runs an action in a transaction that nobody retries or commits. */
    static void with(Database db, Consumer<Transaction> action) {
        try (Transaction tr = db.createTransaction()) {
            action.accept(tr);
        }
    }

    static byte[] read(Database db, byte[] key) {
        return db.read(tr -> soon(tr.get(key)));
    }

    static byte[] bytes(String text) {
        return text.getBytes(StandardCharsets.ISO_8859_1);
    }

    static String text(byte[] bytes) {
        return bytes == null ? null : new String(bytes, StandardCharsets.ISO_8859_1);
    }

    /** A number as atomic operations have it. */
    static byte[] number(long number) {
        return ByteBuffer.allocate(8).order(ByteOrder.LITTLE_ENDIAN).putLong(number).array();
    }

    static long count(byte[] bytes) {
        return ByteBuffer.wrap(bytes).order(ByteOrder.LITTLE_ENDIAN).getLong();
    }
}
