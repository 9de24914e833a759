// serve: answers as generate gives them, in OpenAI's form, whole and streamed; who may ask, and what ends an answer.
import assert from "node:assert/strict";
import { financeQA } from "../lib/data/prompt.ts";
import { generate } from "../lib/generate/generate.ts";
import { serve } from "../lib/serve/serve.ts";
import { refused } from "./refused.ts";
import { events, post, raw, serveTiny, tinyModel } from "./served.ts";

const model = await tinyModel();
const question = "What is a bond?";
const messages = [{ role: "user", content: question }];
const prompt = financeQA.question({ instruction: question, input: "" });
const expected = await generate(model, prompt, { maxNewTokens: 24, temperature: 0 });

Deno.test("chats and completions are those of generate, whole and streamed", async () => {
  const server = await serveTiny(model);
  const common = { model: "tiny", temperature: 0, max_tokens: 24 };
  const chat = await (await post(`${server.url}/v1/chat/completions`, { ...common, messages })).json();
  assert.equal(chat.object, "chat.completion");
  assert.equal(chat.choices[0].message.content, expected);
  const ids = model.tokenizer!.encode(prompt);
  assert.equal(chat.usage.prompt_tokens, ids.length);
  assert.equal(chat.usage.total_tokens, ids.length + chat.usage.completion_tokens);
  for (const asked of [prompt, ids]) {
    const done = await (await post(`${server.url}/v1/completions`, { ...common, prompt: asked })).json();
    assert.equal(done.object, "text_completion");
    assert.equal(done.choices[0].text, expected);
  }
  const response = await post(`${server.url}/v1/chat/completions`, {
    ...common,
    messages,
    stream: true,
    stream_options: { include_usage: true },
  });
  assert.match(response.headers.get("content-type")!, /^text\/event-stream/);
  const list = await events(response);
  assert.equal(list.at(-1), "[DONE]");
  const chunks = list.slice(0, -1).map((data) => JSON.parse(data));
  assert.deepEqual(chunks[0].choices[0].delta, { role: "assistant", content: "" });
  assert.equal(chunks.map(({ choices }) => choices[0]?.delta.content ?? "").join(""), expected);
  assert.deepEqual(chunks.at(-1).usage, chat.usage);
  assert.equal(chunks.at(-2).choices[0].finish_reason, chat.choices[0].finish_reason);
  assert.ok(chunks.slice(0, -1).every(({ usage }) => usage === null));
  await server.stop();
});

Deno.test("stop strings end an answer, also across tokens, and are no part of it", async () => {
  const server = await serveTiny(model);
  for (
    const stop of [expected.slice(7, 12), expected.slice(3, 4), ["###never", expected.slice(9, 20)], "never"]
  ) {
    const found = [stop].flat().map((text) => expected.indexOf(text)).filter((at) => at >= 0);
    const wanted = found.length ? expected.slice(0, Math.min(...found)) : expected;
    for (const stream of [false, true]) {
      const body = { model: "tiny", messages, temperature: 0, max_tokens: 24, stop, stream };
      const response = await post(`${server.url}/v1/chat/completions`, body);
      const text = stream
        ? (await events(response)).slice(0, -1)
          .map((data) => JSON.parse(data).choices[0].delta.content ?? "").join("")
        : (await response.json()).choices[0].message.content;
      assert.equal(text, wanted, `${stop}`);
    }
  }
  await server.stop();
});

Deno.test("n answers differ, the same seed gives the same ones; log-probabilities in both forms", async () => {
  const server = await serveTiny(model);
  const body = { model: "tiny", messages, temperature: 1.5, max_tokens: 12, n: 3, seed: 5 };
  const ask = async (more: object) =>
    (await (await post(`${server.url}/v1/chat/completions`, { ...body, ...more })).json()).choices;
  const texts = (choices: { message: { content: string } }[]) =>
    choices.map(({ message }) => message.content);
  const [first, again, other] = await Promise.all([ask({}), ask({}), ask({ seed: 6 })]);
  const read = await gauge(server.url, "prompt_tokens_read_total");
  assert.equal(read, model.tokenizer!.encode(prompt).length); // for nine answers
  assert.deepEqual(texts(first), texts(again));
  assert.notDeepEqual(texts(first), texts(other));
  assert.equal(new Set(texts(first)).size, 3);
  assert.equal(
    texts(first)[0],
    await generate(model, prompt, { temperature: 1.5, seed: 5, maxNewTokens: 12 }),
  );

  const [choice] = await ask({ n: 1, temperature: 0, logprobs: true, top_logprobs: 2 });
  const { content } = choice.logprobs;
  assert.ok(
    content.length >= 11 &&
      content.every((entry: { top_logprobs: unknown[] }) => entry.top_logprobs.length === 2),
  );
  assert.equal(content[0].token, content[0].top_logprobs[0].token);
  const bytes = Uint8Array.from(content.flatMap((entry: { bytes: number[] }) => entry.bytes));
  assert.ok(new TextDecoder().decode(bytes).includes(choice.message.content.trim()));
  const done = await post(`${server.url}/v1/completions`, {
    model: "tiny",
    prompt,
    max_tokens: 4,
    logprobs: 1,
  });
  const { logprobs } = (await done.json()).choices[0];
  assert.equal(logprobs.tokens.length, 4);
  assert.equal(Object.keys(logprobs.top_logprobs[0]).length, 1);
  await server.stop();
});

Deno.test("response_format holds the answer to a schema, whatever the temperature", async () => {
  const server = await serveTiny(model);
  const schema = {
    type: "object",
    properties: { risk: { enum: ["High", "Low"] }, score: { type: "integer", minimum: 0, maximum: 10 } },
    required: ["risk", "score"],
    additionalProperties: false,
  };
  const ask = (json_schema: unknown, more: object = {}) =>
    post(`${server.url}/v1/chat/completions`, {
      model: "tiny",
      messages,
      max_tokens: 90,
      response_format: { type: "json_schema", json_schema },
      ...more,
    });
  const asked = [0, 0.8, 1.5, 2].map((temperature) =>
    ask({ name: "risk", schema }, { temperature, seed: 3 })
  );
  for (const response of await Promise.all(asked)) {
    const { choices: [{ message, finish_reason }] } = await response.json();
    const { risk, score } = JSON.parse(message.content);
    assert.ok(["High", "Low"].includes(risk) && score >= 0 && score <= 10 && finish_reason === "stop");
  }
  const any = await ask(undefined, { response_format: { type: "json_object" }, temperature: 1 });
  assert.equal(typeof JSON.parse((await any.json()).choices[0].message.content), "object");
  const refusal = await ask({ name: "odd", schema: { type: "fish" } });
  assert.equal(refusal.status, 400);
  assert.equal((await refusal.json()).error.param, "response_format");
  const short = await ask({ name: "risk", schema }, { max_tokens: 3 });
  assert.match((await short.json()).error.message, /shortest answer/);
  await server.stop();
});

Deno.test("models, page, health and metrics", async () => {
  const server = await serveTiny(model, { page: { title: "Bonds" } });
  const { data } = await (await fetch(`${server.url}/v1/models`)).json();
  assert.deepEqual(data.map(({ id, object }: { id: string; object: string }) => [id, object]), [[
    "tiny",
    "model",
  ]]);
  assert.equal((await (await fetch(`${server.url}/v1/models/tiny`)).json()).id, "tiny");
  const page = await fetch(server.url);
  assert.match(page.headers.get("content-security-policy")!, /default-src 'none'/);
  assert.match(await page.text(), /<html/);
  const config = await (await fetch(`${server.url}/config.json`)).json();
  assert.deepEqual(config, { title: "Bonds", models: [{ id: "tiny" }], apiKey: false });
  assert.deepEqual(await (await fetch(`${server.url}/health`)).json(), { status: "ok" });
  await (await post(`${server.url}/v1/completions`, { model: "tiny", prompt, max_tokens: 3 })).json();
  const metrics = await (await fetch(`${server.url}/metrics`)).text();
  assert.match(metrics, /^fintune_requests_total\{path="\/v1\/completions",status="200"\} 1$/m);
  assert.match(metrics, /^fintune_tokens_total\{kind="generated"\} 3$/m);
  assert.match(metrics, /^fintune_running 0$/m);
  assert.match(metrics, /^fintune_first_token_seconds_count 1$/m);
  await server.stop();
});

Deno.test("what a request cannot ask is refused in OpenAI's form", async () => {
  const server = await serveTiny(model, { maxBodyBytes: 5000 });
  const chat = { model: "tiny", messages };
  const cases: [status: number, param: string | null, body: unknown, path?: string][] = [
    [400, null, "{"],
    [400, null, []],
    [400, "model", { messages }],
    [404, "model", { ...chat, model: "gpt-4" }],
    [400, "messages", { model: "tiny" }],
    [400, "messages", { ...chat, messages: [] }],
    [400, "messages[0].role", { ...chat, messages: [{ role: "king", content: "" }] }],
    [400, "messages[0].content", { ...chat, messages: [{ role: "user", content: [{ type: "image_url" }] }] }],
    [400, "temperature", { ...chat, temperature: 3 }],
    [400, "max_tokens", { ...chat, max_tokens: 0 }],
    [400, "n", { ...chat, n: 1.5 }],
    [400, "stop", { ...chat, stop: [""] }],
    [400, "top_logprobs", { ...chat, top_logprobs: 3 }],
    [400, "tools", { ...chat, tools: [{}] }],
    [400, "logit_bias", { ...chat, logit_bias: { a: 1 } }],
    [400, "response_format", { ...chat, response_format: { type: "xml" } }],
    [400, "stream", { ...chat, stream: "yes" }],
    [400, "prompt", { model: "tiny" }, "/v1/completions"],
    [400, "echo", { model: "tiny", prompt: "a", echo: true }, "/v1/completions"],
    [400, null, { model: "tiny", prompt: [1e9] }, "/v1/completions"],
    [400, null, { ...chat, messages: [{ role: "user", content: "bond ".repeat(400) }] }],
    [413, null, { ...chat, messages: [{ role: "user", content: "bond ".repeat(2000) }] }],
    [404, null, chat, "/v1/embeddings"],
    [405, null, chat, "/v1/models"],
  ];
  for (const [status, param, body, path = "/v1/chat/completions"] of cases) {
    const response = await post(`${server.url}${path}`, body), { error } = await response.json();
    assert.equal(response.status, status, `${JSON.stringify(body).slice(0, 80)}: ${error.message}`);
    assert.equal(error.param, param, error.message);
    assert.equal(error.type, "invalid_request_error");
    assert.match(error.message, /^[^\n]{5,400}\.$/);
  }
  const plain = await post(`${server.url}/v1/completions`, "{}", {
    headers: { "content-type": "text/plain" },
  });
  assert.equal(plain.status, 415);
  await plain.body?.cancel();
  await server.stop();
});

Deno.test("keys, host names, origins", async () => {
  await refused("an open address", () => serveTiny(model, { hostname: "0.0.0.0" }), /give it an apiKey/);
  await refused("a short key", () => serveTiny(model, { apiKey: "1234567" }), /fewer than 8/);
  await refused("a port", () => serveTiny(model, { port: 70000 }), /port is 70000/);
  const apiKey = "secret-of-the-test", page = "https://page.example";
  const server = await serveTiny(model, { apiKey, corsOrigins: [page] });
  const status = async (path: string, headers: Record<string, string>, method: string = "GET") => {
    const response = await fetch(server.url + path, { headers, method });
    await response.body?.cancel();
    return response.status;
  };
  assert.equal(await status("/v1/models", {}), 401);
  assert.equal(await status("/v1/models", { authorization: "Bearer secret-of-the-tesT" }), 401);
  assert.equal(await status("/v1/models", { authorization: `Bearer ${apiKey}` }), 200);
  assert.equal(await status("/metrics", {}), 401);
  assert.equal(await status("/", {}), 200);
  assert.equal(await status("/health", { origin: "https://evil.example" }), 403);
  assert.equal(await status("/health", { origin: page }), 200);
  assert.equal(await status("/v1/completions", { origin: page }, "OPTIONS"), 204);
  assert.equal(await status("/v1/completions", {}, "OPTIONS"), 405);
  assert.equal(await status("/health", { origin: server.url }), 200);
  const rebound = await raw(
    server.url,
    "GET /health HTTP/1.1\r\nHost: evil.example\r\nConnection: close\r\n\r\n",
  );
  assert.match(rebound, /^HTTP\/1\.1 403/);
  const port = Number(new URL(server.url).port);
  await refused("a taken port", () => serveTiny(model, { port }), /is taken/);
  await server.stop();
});

Deno.test("a full queue, a client that leaves, and a graceful stop", async () => {
  const server = await serveTiny(model, { maxStreams: 1, maxQueue: 1, maxLength: 512 });
  const body = { model: "tiny", messages, max_tokens: 450, logit_bias: { 2: -100 }, temperature: 0 };
  const url = `${server.url}/v1/chat/completions`;
  const leaving = new AbortController();
  const first = await post(url, { ...body, stream: true }, { signal: leaving.signal });
  const second = post(url, { ...body, max_tokens: 5 });
  await until(async () => (await gauge(server.url, "waiting")) === 1);
  const full = await post(url, body);
  assert.equal(full.status, 429);
  assert.ok(Number(full.headers.get("retry-after")) >= 1);
  assert.equal((await full.json()).error.code, "queue_full");
  leaving.abort();
  await first.body?.cancel().catch(() => {});
  assert.equal((await (await second).json()).usage.completion_tokens, 5); // the place was given on
  await until(async () => (await gauge(server.url, "running")) === 0);

  const last = post(url, body);
  await until(async () => (await gauge(server.url, "running")) === 1);
  const stopped = server.stop(0.05);
  const { choices: [choice] } = await (await last).json();
  assert.equal(choice.finish_reason, "length");
  await stopped;
  await server.finished;
  await assert.rejects(fetch(server.url));
});

Deno.test("a model without a chat template says so", async () => {
  const tokenizer = { ...model.tokenizer!, chatTemplate: undefined };
  const server = await serve({ tiny: { ...model, tokenizer } }, { port: 0, quiet: true, maxLength: 64 });
  const response = await post(`${server.url}/v1/chat/completions`, { model: "tiny", messages });
  assert.match((await response.json()).error.message, /no chat template: use \/v1\/completions/);
  await server.stop();
});

async function gauge(url: string, name: string): Promise<number> {
  const text = await (await fetch(`${url}/metrics`)).text();
  return Number(new RegExp(`^fintune_${name} (\\d+)$`, "m").exec(text)![1]);
}

async function until(condition: () => Promise<boolean>): Promise<void> {
  while (!await condition()) await new Promise((resolve) => setTimeout(resolve, 5));
}
