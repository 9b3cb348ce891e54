<?php
namespace Greet;

final class Greeting {
    public function text(): string {
        return (new Word())->text() . ", world";
    }
}
