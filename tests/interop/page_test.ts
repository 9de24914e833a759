// The chat page in a real Chromium: chats, stop, side by side, hostile answers, a phone, keys, history, a server that goes away.
// FINTUNE_CHROMIUM names the browser; FINTUNE_SCREENSHOTS a folder in which pictures are left to be looked at.
import assert from "node:assert/strict";
import { models, pageServer, type Told } from "../page_server.ts";
import {
  background,
  browser,
  fits,
  focusOutline,
  hit,
  inject,
  nameless,
  poorContrast,
  test,
} from "./page_browser.ts";

const wide = /[\s\S]{1,60}/g;
const plain = (text: string): Told => ({ text, words: wide });
const bond = `A **bond** is a loan, a **stock** a share of the company.

| | bond | stock |
|---|---|--:|
| you are | a lender | an owner |
| a year, typically | 2–5 % | 6–8 % |

1. In a bankruptcy lenders are paid first.
2. Prices of stocks move more.

\`\`\`python
def current_yield(coupon, price):
    return coupon / price  # 0.05 for a coupon of 5 at a price of 100
\`\`\``;
const repeating =
  "A bond is when you lend money. The stock is the stock of the company, and the company is the stock.";
const bothSides = ({ model }: { model: string }): Told => plain(model === "finance-qa" ? bond : repeating);

test(
  "a chat: example, streaming, Markdown, what is sent, the second turn",
  { answer: bothSides },
  async (opened) => {
    const { page, server, answered, ask, picture } = opened;
    assert.match(
      await page.locator("#about").innerText(),
      /finance-qa\s+adapter out\/finance_alpaca on tiny-llama/,
    );
    assert.match(await page.locator("#notice").innerText(), /Nothing here is financial advice/);
    await picture("welcome");
    await page.locator("#examples button").first().click();
    await answered();
    const answer = page.locator(".answer .markdown");
    assert.equal(await answer.locator("strong").first().innerText(), "bond");
    assert.equal(await answer.locator("td.right").nth(1).innerText(), "6–8 %");
    assert.equal(await answer.locator("ol > li").count(), 2);
    assert.match(await answer.locator("pre").innerText(), /return coupon \/ price/);
    assert.match(await page.locator(".note").innerText(), /\d+ tokens · [\d.]+ tokens\/s/);
    assert.match(
      await page.locator("#status").textContent() ?? "",
      /finance-qa: A \*\*bond/,
      "told to screen readers",
    );
    await picture("answer");
    await ask("And which is safer?");
    await page.locator(".turn").nth(1).waitFor();
    await answered();
    const [first, second] = server.asked;
    assert.deepEqual(first.messages.map(({ role }) => role), ["user"]);
    assert.deepEqual(second.messages.map(({ role }) => role), ["user", "assistant", "user"]);
    assert.equal(second.messages[1].content, bond);
    const { model, temperature, top_p, max_tokens, stream, seed } = second;
    assert.deepEqual({ model, temperature, top_p, max_tokens, stream }, {
      model: "finance-qa",
      temperature: 0.7,
      top_p: 0.9,
      max_tokens: 256,
      stream: true,
    });
    assert.ok(Number.isInteger(seed));
  },
);

test("stop: by Esc and by the button; the answer stays, the server is told", {
  answer: () => ({ text: "word ".repeat(5000), pause: 30 }),
}, async ({ page, server, ask, picture, answered }) => {
  for (const how of ["Escape", "button"]) {
    await ask("Talk");
    await page.locator(".running .markdown p").waitFor();
    await picture("running");
    if (how === "Escape") await page.keyboard.press("Escape");
    else await page.getByRole("button", { name: "Stop" }).click();
    await answered();
    assert.match(await page.locator(".turn.last .note").innerText(), /stopped/);
    assert.match(await page.locator(".turn.last .markdown").innerText(), /^word/);
  }
  for (let i = 0; i < 100 && server.left < 2; i++) await page.waitForTimeout(100);
  assert.equal(server.left, 2);
});

test(
  "base and tuned side by side, at once; each sees its own answers",
  { answer: bothSides },
  async (opened) => {
    const { page, server, ask, answered, picture } = opened;
    await page.getByRole("button", { name: "Side by side" }).click();
    await ask("What is a bond?");
    await answered();
    assert.deepEqual(await page.locator(".who").allInnerTexts(), ["finance-qa\ntuned", "tiny-llama\nbase"]);
    const [left, right] = await page.locator(".answer").all();
    const [a, b] = [await left.boundingBox(), await right.boundingBox()];
    assert.ok(a && b && a.y === b.y && a.x + a.width < b.x, "two columns");
    assert.equal(await right.locator(".markdown").innerText(), repeating);
    await picture("beside");
    await ask("Why?");
    await page.locator(".turn").nth(1).waitFor();
    await answered();
    const seen = server.asked.slice(2).map(({ model, messages, seed }) => ({
      model,
      said: messages[1].content,
      seed,
    }));
    seen.sort((a, b) => a.model.localeCompare(b.model));
    assert.deepEqual(seen.map(({ said }) => said), [bond, repeating]);
    assert.equal(seen[0].seed, seen[1].seed, "one seed for both");
    // The same model twice tells nothing: the other side changes.
    await page.locator("#other").selectOption("finance-qa");
    assert.equal(await page.locator("#model").inputValue(), "tiny-llama");
    // One column alone can be answered again.
    await page.locator(".turn.last .again").nth(1).click();
    await answered();
    assert.equal(server.asked.length, 5);
    assert.equal(server.asked[4].model, "tiny-llama");
  },
);

const hostile =
  `<script>globalThis.hit = 1</script><img src=x onerror="globalThis.hit = 2"><svg onload="globalThis.hit = 3">
<iframe srcdoc="<script>parent.hit = 4</script>"></iframe> [click](javascript:globalThis.hit=5) [data](data:text/html,x)
![picture](https://example.com/p.png) [good](https://example.com/?a=<b>) **bold <b>no</b>** \`<i>code</i>\`

\`\`\`html
</code></pre><script>globalThis.hit = 6</script>
\`\`\`

| <script>globalThis.hit = 7</script> | b |
|---|---|
| "><img src=x onerror=globalThis.hit=8> | &lt; |

&lt;script&gt; https://example.com/x" onmouseover="globalThis.hit=9`;

test(
  "an answer of HTML and script is text",
  { answer: () => plain(hostile) },
  async ({ page, ask, answered, picture }) => {
    await ask("<b>bold</b><script>globalThis.hit = 0</script>");
    await answered();
    const answer = page.locator(".answer .text");
    assert.equal(await answer.locator("script, img, iframe, svg:not([aria-hidden]), b, i").count(), 0);
    const text = await answer.innerText();
    for (
      const part of [
        "<script>globalThis.hit = 1</script>",
        "onerror=",
        "</code></pre><script>",
        "&lt;script&gt;",
      ]
    ) {
      assert.ok(text.includes(part), part);
    }
    const links = await answer.locator("a").evaluateAll((nodes) =>
      nodes.map((
        node,
      ) => [node.getAttribute("href"), node.getAttribute("rel"), node.getAttribute("onmouseover")])
    );
    assert.ok(links.length >= 2);
    for (const [href, rel, hover] of links) {
      assert.match(href!, /^https:\/\/example\.com\//);
      assert.match(rel!, /noopener/);
      assert.equal(hover, null);
    }
    await picture("hostile");
    assert.equal(await hit(page), undefined);
    await page.reload();
    assert.match(await page.locator(".question h2").innerText(), /<b>bold<\/b><script>/);
    assert.equal(await hit(page), undefined);
  },
);

Deno.test("the policy holds against markup in strings and against scripts that were not there", async () => {
  const server = pageServer({ answer: () => plain("") }), page = await browser!.newPage();
  try {
    await page.goto(server.url);
    assert.deepEqual(await inject(page), ["TypeError", undefined]);
    const { headers } = await fetch(server.url).then(async (response) => (await response.text(), response));
    assert.match(
      headers.get("content-security-policy")!,
      /default-src 'none'.*sha256-.*frame-ancestors 'none'/,
    );
    assert.doesNotMatch(headers.get("content-security-policy")!, /unsafe|\*/);
  } finally {
    await page.close();
    await server.close();
  }
});

for (const look of ["light", "dark"] as const) {
  test(`a phone of 360 pixels, ${look}`, {
    answer: bothSides,
    context: { viewport: { width: 360, height: 740 }, hasTouch: true, isMobile: true, colorScheme: look },
  }, async ({ page, ask, answered, picture }) => {
    assert.ok(await fits(page));
    await picture(`phone-${look}-welcome`);
    await page.getByRole("button", { name: "Side by side" }).tap();
    await ask("What is a bond? " + "averyverylongwordwithoutanyspaces".repeat(4));
    await answered();
    assert.ok(await fits(page));
    const [a, b] = await page.locator(".answer").all();
    const [above, below] = [await a.boundingBox(), await b.boundingBox()];
    assert.ok(
      above && below && above.x === below.x && below.y > above.y + above.height,
      "one below the other",
    );
    await picture(`phone-${look}-answer`);
    await page.getByRole("button", { name: "Chats" }).tap();
    await page.locator("#side.open").waitFor();
    await page.waitForTimeout(300);
    await picture(`phone-${look}-side`);
    await page.getByRole("button", { name: "New chat" }).tap();
    assert.equal(await page.locator("#side.open").count(), 0);
    await page.getByRole("button", { name: "Settings" }).tap();
    assert.ok(await fits(page));
    await picture(`phone-${look}-settings`);
    const [small] = await page.locator("button:visible").evaluateAll((nodes) =>
      nodes.map((node) => node.getBoundingClientRect()).filter(({ width, height }) =>
        Math.min(width, height) < 32
      )
    );
    assert.equal(small, undefined, "buttons for fingers");
  });
}

test("dark and light: the system's, and the switch", {
  answer: bothSides,
  context: { colorScheme: "dark" },
}, async ({ page, picture, ask, answered }) => {
  assert.equal(await background(page), "rgb(20, 24, 31)");
  await page.getByRole("button", { name: "Side by side" }).click();
  await ask("What is a bond?");
  await answered();
  await picture("dark-beside");
  await page.getByRole("button", { name: "Switch to light" }).click();
  assert.equal(await background(page), "rgb(255, 255, 255)");
  await page.reload();
  assert.equal(await background(page), "rgb(255, 255, 255)", "it is kept");
  await page.getByRole("button", { name: "Settings" }).click();
  await page.getByRole("radio", { name: "System" }).check();
  assert.equal(await background(page), "rgb(20, 24, 31)");
});

for (const look of ["light", "dark"] as const) {
  test(`contrast is at least 4.5 to 1, ${look}`, {
    answer: bothSides,
    context: { colorScheme: look },
  }, async ({ page, ask, answered }) => {
    await page.getByRole("button", { name: "Side by side" }).click();
    await ask("What is a bond?");
    await answered();
    const poor = await page.evaluate(poorContrast);
    assert.deepEqual(poor, []);
    await page.getByRole("button", { name: "Settings" }).click();
    assert.deepEqual(await page.evaluate(poorContrast), []);
  });
}

test("keys: / focuses, Shift+Enter begins a line, Enter sends, words that are being composed do not", {
  answer: ({ messages }) => plain(`You said: ${messages.at(-1)!.content}`),
}, async ({ page, server, answered }) => {
  const field = page.locator("#question");
  await page.locator("#scroll").click();
  await page.keyboard.press("/");
  assert.ok(await field.evaluate((node) => node === node.ownerDocument.activeElement));
  assert.equal(await field.inputValue(), "");
  await page.keyboard.type("one/two");
  await page.keyboard.press("Shift+Enter");
  await page.keyboard.type("three");
  assert.equal(await field.inputValue(), "one/two\nthree");
  await field.dispatchEvent("keydown", { key: "Enter", isComposing: true });
  assert.equal(server.asked.length, 0);
  await page.keyboard.press("Enter");
  await answered();
  assert.equal(server.asked[0].messages[0].content, "one/two\nthree");
  await page.keyboard.press("Enter");
  assert.equal(server.asked.length, 1, "nothing is no question");
  // Everything can be reached by Tab, and shows that it is.
  await page.keyboard.press("Tab");
  assert.equal(await focusOutline(page), "solid");
  assert.deepEqual(await nameless(page), []);
});

test("history: after a reload, several chats, delete and undo, export", {
  answer: ({ messages }) => plain(`You said: ${messages.at(-1)!.content}`),
}, async ({ page, ask, answered, picture }) => {
  await ask("First question");
  await answered();
  await page.getByRole("button", { name: "New chat" }).click();
  await ask("Second question");
  await answered();
  await page.reload();
  assert.equal(
    await page.locator(".markdown").innerText(),
    "You said: Second question",
    "the same chat is shown",
  );
  assert.deepEqual(await page.locator(".chat").allInnerTexts(), ["Second question", "First question"]);
  await page.getByRole("button", { name: "First question", exact: true }).click();
  assert.equal(await page.locator(".markdown").innerText(), "You said: First question");
  const [file] = await Promise.all([
    page.waitForEvent("download"),
    page.getByRole("button", { name: "Export all" }).click(),
  ]);
  const { chats } = JSON.parse(await Deno.readTextFile(await file.path()));
  assert.equal(chats.length, 2);
  assert.deepEqual(chats[1].messages["finance-qa"], [
    { role: "user", content: "First question" },
    { role: "assistant", content: "You said: First question" },
  ]);
  await page.getByRole("button", { name: "Delete: First question" }).click();
  assert.deepEqual(await page.locator(".chat").allInnerTexts(), ["Second question"]);
  await picture("deleted");
  await page.getByRole("button", { name: "Undo" }).click();
  assert.deepEqual(await page.locator(".chat").allInnerTexts(), ["Second question", "First question"]);
  await page.getByRole("button", { name: "Delete all" }).click();
  await page.reload();
  assert.equal(await page.locator(".chat").count(), 0);
  // What others have put into the storage does no harm.
  await page.evaluate(() => {
    localStorage.setItem("fintune.chat.x", '{"id":"x","title":"t","changed":1,"turns":[{"question":1}]}');
    localStorage.setItem("fintune.chat.y", "{");
    localStorage.setItem("fintune.settings", '{"temperature":"hot","max_tokens":-3}');
    localStorage.setItem("fintune.models", '"none"');
  });
  await page.reload();
  assert.equal(await page.locator("#model").inputValue(), "finance-qa");
  assert.equal(await page.locator("#temperature").inputValue(), "0.7");
});

test(
  "settings go into the request, wrong ones do not; they are kept",
  { answer: bothSides },
  async (opened) => {
    const { page, server, ask, answered, picture } = opened;
    await page.getByRole("button", { name: "Settings" }).click();
    await page.locator("#system").fill("You are terse.");
    await page.locator("#temperature").fill("0.2");
    await page.locator("#max_tokens").fill("33");
    await page.locator("#seed").fill("7");
    await page.locator("#top_p").fill("3");
    assert.equal(await page.locator("#top_p-wrong").innerText(), "A number from 0.01 to 1.");
    await picture("settings");
    await page.keyboard.press("Escape");
    await page.reload();
    await ask("What is a bond?");
    await answered();
    const { messages, temperature, top_p, max_tokens, seed } = server.asked[0];
    assert.deepEqual({ temperature, top_p, max_tokens, seed }, {
      temperature: 0.2,
      top_p: 0.9,
      max_tokens: 33,
      seed: 7,
    });
    assert.deepEqual(messages[0], { role: "system", content: "You are terse." });
    await page.getByRole("button", { name: "Settings" }).click();
    await page.getByRole("button", { name: "Back to the defaults" }).click();
    assert.equal(await page.locator("#temperature").inputValue(), "0.7");
    assert.equal(await page.locator("#seed").inputValue(), "");
  },
);

test(
  "a server with a key: asked for, kept for the tab",
  { answer: bothSides, key: "secret" },
  async (opened) => {
    const { page, server, ask, answered, complaints, picture } = opened;
    assert.match(await page.locator("#banner").innerText(), /wants an API key/);
    await picture("key");
    await page.getByRole("button", { name: "Enter the key" }).click();
    await page.locator("#key").fill("wrong");
    await page.keyboard.press("Escape");
    await ask("What is a bond?");
    await page.locator(".failure").waitFor();
    assert.match(await page.locator(".failure").innerText(), /wants an API key/);
    await page.getByRole("button", { name: "Enter the key" }).click();
    await page.locator("#key").fill("secret");
    await page.keyboard.press("Escape");
    await page.locator(".turn.last .again").click();
    await page.locator(".markdown strong").first().waitFor();
    await answered();
    assert.equal(server.asked.length, 1);
    await page.reload();
    assert.equal(await page.locator("#key").inputValue(), "secret");
    assert.equal(await page.evaluate(() => JSON.stringify(localStorage).includes("secret")), false);
    complaints.length = 0; // the browser notes every 401
  },
);

test("a server that goes away, comes back, is busy, refuses, breaks off", {
  answer: ({ messages }) => {
    const question = messages.at(-1)!.content;
    if (question === "busy") return { text: "Too many.", status: 429 };
    if (question === "refuse") return { text: "max_tokens is 9999; it must be at most 512.", status: 400 };
    return {
      text: "Half an answer.",
      breaks: question === "break",
      finish: question === "long" ? "length" : "stop",
    };
  },
}, async ({ page, server, ask, answered, complaints, picture }) => {
  const failure = page.locator(".turn:last-child .failure");
  for (
    const [question, told] of [
      ["busy", /busy: try again in 7 s/],
      ["refuse", /max_tokens is 9999; it must be at most 512/],
      ["break", /broke off/],
    ] as const
  ) {
    await ask(question);
    await page.locator(".turn.last h2", { hasText: question }).waitFor();
    assert.match(await failure.innerText(), told);
  }
  await picture("failures");
  assert.equal(await page.locator(".turn:last-child .markdown").innerText(), "Half an answer.");
  await ask("long");
  await page.locator(".turn.last h2", { hasText: "long" }).waitFor();
  assert.match(await page.locator(".turn.last .note").innerText(), /cut off at 256 tokens/);
  const port = Number(new URL(server.url).port);
  await server.close();
  await ask("gone");
  await page.locator(".turn.last h2", { hasText: "gone" }).waitFor();
  assert.match(await failure.innerText(), /does not answer\. Is it still running\?/);
  assert.match(await page.locator("#banner").innerText(), /Your chats stay in this browser/);
  await picture("gone");
  const again = pageServer({ answer: bothSides, port });
  try {
    await page.locator("#banner").waitFor({ state: "hidden" });
    await page.locator(".turn.last .again").click();
    await page.locator(".turn:last-child .markdown strong").first().waitFor();
    await answered();
  } finally {
    await again.close();
  }
  complaints.length = 0; // the browser notes every failed request
});

test("one model alone: nothing to choose; thoughts stand apart; edit takes a question back", {
  config: { models: [models[0]], title: "Risk notes", notice: "For a demonstration." },
  answer: () => plain("<think>The firm is in debt.</think>\n\nHigh risk."),
}, async ({ page, server, ask, answered, picture }) => {
  assert.equal(await page.title(), "Risk notes");
  assert.match(
    await page.locator("#notice").innerText(),
    /Nothing here is financial advice\. For a demonstration\./,
  );
  assert.equal(await page.locator("#beside").isVisible(), false);
  assert.equal(await page.locator(".kind").count(), 0);
  await ask("Risk?");
  await answered();
  assert.equal(await page.locator(".markdown").innerText(), "High risk.");
  assert.equal(await page.locator(".thought summary").innerText(), "Thoughts");
  await page.locator(".thought summary").click();
  await picture("thoughts");
  await page.locator(".question").hover();
  await page.getByRole("button", { name: "Edit the question" }).click();
  assert.equal(await page.locator("#question").inputValue(), "Risk?");
  await ask("Risk of Acme?");
  await answered();
  assert.deepEqual(server.asked[1].messages, [{ role: "user", content: "Risk of Acme?" }]);
});
