// Ollama's Modelfile: the texts around contents that chat templates' behaviour tells. What Go makes of the template is in
// tests/interop/modelfile_test.ts.
import assert from "node:assert/strict";
import { fromFileUrl, join } from "@std/path";
import { modelfile } from "../lib/gguf/modelfile.ts";
import { findTurns, renderTurns } from "../lib/gguf/turns.ts";
import { loadModel } from "../lib/models/load.ts";
import { chatStyles, tokenizerWith } from "./chat_styles.ts";
import { refused } from "./refused.ts";

const exampleFolder = (name: string) => join(fromFileUrl(new URL("../examples/", import.meta.url)), name);

for (const [name, template] of Object.entries(chatStyles)) {
  Deno.test(`${name}: the turns of the template, found by its behaviour`, async () => {
    const tokenizer = await tokenizerWith(template), turns = findTurns(tokenizer);
    assert.ok(turns, name);
    const talk = [
      { role: "user", content: "What is a {{ bond }}?" },
      { role: "assistant", content: "A loan." },
      { role: "user", content: "To whom?" },
    ];
    for (
      const messages of turns.system ? [talk, [{ role: "system", content: "Be brief." }, ...talk]] : [talk]
    ) {
      const expected = tokenizer.applyChatTemplate(messages, { addGenerationPrompt: true });
      assert.equal(renderTurns(turns, messages), expected.replace(/^<s>/, tokenizer.addsBos ? "" : "<s>"));
    }
  });
}

Deno.test("a Modelfile for a ChatML model says all of it", async () => {
  const model = await loadModel(exampleFolder("finsight/model"));
  assert.equal(
    modelfile(model, "finsight.gguf", { adapter: "/models/tuned.gguf" }),
    `FROM ./finsight.gguf
ADAPTER /models/tuned.gguf
TEMPLATE """{{ range $i, $_ := .Messages }}{{ if eq .Role "system" }}<|im_start|>system
{{ .Content }}<|im_end|>
{{ else if eq .Role "user" }}<|im_start|>user
{{ .Content }}<|im_end|>
{{ else if eq .Role "assistant" }}<|im_start|>assistant
{{ .Content }}{{ if not (eq (len (slice $.Messages $i)) 1) }}<|im_end|>
{{ end }}{{ end }}{{ if and (ne .Role "assistant") (eq (len (slice $.Messages $i)) 1) }}<|im_start|>assistant
{{ end }}{{ end }}"""
SYSTEM """You are a helpful assistant."""
PARAMETER stop "<|im_end|>"
`,
  );
});

Deno.test("plain headings stop answers too; a template that computes is refused", async () => {
  const tiny = await loadModel(exampleFolder("tiny/model"));
  assert.match(modelfile(tiny, "tiny.gguf"), /PARAMETER stop "<\/s>"\nPARAMETER stop "### Question:"\n$/);
  const counting = await tokenizerWith(
    "{% for message in messages %}{{ loop.index }}. {{ message.content }}\n{% endfor %}",
  );
  await refused("counting", () => modelfile({ ...tiny, tokenizer: counting }, "a.gguf"), /TEMPLATE by hand/);
  const silent = await loadModel(exampleFolder("../tests/reference/llama_tied/model"));
  await refused("no template", () => modelfile(silent, "a.gguf"), /no chat template/);
});
