package greet;

/** Greets. */
public final class Greet {
    public static void main(String[] arguments) {
        System.out.println("Hello, world");
    }
}
