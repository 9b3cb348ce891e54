import { words } from "./words.js";

console.log(words.join(", "));
