// Requests and settings at the edges: nesting, clients that leave before anything came, bodies that never end, what is counted.
import assert from "node:assert/strict";
import { serve } from "../lib/serve/serve.ts";
import { refused } from "./refused.ts";
import { post, serveTiny, tinyModel } from "./served.ts";

const model = await tinyModel();
const body = {
  model: "tiny",
  messages: [{ role: "user", content: "Who?" }],
  temperature: 0,
  logit_bias: { 2: -100 },
};

/** A number of /metrics. */
async function figure(url: string, name: string): Promise<number> {
  const text = await (await fetch(`${url}/metrics`)).text();
  return Number(new RegExp(`^${name} (.*)$`, "m").exec(text)?.[1] ?? 0);
}

async function until(condition: () => Promise<boolean>): Promise<void> {
  while (!await condition()) await new Promise((resolve) => setTimeout(resolve, 10));
}

Deno.test("a request that is nested too deeply is refused, and the next one answered", async () => {
  const server = await serveTiny(model), url = `${server.url}/v1/chat/completions`;
  let schema: Record<string, unknown> = { type: "string" };
  for (let depth = 0; depth < 3000; depth++) schema = { type: "array", items: schema };
  const response_format = { type: "json_schema", json_schema: { name: "deep", schema } };
  const deep = await post(url, { ...body, response_format });
  assert.equal(deep.status, 400);
  assert.match((await deep.json()).error.message, /nested deeper than 100 levels/);
  const brackets = {
    ...body,
    messages: [{ role: "user", content: "[".repeat(3000) + '\\"{' }],
    max_tokens: 1,
  };
  assert.equal((await (await post(url, brackets)).json()).usage?.completion_tokens ?? 1, 1); // brackets in texts count nothing
  const next = await post(url, { ...body, max_tokens: 3 });
  assert.equal((await next.json()).usage.completion_tokens, 3);
  await server.stop();
});

Deno.test("a schema that cannot be is the request's fault, never the server's", async () => {
  const server = await serveTiny(model), url = `${server.url}/v1/chat/completions`;
  const schemas: [schema: object, says: RegExp][] = [
    [
      { type: "object", properties: { a: { $id: "x" }, b: { $id: "x" } } },
      /"\$id" at #\/properties\/a is not/,
    ],
    [{ $ref: "//" }, /"\$ref" at # is "\/\/"/],
    [{ anyOf: [{ $ref: "#" }] }, /No value fulfils/],
    [{ type: "fish" }, /type "fish" at # is none/],
    [{ enum: "a" }, /"enum" at # must be a list/],
    [{ const: "a", pattern: "[" }, /pattern at #\/pattern cannot be used/],
    [{ type: "array", minItems: 1e308 }, /"minItems" at # must be a whole number|is above 10000/],
    [{ type: "integer", minimum: 1e308 }, /No value fulfils/],
    [{ type: "string", maxLength: "9" }, /"maxLength" at # must be a whole number/],
  ];
  for (const [schema, says] of schemas) {
    const response_format = { type: "json_schema", json_schema: { name: "odd", schema } };
    const response = await post(url, { ...body, response_format }), { error } = await response.json();
    assert.deepEqual([response.status, error?.param], [400, "response_format"], JSON.stringify(schema));
    assert.match(error.message, says);
  }
  await server.stop();
});

Deno.test("a prompt that is far too long is refused before it is tokenized; one that just fits is answered", async () => {
  const lengths: number[] = [], given = model.tokenizer!;
  const encode: typeof given.encode = (text, options) => {
    lengths.push(text.length);
    return given.encode(text, options);
  };
  const tokenizer = { ...given, encode, chatTemplate: "{{ messages[0].content }}" };
  const server = await serve({ tiny: { ...model, tokenizer } }, { port: 0, quiet: true, maxLength: 128 });
  const ask = async (prompt: unknown, path = "completions") => {
    const asked = path === "completions" ? { prompt } : { messages: [{ role: "user", content: prompt }] };
    const response = await post(`${server.url}/v1/${path}`, { model: "tiny", max_tokens: 1, ...asked });
    return { status: response.status, ...await response.json() };
  };
  const far = "bond".repeat(225_000);
  const answers = [await ask(far), await ask(["Who?", far.slice(4)]), await ask(far, "chat/completions")];
  for (const { status, error } of answers) {
    assert.deepEqual([status, error.code], [400, "context_length_exceeded"]);
    assert.match(
      error.message,
      /^The prompt has at least \d{4,6} tokens; there is room for 128 with the answer/,
    );
  }
  assert.deepEqual(lengths.filter((length) => length > 1000), []);
  // Of all texts with 127 tokens, BOS among them, the longest: the same token, the longest that does so, again and again.
  const tokens = Array.from({ length: given.vocabSize }, (_, id) => given.decode([id]))
    .filter((text) => text !== "" && given.encode(text.repeat(126)).length === 127);
  const longest = tokens.reduce((best, text) => text.length > best.length ? text : best);
  assert.ok(longest.length >= 8, longest);
  const fits = await ask(longest.repeat(126));
  assert.deepEqual([fits.status, fits.usage?.prompt_tokens], [200, 127]);
  const over = await ask(longest.repeat(127));
  assert.deepEqual([over.status, over.error.code], [400, "context_length_exceeded"]);
  await server.stop();
});

Deno.test("who leaves before the first token, streaming or not, gives the place back", async () => {
  const server = await serveTiny(model, { maxStreams: 1, maxQueue: 2, maxLength: 512 });
  const url = `${server.url}/v1/chat/completions`, leaving = new AbortController();
  const first = await post(url, { ...body, max_tokens: 450, stream: true });
  const waiting = [false, true].map((stream) =>
    post(url, { ...body, max_tokens: 9, stream }, { signal: leaving.signal }).then((response) =>
      response.text()
    )
      .catch(() => "left")
  );
  await until(async () => await figure(server.url, "fintune_waiting") === 2);
  assert.equal((await post(url, body)).status, 429);
  leaving.abort();
  assert.deepEqual(await Promise.all(waiting), ["left", "left"]);
  await until(async () => await figure(server.url, "fintune_waiting") === 0);
  assert.equal(await figure(server.url, "fintune_cancelled_total"), 2);
  await first.body!.cancel();
  const next = await post(url, { ...body, max_tokens: 2 });
  assert.equal((await next.json()).usage.completion_tokens, 2);
  await server.stop();
});

Deno.test("a request's time is counted when its answer has ended", async () => {
  const server = await serveTiny(model, { maxLength: 512 }), url = `${server.url}/v1/chat/completions`;
  const counted = async (of: string) => (await figure(server.url, `fintune_${of}_seconds_count`));
  const before = await counted("request");
  const response = await post(url, { ...body, max_tokens: 400, stream: true });
  const reader = response.body!.getReader();
  await reader.read();
  await until(async () => await counted("first_token") === 1);
  const asked = await counted("request"); // before and since: /metrics alone
  while (!(await reader.read()).done);
  await until(async () => await counted("request") > asked);
  assert.equal(before, 0);
  assert.equal((await fetch(`${server.url}/health`)).status, 200);
  await server.stop();
});

Deno.test("a stop does not wait for a body that does not come", async () => {
  const server = await serveTiny(model), { hostname, port } = new URL(server.url);
  using connection = await Deno.connect({ hostname, port: Number(port) });
  const head = `POST /v1/completions HTTP/1.1\r\nHost: ${hostname}:${port}\r\n` +
    "Content-Type: application/json\r\nContent-Length: 100\r\n\r\n{";
  await connection.write(new TextEncoder().encode(head));
  await until(async () => (await fetch(`${server.url}/health`)).ok); // the server has had time to read the head
  const answered = new Response(connection.readable).text().catch(() => "");
  await server.stop(0.1);
  assert.match(await answered, /^HTTP\/1\.1 503 /);
});

Deno.test("what serve cannot do is refused in one sentence", async () => {
  const quiet = { quiet: true, port: 0 };
  const open = (options: object) => () => serve(model, { ...quiet, ...options });
  await refused(
    "no model",
    () => serve(undefined as never),
    /^serve needs a model, or models by their names; it got undefined/,
  );
  const away = { hostname: "192.0.2.1", apiKey: "a long key" };
  await refused(
    "elsewhere",
    open(away),
    /^The server cannot listen at 192\.0\.2\.1, port 0 \(.*\): choose another/,
  );
  await refused("hosts", open({ allowedHosts: "x" }), /^allowedHosts is "x"; it must be a list of texts/);
  await refused(
    "origin",
    open({ corsOrigins: ["example.com"] }),
    /^corsOrigins: "example\.com" is no origin/,
  );
});

Deno.test("an origin may be written with a slash at its end", async () => {
  const server = await serveTiny(model, { corsOrigins: ["https://Example.com/"] });
  const response = await fetch(`${server.url}/v1/models`, { headers: { origin: "https://example.com" } });
  assert.equal(response.headers.get("access-control-allow-origin"), "https://example.com");
  await response.body?.cancel();
  await server.stop();
});
