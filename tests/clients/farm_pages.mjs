// SPDX-License-Identifier: Apache-2.0
// Goes through a farm's pages in Chromium as somebody would: watches a build until its verdict is there, looks at every page
// with axe (WCAG 2.2, levels A and AA), with and without scripts, and downloads the proof.
// Arguments: the farm's address, a build that is not finished, and where the proof is written.
import { readFileSync, mkdtempSync, rmSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { chromium } from "playwright-core";

const [farm, build, proof] = process.argv.slice(2);
const axe = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
const RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"];
const profile = mkdtempSync(join(tmpdir(), "chromium-"));
const quiet = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync"];
const errors = [];
let checked = 0;

// The policy of the pages forbids code that is put into them, so axe is run in a world of its own.
async function accessible(page, name) {
    const session = await page.context().newCDPSession(page);
    const { frameTree } = await session.send("Page.getFrameTree");
    const { executionContextId } = await session.send("Page.createIsolatedWorld", { frameId: frameTree.frame.id });
    const run = async (expression) => {
        const { result, exceptionDetails } = await session.send("Runtime.evaluate",
            { expression, contextId: executionContextId, awaitPromise: true, returnByValue: true });
        if (exceptionDetails) throw new Error(JSON.stringify(exceptionDetails));
        return result.value;
    };
    await run(`${axe};undefined`);
    const options = JSON.stringify({ runOnly: RULES });
    const { violations, passes } = await run(`axe.run(document, ${options}).then(({ violations, passes }) => ({ passes: passes.length, violations: violations.map(({ id, nodes }) => ({ id, where: nodes.map(({ target, failureSummary }) => [target, failureSummary]) })) }))`);
    if (passes < 10) throw new Error(`${name}: axe looked at nothing`);
    if (violations.length > 0) throw new Error(`${name}: ${JSON.stringify(violations, null, 1)}`);
    checked += 1;
}

const browser = await chromium.launchPersistentContext(profile,
    { executablePath: "/usr/bin/chromium", args: quiet, headless: true, acceptDownloads: true });
try {
    const page = await browser.newPage();
    page.on("console", (message) => { if (message.type() === "error") errors.push(message.text()); });
    page.on("pageerror", (error) => errors.push(String(error)));

    await page.goto(`${farm}/builds/${build}`);
    await page.locator("#live li").first().waitFor({ timeout: 60000 });
    const before = await page.locator("#live li").count();
    await accessible(page, "a build at work");
    // No reload: the verdict comes by itself.
    await page.locator("#verdict .verdict .bit-identical").waitFor({ timeout: 180000 });
    console.log(`watched: ${before} lines, then the verdict`);
    const width = await page.evaluate("document.documentElement.scrollWidth <= window.innerWidth");
    if (!width) throw new Error("the page is wider than the window");

    for (const path of ["/", "/builds", `/builds/${build}`, "/operations", "/packages/pypi/idna", "/builds?word=different", "/nothing"]) {
        for (const scheme of ["light", "dark"]) {
            await page.emulateMedia({ colorScheme: scheme });
            await page.goto(`${farm}${path}`);
            await accessible(page, `${path} (${scheme})`);
        }
    }
    console.log(`axe: ${checked} pages without a violation`);

    await page.setViewportSize({ width: 320, height: 640 });
    await page.goto(`${farm}/builds/${build}`);
    if (!await page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")) throw new Error("too wide for 320 pixels");
    await page.keyboard.press("Tab");
    if (await page.evaluate("document.activeElement.textContent") !== "Skip to the content") throw new Error("no way around the menu");

    const [download] = await Promise.all([page.waitForEvent("download"), page.getByText("Download the proof").click()]);
    await download.saveAs(proof);
    console.log(`downloaded ${download.suggestedFilename()}`);

    const plain = await browser.browser()?.newContext({ javaScriptEnabled: false })
        ?? await chromium.launch({ executablePath: "/usr/bin/chromium", args: quiet }).then((other) => other.newContext({ javaScriptEnabled: false }));
    const still = await plain.newPage();
    await still.goto(`${farm}/`);
    await still.getByRole("link", { name: "Builds", exact: true }).click();
    await still.getByRole("link", { name: "pkg:pypi/idna@3.20" }).click();
    const verdict = await still.locator(".verdict").innerText();
    if (!verdict.startsWith("reproduced")) throw new Error(`without scripts: ${verdict}`);
    console.log(`without scripts: ${verdict}`);
    await plain.browser()?.close();

    const unexpected = errors.filter((text) => !text.includes("404"));
    if (unexpected.length > 0) throw new Error(`the browser said: ${unexpected.join("\n")}`);
} finally {
    await browser.close();
    rmSync(profile, { recursive: true, force: true });
}
