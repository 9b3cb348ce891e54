fun main() = println("Hello, world, built on DAY")
