// The chat in the terminal as a process that is spoken to through a pipe, and the served page as one that is asked: what they
// answer is what generate answers.
import assert from "node:assert/strict";
import { fromFileUrl, join } from "@std/path";
import { financeQA } from "../lib/data/prompt.ts";
import { generate } from "../lib/generate/generate.ts";
import { useAdapter } from "../lib/lora.ts";
import type { Model } from "../lib/models/model.ts";
import { saveAdapter } from "../lib/peft.ts";
import { endless, tunedAtRandom } from "./chat_models.ts";
import { inFolder } from "./runs.ts";

const root = fromFileUrl(new URL("..", import.meta.url));

const chat = (args: string[]) => example(["-P=train", "examples/chat.ts", ...args]);

function example(args: string[]): Deno.ChildProcess {
  return new Deno.Command(Deno.execPath(), {
    args: ["run", "--no-prompt", ...args],
    cwd: root,
    env: { FINTUNE_BACKEND: "cpu", NO_COLOR: "1" },
    stdin: "piped",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
}

/** Says all lines at once, and returns what was answered, line by line. */
async function spoken(
  args: string[],
  lines: string[],
): Promise<{ said: string[]; wrong: string; code: number }> {
  const child = chat(args), writer = child.stdin.getWriter();
  await writer.write(new TextEncoder().encode(lines.join("\n") + "\n"));
  await writer.close();
  const { code, stdout, stderr } = await child.output();
  const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes);
  return { said: text(stdout).split("\n"), wrong: text(stderr), code };
}

Deno.test("chat.ts: base and tuned, commands, a saved chat", () =>
  inFolder(async (folder) => {
    const tuned = await tunedAtRandom(),
      adapter = join(folder, "adapter"),
      saved = join(folder, "chat.jsonl");
    await saveAdapter(tuned, adapter);
    const prompt = (question: string) =>
      tuned.tokenizer!.applyChatTemplate([{ role: "user", content: question }], {
        addGenerationPrompt: true,
      });
    const say = async (model: Model, question: string) =>
      (await generate(model, prompt(question), { maxNewTokens: 12, temperature: 0 })).trim();
    const [byTuned, byBase, ofTwo] = [
      await say(tuned, "What is a bond?"),
      await say(useAdapter(tuned, undefined), "What is a bond?"),
      await say(tuned, "Give an example\nof a bond."),
    ];
    assert.notEqual(byTuned, byBase);
    const alone = await spoken(["--adapter", adapter], [
      "/set temperature 0",
      "/set maxNewTokens 12",
      "What is an index?",
      "What is a bond?",
      "/system Be brief.",
    ]);
    // As the recipe asks: without what was said before.
    const end = `\n${byTuned}\nThe prompt here is financeQA, which has no place for it.\n`;
    assert.ok(alone.said.join("\n").endsWith(end), alone.said.join("\n"));
    const { said, wrong, code } = await spoken([
      "--prompt",
      "chat",
      "--adapter",
      adapter,
      "--history",
      join(folder, "history"),
    ], [
      "/set temperature 0",
      "/set maxNewTokens 12",
      "What is a bond?",
      "/model base",
      "/regenerate",
      "/set topq 1",
      "/set topP 7",
      "/sav x",
      "/system Be brief.",
      `/save ${saved}`,
      `/save ${saved}`,
      "/reset",
      "/system",
      "/regenerate",
      "/model tuned",
      "Give an example\\",
      "of a bond.",
      "/quit",
      "never read",
    ]);
    assert.equal(code, 0, wrong);
    assert.match(said[0], /Nothing here is financial advice|nothing here is financial advice/);
    assert.deepEqual(
      said.slice(1).join("\n").trim(),
      [
        "temperature is 0.",
        "maxNewTokens is 12.",
        byTuned,
        "The base model answers.",
        byBase,
        "topq is no setting; did you mean topP?",
        "topP is a number from 0.01 to 1.",
        "/sav is no command; did you mean /save?",
        "Told before the chat: Be brief.",
        `Saved in ${saved}.`,
        `${saved} is there already: choose another name.`,
        "A new chat.",
        "Nothing is told before the chat.",
        "Nothing has been asked yet.",
        "The tuned model answers.",
        ofTwo,
      ].join("\n"),
    );
    assert.deepEqual(JSON.parse(await Deno.readTextFile(saved)), {
      messages: [
        { role: "system", content: "Be brief." },
        { role: "user", content: "What is a bond?" },
        { role: "assistant", content: byBase },
      ],
    });
  }));

Deno.test("chat.ts: the embedded model says what it is; a long chat loses its beginning, not its end", async () => {
  const lines = ["/set temperature 0", "/set maxNewTokens 100"];
  for (let i = 0; i < 6; i++) lines.push(`What is a bond, and ${"why is it so, ".repeat(12)}of all things?`);
  const { said, wrong, code } = await spoken(["--prompt", "chat"], [...lines, "/model tuned"]);
  assert.equal(code, 0, wrong);
  assert.match(said[1], /1\.9 million parameters.*--adapter/);
  assert.ok(
    said.some((line) => /^\(\d+ earlier questions? do(es)? not fit any more\)$/.test(line)),
    said.join("\n"),
  );
  assert.match(said.at(-2)!, /^There is no tuned model here/);
});

Deno.test("chat.ts: what cannot be meant is one sentence", async () => {
  for (
    const [args, message] of [
      [["--adapter", "no/such/folder"], /no\/such\/folder/],
      [["--modle", "x"], /^--modle is no flag; did you mean --model\?$/m],
    ] as const
  ) {
    const { code, wrong } = await spoken([...args], []);
    assert.equal(code, 1);
    assert.match(wrong, message);
    assert.doesNotMatch(wrong, /\n\s+at /);
  }
});

Deno.test({
  name: "chat.ts: Ctrl-C stops the answer, the chat goes on; a second one leaves",
  ignore: Deno.build.os === "windows",
  fn: () =>
    inFolder(async (folder) => {
      const model = await endless(join(folder, "model"));
      const child = chat(["--model", model, "--history", join(folder, "history")]);
      const writer = child.stdin.getWriter(), wrong = new Response(child.stderr).text();
      const say = (line: string) => writer.write(new TextEncoder().encode(line + "\n"));
      const reader = child.stdout.pipeThrough(new TextDecoderStream()).getReader();
      let said = "";
      const until = async (seen: (text: string) => boolean) => {
        while (!seen(said)) {
          const { value, done } = await reader.read();
          if (done) assert.fail(`${said}\n${await wrong}`);
          said += value;
        }
        said = "";
      };
      for (const line of ["/set temperature 0", "/set maxNewTokens 480"]) await say(line);
      await until((text) => text.includes("maxNewTokens is 480."));
      await say("What is a bond?");
      await until((text) => text.length > 20);
      child.kill("SIGINT");
      await say("/set topK 3");
      await until((text) => text.includes("\ntopK is 3."));
      await say("What is a stock?");
      await until((text) => text.length > 20);
      child.kill("SIGINT");
      await until((text) => text.endsWith("\n")); // two at once would be one
      child.kill("SIGINT");
      const { signal, code } = await child.status;
      assert.ok(signal === "SIGINT" || code === 130, `${signal} ${code}`);
      await reader.cancel();
      await writer.close().catch(() => {});
      await wrong;
    }),
});

Deno.test({
  name: "serve.ts: the page and an answer under the permissions that it names; Ctrl-C ends it",
  ignore: Deno.build.os === "windows",
  fn: () =>
    inFolder(async (folder) => {
      const tuned = await tunedAtRandom(), adapter = join(folder, "recipe", "adapter");
      await saveAdapter(tuned, adapter);
      const server = example(["-P=serve", "examples/serve.ts", "--port", "0", "--adapter", adapter]);
      const wrong = new Response(server.stderr).text();
      await server.stdin.close();
      const reader = server.stdout.pipeThrough(new TextDecoderStream()).getReader();
      const { value = "" } = await reader.read();
      const [url] = /http:\S+/.exec(value) ?? [];
      if (!url) assert.fail(value + await wrong);
      const { models, examples } = await (await fetch(`${url}/config.json`)).json();
      assert.deepEqual(models, [{ id: "small-llama" }, {
        id: "small-llama-tuned",
        base: "small-llama",
        adapter: "recipe",
      }]);
      assert.equal(examples.length, 6);
      assert.match(await (await fetch(url)).text(), /<title>fintune<\/title>/);
      const response = await fetch(`${url}/v1/chat/completions`, {
        method: "POST",
        headers: { "content-type": "application/json" },
        body: JSON.stringify({
          model: "small-llama-tuned",
          temperature: 0,
          max_tokens: 12,
          messages: [{ role: "user", content: "What is a bond?" }],
        }),
      });
      const { choices } = await response.json();
      const prompt = financeQA.question({ instruction: "What is a bond?" });
      assert.equal(
        choices[0].message.content,
        await generate(tuned, prompt, { temperature: 0, maxNewTokens: 12 }),
      );
      server.kill("SIGINT");
      assert.equal((await server.status).code, 0);
      await reader.cancel();
      await wrong;
    }),
});

Deno.test({
  name: "serve.ts: SIGTERM lets an answer come to its end, a second one leaves at once",
  ignore: Deno.build.os === "windows",
  fn: async () => {
    for (const times of [1, 2]) {
      const server = example(["-P=serve", "examples/serve.ts", "--port", "0"]);
      const wrong = new Response(server.stderr).text();
      await server.stdin.close();
      const reader = server.stdout.pipeThrough(new TextDecoderStream()).getReader();
      const [url] = /http:\S+/.exec((await reader.read()).value ?? "") ?? [];
      if (!url) assert.fail(await wrong);
      const response = await fetch(`${url}/v1/completions`, {
        method: "POST",
        headers: { "content-type": "application/json" },
        body: JSON.stringify({
          model: "small-llama",
          prompt: "What is a bond?",
          stream: true,
          max_tokens: 450,
          logit_bias: { 2: -100 },
        }),
      });
      const answer = response.text().catch(() => "cut off");
      server.kill("SIGTERM");
      assert.match((await reader.read()).value ?? "", /^Answering what has been asked/);
      if (times === 2) server.kill("SIGTERM");
      const { code, signal } = await server.status, text = await answer;
      if (times === 1) {
        assert.deepEqual([code, signal], [0, null], await wrong);
        assert.ok(text.split("data: ").length > 20, text);
        assert.match(text, /"finish_reason":"length".*\n\ndata: \[DONE\]\n\n$/);
      } else assert.deepEqual([signal, text], ["SIGTERM", "cut off"]);
      await reader.cancel();
      await wrong;
    }
  },
});
