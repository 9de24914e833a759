// distill against an endpoint on this machine that fails in every way that real ones do.

import assert from "node:assert/strict";
import { distill } from "../lib/distill/distill.ts";
import { delta, dripping, events, good, KEY, sse, streamed, withTeacher } from "./teacher.ts";

const one = [{ text: "Vanke" }];

Deno.test("429 with Retry-After is waited for", async () => {
  const busy = () => new Response("slow down", { status: 429, headers: { "retry-after": "1" } });
  await withTeacher([busy, good], async (options, asked) => {
    const { rows } = await distill(one, options);
    assert.equal(rows.length, 1);
    assert.ok(asked[1].at - asked[0].at >= 990, `${asked[1].at - asked[0].at} ms`);
  });
  const tomorrow = new Date(Date.now() + 86400e3).toUTCString();
  await withTeacher(
    [() => new Response("", { status: 429, headers: { "retry-after": tomorrow } })],
    async (options) => {
      await assert.rejects(distill(one, options), /asks to wait 8\d{4} s: go on later/);
    },
  );
});

const cut = () => sse(events(delta('{"risk": "Hi')));
const broken = () => sse(dripping([events(delta('{"risk"'))], 0, "break"));
const openStatus = {
  choices: [{ delta: { content: "" }, finish_reason: null }],
  error: { message: "overloaded" },
};
const passing: [string, () => Response | Promise<Response>, RegExp][] = [
  ["5xx", () => new Response("down", { status: 503, headers: { "retry-after": "0" } }), /503 \(down\)/],
  ["a cut stream", cut, /cut/],
  ["a broken connection", broken, /./],
  ["rubbish", () => sse(events("%%%")), /rubbish/],
  ["HTML", () => new Response("<html>", { headers: { "content-type": "text/html" } }), /HTML/],
  ["nothing at all", () => new Response(""), /sent nothing/],
  ["an error in the stream", () => sse(events(openStatus)), /overloaded/],
  ["an error under 200", () => Response.json({ error: { message: "no capacity" } }), /no capacity/],
  ["JSON of another kind", () => Response.json(["hello"]), /rubbish/],
];
for (const [name, fault, reason] of passing) {
  Deno.test(`${name}: asked again; rejected with the reason when it stays, and asked anew by the next run`, async () => {
    await withTeacher([fault, good], async (options) => {
      const { rows } = await distill(one, options);
      assert.equal(rows.length, 1);
    });
    await withTeacher([fault, good], async (options, asked) => {
      const never = { ...options, endpoint: { ...options.endpoint, retries: 0 } };
      const { rows, rejected } = await distill(one, never);
      assert.equal(rows.length, 0);
      assert.match(rejected[0].reason, reason);
      assert.equal((await distill(one, never)).rows.length, 1);
      assert.equal(asked.length, 2);
    });
  });
}

const wrong: [string, () => Response, RegExp][] = [
  ["half a JSON", () => streamed('{"risk": "Hi'), /the JSON is cut off/],
  ["an empty answer", () => streamed(""), /empty/],
  ["a value outside the schema", () => streamed('{"risk": "Huge"}'), /schema.*risk/],
  ["HTML as the answer's text", () => streamed("<html><body>Sorry</body></html>"), /HTML/],
  ["free text", () => streamed("The risk is High."), /there is no JSON/],
  ["thinking without an end", () => streamed('<thinking>Debt {"risk": "High"}'), /thinking has no end/],
  [
    "an answer cut at maxTokens",
    () => sse(events(delta('{"risk": "Low"}', "length"), "[DONE]")),
    /maxTokens/,
  ],
];
for (const [name, fault, reason] of wrong) {
  Deno.test(`${name}: told and asked again once, then rejected for good`, async () => {
    await withTeacher([fault, good], async (options, asked) => {
      assert.equal((await distill(one, options)).rows.length, 1);
      assert.equal(asked.length, 2);
      if (asked[1].body.messages.length > 1) assert.match(asked[1].body.messages.at(-1)!.content, reason);
    });
    await withTeacher([fault], async (options, asked) => {
      const { rejected } = await distill(one, options);
      assert.match(rejected[0].reason, reason);
      await distill(one, options);
      assert.equal(asked.length, 2, "a rejection is not paid for twice");
    });
  });
}

Deno.test("slow: given up after so many seconds without a byte, or ten times that without an end", async () => {
  const pieces = [events(delta('{"risk": ')), ...Array(40).fill(": keep-alive\n\n")];
  const rejection = async (body: () => ReadableStream<Uint8Array>, timeout: number) => {
    let reason = "";
    await withTeacher([() => sse(body())], async (options) => {
      const endpoint = { ...options.endpoint, retries: 0, timeout };
      reason = (await distill(one, { ...options, endpoint })).rejected[0]?.reason;
    });
    return reason;
  };
  assert.equal(await rejection(() => dripping(pieces.slice(0, 1), 0, "stay"), 0.2), "no byte in 0.2 s");
  assert.equal(await rejection(() => dripping(pieces, 50, "stay"), 0.12), "no whole answer in 1.2 s");
});

Deno.test("a slow body that keeps coming is waited for, comments count as signs of life", async () => {
  const whole = await good().text();
  const pieces = [...Array(5).fill(": keep-alive\n\n"), ...whole.match(/[^]{1,60}/g)!];
  await withTeacher([() => sse(dripping(pieces, 60, "close"))], async (options) => {
    const endpoint = { ...options.endpoint, retries: 0, timeout: 0.4 };
    assert.equal((await distill(one, { ...options, endpoint })).rows.length, 1);
  });
});

Deno.test("a redirect is not followed, to another host least of all: the key goes nowhere else", async () => {
  await withTeacher([good], async (elsewhere, askedElsewhere) => {
    const location = `${elsewhere.endpoint.baseURL!.replace("127.0.0.1", "localhost")}/chat/completions`;
    for (const status of [301, 302, 303, 307, 308]) {
      const away = () => new Response(null, { status, headers: { location } });
      await withTeacher([away], async (options, asked) => {
        await assert.rejects(
          distill(one, options),
          /sends requests on to http:\/\/localhost:\d+: give the address/,
        );
        assert.equal(asked.length, 1);
      });
    }
    assert.deepEqual(askedElsewhere, []);
  });
});

Deno.test("what no repetition mends is said at once, without the key", async () => {
  await withTeacher([() => new Response(`wrong key ${KEY}`, { status: 401 })], async (options, asked) => {
    await assert.rejects(() => distill(one, options), (error: Error) => {
      assert.match(error.message, /401 \(wrong key \[key\]\).*check the address/);
      return !error.message.includes(KEY);
    });
    assert.equal(asked.length, 1);
  });
  await withTeacher([() => new Response("too long", { status: 400 })], async (options) => {
    assert.deepEqual((await distill(one, options)).rejected, [{ row: 0, reason: "400 (too long)" }]);
  });
  await withTeacher([() => new Response("no such field", { status: 400 })], async (options, asked) => {
    const rows = Array.from({ length: 9 }, (_, i) => ({ text: `row ${i}` }));
    await assert.rejects(distill(rows, options), /refuses every question: 400 \(no such field\)/);
    assert.equal(asked.length, 3);
  });
  await withTeacher([() => streamed(`{"risk": "High", "echo": "${KEY}"}`)], async (options) => {
    assert.ok(!JSON.stringify((await distill(one, options)).rows.toArray()).includes(KEY));
  });
});

Deno.test("a stream that ends right behind its last event is whole; half an event is a cut", async () => {
  const whole = events(delta('{"risk": "High"}', "stop")).trimEnd();
  await withTeacher([() => sse(whole)], async (options, asked) => {
    assert.deepEqual([(await distill(one, options)).rows.length, asked.length], [1, 1]);
  });
  await withTeacher([() => sse(whole.slice(0, -9))], async (options) => {
    const never = { ...options, endpoint: { ...options.endpoint, retries: 0 } };
    assert.match((await distill(one, never)).rejected[0].reason, /cut/);
  });
});

Deno.test("Retry-After that has passed or is none: the pause grows as without one", async () => {
  for (const header of ["-5", "soon", new Date(Date.now() - 9000).toUTCString()]) {
    const busy = () => new Response("", { status: 429, headers: { "retry-after": header } });
    await withTeacher([busy, good], async (options, asked) => {
      await distill(one, options);
      assert.ok(asked[1].at - asked[0].at > 300, `${header}: ${asked[1].at - asked[0].at} ms`);
    });
  }
});
