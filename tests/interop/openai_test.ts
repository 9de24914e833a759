// The real openai client against serve: what it types, streams, counts and throws.
import assert from "node:assert/strict";
import OpenAI from "openai";
import { financeQA } from "../../lib/data/prompt.ts";
import { generate } from "../../lib/generate/generate.ts";
import { serveTiny, tinyModel } from "../served.ts";

Deno.test("the openai client chats, streams, stops, and gets its errors as classes", async () => {
  const model = await tinyModel(), apiKey = "secret-of-the-test";
  const server = await serveTiny(model, { apiKey, maxStreams: 4 });
  const client = new OpenAI({ apiKey, baseURL: `${server.url}/v1`, maxRetries: 0 });
  const content = "What is a bond?", messages = [{ role: "user" as const, content }];
  const prompt = financeQA.question({ instruction: content, input: "" });
  const expected = await generate(model, prompt, { temperature: 0, maxNewTokens: 20 });

  const models = await Array.fromAsync(client.models.list());
  assert.deepEqual(models.map(({ id }) => id), ["tiny"]);
  assert.equal((await client.models.retrieve("tiny")).owned_by, "fintune");

  const asked = { model: "tiny", messages, temperature: 0, max_completion_tokens: 20 };
  const chat = await client.chat.completions.create(asked);
  assert.equal(chat.choices[0].message.content, expected);
  assert.equal(chat.usage!.completion_tokens, 20);

  const stream = await client.chat.completions.create({
    ...asked,
    stream: true,
    stream_options: { include_usage: true },
  });
  let text = "", total: number | undefined;
  for await (const { choices, usage } of stream) {
    text += choices[0]?.delta.content ?? "";
    total = usage?.total_tokens;
  }
  assert.equal(text, expected);
  assert.equal(total, chat.usage!.total_tokens);
  const helper = client.chat.completions.stream(asked); // assembles the pieces itself, and checks them
  assert.equal(await helper.finalContent(), expected);

  const scored = await client.chat.completions.create({ ...asked, logprobs: true, top_logprobs: 2, n: 2 });
  assert.equal(scored.choices[1].logprobs!.content!.length, 20);
  const plain = await client.completions.create({
    model: "tiny",
    prompt,
    max_tokens: 20,
    temperature: 0,
    stop: ["zzz"],
  });
  assert.equal(plain.choices[0].text, expected);

  const json_schema = { name: "risk", strict: true, schema: { enum: ["High", "Low"] } };
  const held = await client.chat.completions.create({
    ...asked,
    response_format: { type: "json_schema", json_schema },
  });
  assert.ok(["High", "Low"].includes(JSON.parse(held.choices[0].message.content!)));

  const left = await client.chat.completions.create({ ...asked, stream: true, max_completion_tokens: 90 });
  for await (const _ of left) break; // closes the connection
  await assert.rejects(client.chat.completions.create({ ...asked, model: "none" }), OpenAI.NotFoundError);
  await assert.rejects(client.chat.completions.create({ ...asked, temperature: 7 }), OpenAI.BadRequestError);
  const stranger = new OpenAI({ apiKey: "wrong", baseURL: `${server.url}/v1`, maxRetries: 0 });
  await assert.rejects(stranger.chat.completions.create(asked), OpenAI.AuthenticationError);
  await server.stop();
});
