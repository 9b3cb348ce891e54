[assembly: System.Reflection.AssemblyVersion("1.0.*")]

/// <summary>Greets.</summary>
static class Greet {
    static void Main() {
        System.Console.WriteLine("Hello, world");
    }
}
