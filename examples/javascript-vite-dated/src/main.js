// SPDX-License-Identifier: Apache-2.0
import ms from "ms";

const text = document.querySelector("#text");
const said = document.querySelector("#said");

function say() {
    said.value = `${ms(text.value)} ms`;
}

text.addEventListener("input", say);
console.info(`built ${BUILT}`);
say();
