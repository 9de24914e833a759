// The Modelfile's template by the real Go engine (npm's go-template carries it as WebAssembly), as Ollama calls it: what Jinja says.
import assert from "node:assert/strict";
import { parse } from "@evertdespiegeleer/go-template";
import { fromFileUrl } from "@std/path";
import { modelfile } from "../../lib/gguf/modelfile.ts";
import { loadModel } from "../../lib/models/load.ts";
import { chatStyles, tokenizerWith } from "../chat_styles.ts";

const talk = [
  { role: "user", content: "What is a {{ bond }}?" },
  { role: "assistant", content: "A loan, or\ntwo." },
  { role: "user", content: "To whom?" },
];
const system = { role: "system", content: 'Be "brief".' };

Deno.test({
  name: "Go renders the template of a Modelfile as Jinja renders the model's",
  sanitizeOps: false, // the engine's clock never stops
  sanitizeResources: false,
  async fn() {
    const model = await loadModel(fromFileUrl(new URL("../../examples/tiny/model", import.meta.url)));
    for (const [name, jinja] of Object.entries(chatStyles)) {
      const tokenizer = await tokenizerWith(jinja), text = modelfile({ ...model, tokenizer }, "a.gguf");
      const go = /TEMPLATE """([^]*?)"""/.exec(text)![1], said = /SYSTEM """([^]*?)"""/.exec(text)?.[1];
      for (const messages of [talk, [system, ...talk]]) {
        let expected: string;
        try {
          expected = tokenizer.applyChatTemplate(messages, { addGenerationPrompt: true });
        } catch {
          continue; // a template without a system
        }
        const given = said !== undefined && messages[0] !== system
          ? [{ role: "system", content: said }, ...messages]
          : messages;
        const rendered = await parse(go, {
          System: given[0].role === "system" ? given[0].content : "",
          Messages: given.map(({ role, content }) => ({ Role: role, Content: content })),
        });
        assert.equal(rendered, tokenizer.addsBos ? expected.replace(/^<s>/, "") : expected, name);
      }
    }
  },
});
