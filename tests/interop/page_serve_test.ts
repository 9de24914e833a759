// The chat page on the real server: base and tuned side by side say what generate says; an answer that is stopped frees its place.
import assert from "node:assert/strict";
import { join } from "@std/path";
import { openDevice } from "../../lib/engine/open.ts";
import { generate } from "../../lib/generate/generate.ts";
import { useAdapter } from "../../lib/lora.ts";
import { loadModel } from "../../lib/models/load.ts";
import { serve } from "../../lib/serve/serve.ts";
import { endless, tunedAtRandom } from "../chat_models.ts";
import { inFolder } from "../runs.ts";
import { browser, PATIENCE } from "./page_browser.ts";

Deno.test({
  name: "the page on serve(): side by side as generate says it, stop frees the place, the key is asked for",
  sanitizeOps: false,
  sanitizeResources: false,
  fn: () =>
    inFolder(async (folder) => {
      const tuned = await tunedAtRandom(), base = useAdapter(tuned, undefined);
      await endless(join(folder, "model"));
      const device = await openDevice({ backend: "cpu" });
      const talker = await loadModel(join(folder, "model"), { device });
      const page = { defaults: { temperature: 0, max_tokens: 16 }, examples: ["What is a bond?"] };
      const server = await serve({ base, tuned, talker }, { port: 0, apiKey: "a secret", quiet: true, page });
      const context = await browser!.newContext();
      try {
        const tab = await context.newPage();
        tab.setDefaultTimeout(PATIENCE);
        await tab.goto(server.url);
        await tab.getByRole("button", { name: "Enter the key" }).click();
        await tab.locator("#key").fill("a secret");
        await tab.locator("#key").press("Tab");
        await tab.locator("#model option").first().waitFor({ state: "attached" });
        await tab.keyboard.press("Escape");
        assert.equal(await tab.locator("#model").inputValue(), "tuned");
        await tab.getByRole("button", { name: "Side by side" }).click();
        await tab.locator("#other").selectOption("base");
        await tab.locator("#examples button").click();
        await tab.locator(".turn.last").waitFor();
        const question = [{ role: "user", content: "What is a bond?" }];
        const prompt = tuned.tokenizer!.applyChatTemplate(question, { addGenerationPrompt: true });
        const greedy = { temperature: 0, maxNewTokens: 16 };
        const wanted = [await generate(tuned, prompt, greedy), await generate(base, prompt, greedy)];
        const words = (text: string) => text.trim().split(/\s+/).join(" ");
        assert.deepEqual((await tab.locator(".markdown").allInnerTexts()).map(words), wanted.map(words));
        assert.match(await tab.locator(".note").first().innerText(), /tokens/);

        await tab.getByRole("button", { name: "Side by side" }).click();
        await tab.locator("#model").selectOption("talker");
        await tab.getByRole("button", { name: "Settings" }).click();
        await tab.locator("#max_tokens").fill("400");
        await tab.keyboard.press("Escape");
        await tab.locator("#question").fill("And a stock?");
        await tab.locator("#question").press("Enter");
        await tab.locator(".running .markdown p").waitFor();
        await tab.keyboard.press("Escape");
        await tab.locator(".turn.last").waitFor();
        assert.match(await tab.locator(".turn.last .note").innerText(), /stopped/);
      } finally {
        await context.close();
        const begun = performance.now();
        await server.stop(60);
        assert.ok(performance.now() - begun < 30_000, "nothing is answered any more");
      }
    }),
});
