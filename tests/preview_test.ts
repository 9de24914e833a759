// The preview of tokens, to the letter.

import assert from "node:assert/strict";
import { detectPrompt } from "../lib/data/detect.ts";
import { packBatches, padBatches } from "../lib/data/pack.ts";
import { previewBatch, previewRow } from "../lib/data/preview.ts";
import { UserError } from "../lib/errors.ts";
import { loadTokenizer, type Tokenizer } from "../lib/text/tokenizer.ts";

const tokenizer = await loadTokenizer(
  new URL("./reference/tiny_tokenizer/", import.meta.url).pathname,
) as Tokenizer;
const rows = [
  { messages: [{ role: "user", content: "Bond?" }, { role: "assistant", content: "<A> 😀" }] },
  { messages: [{ role: "user", content: "Hi" }, { role: "assistant", content: "No" }] },
];
const options = { tokenizer, completionOnly: true };
const FIRST = "<s><|im_start|>user\nBond?<|im_end|>\n<|im_start|>assistant\n[+<A> 😀<|im_end|>+]\n";
const SECOND = "<s><|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n[+No<|im_end|>+]\n";

Deno.test("preview of a row: trained, masked and cut, as plain text, for a terminal and as HTML", () => {
  const preview = previewRow(rows[0], options);
  assert.equal(preview.toString(), `${FIRST}\n\n31 tokens: 9 trained, 22 masked`);
  assert.equal(preview.rows[0].map((token) => token.text).join(""), FIRST.replaceAll(/\[\+|\+\]/g, ""));
  const short = previewRow(rows[1], { ...options, maxLength: 20 });
  assert.equal(
    short.toString(),
    "<s><|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n[+N+]{-o<|im_end|>\n-}\n\n23 tokens: 1 trained, 19 masked, 3 cut",
  );
  const tiny = previewRow({ inputIds: [1, 4, 5], labels: [-100, -100, 5] }, { tokenizer, maxLength: 2 });
  const last = tokenizer.decode([5]);
  assert.equal(tiny.toString(), `<s><|im_end|>{-${last}-}\n\n3 tokens: 0 trained, 2 masked, 1 cut`);
  assert.equal(
    tiny.toANSI(),
    `\x1b[2m<s>\x1b[0m\x1b[2;3m<|im_end|>\x1b[0m\x1b[9;31m${last}\x1b[0m\n\n3 tokens: 0 trained, 2 masked, 1 cut`,
  );
  const ids = [4, 4, 1];
  const html = previewRow({ inputIds: ids, labels: [-100, 4, -100] }, { tokenizer }).toHTML();
  assert.equal(
    html,
    '<div style="white-space:pre-wrap;font-family:monospace"><span style="color:#757575" title="4">&lt;|im_end|&gt;</span>' +
      '<span style="background:#a5d6a7;color:#1b5e20" title="4">&lt;|im_end|&gt;</span>' +
      '<span style="color:#757575" title="1">&lt;s&gt;</span><div>3 tokens: 1 trained, 2 masked</div></div>',
  );
});

Deno.test("preview: Jupyter is shown HTML, a console that is no terminal plain text, and no row steers a terminal", () => {
  const preview = previewRow(rows[0], options);
  const display =
    (preview as unknown as Record<symbol, () => Record<string, string>>)[Symbol.for("Jupyter.display")];
  assert.deepEqual(display(), { "text/plain": preview.toString(), "text/html": preview.toHTML() });
  if (!Deno.stdout.isTerminal()) assert.equal(Deno.inspect(preview), preview.toString());
  const evil = previewRow({ text: "a\x1b[2Jb" }, { tokenizer });
  assert.ok(!evil.toANSI().includes("\x1b[2J") && evil.toANSI().includes("\ufffd"));
});

Deno.test("preview of a batch: its rows in both layouts, without padding", () => {
  for (const form of [packBatches, padBatches]) {
    const [batch] = form(rows, { ...options, batchSize: 2 });
    assert.equal(
      previewBatch(batch, tokenizer).toString(),
      `${FIRST}\n\n31 tokens: 9 trained, 22 masked\n\n${SECOND}\n\n23 tokens: 3 trained, 20 masked`,
    );
  }
  assert.throws(() => previewRow(rows[0], {}), UserError);
});

Deno.test("a row of text and label is not shown with a question that training does not ask", async () => {
  const tokenizer = await loadTokenizer("tests/reference/tiny_tokenizer") as Tokenizer;
  const rows = [{ text: "Profit fell.", label: "bad" }, { text: "Sales rose.", label: "good" }];
  assert.throws(() => previewRow(rows[0], { tokenizer }), (error) => {
    assert.ok(error instanceof UserError);
    assert.match(
      error.message,
      /with the labels of all rows: give \{ prompt: detectPrompt\(rows, tokenizer\) \}\.$/,
    );
    return true;
  });
  const prompt = detectPrompt(rows, tokenizer);
  assert.match(String(previewRow(rows[0], { tokenizer, prompt })), /\{bad\/good\}/);
});
