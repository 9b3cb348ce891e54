<?php
namespace Greet;

final class Word {
    public function text(): string {
        return "Hello";
    }
}
