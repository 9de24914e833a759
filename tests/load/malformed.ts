// Requests that are wrong in one way each, made from a seed; every one must be refused with a status from 400 to 499.
import { seededRandom } from "../../lib/data/random.ts";
import { raw } from "../served.ts";

type Random = () => number;

const pick = <T>(random: Random, list: readonly T[]): T => list[Math.floor(random() * list.length)];

/** Values that are no number, text, list or object that a field takes. */
const odd = (random: Random): unknown =>
  pick<unknown>(random, [{}, [[]], [{}], { a: 1 }, [null], { toString: 1 }, [{ role: 1 }], [["a"]], {
    type: "constructor",
  }]);

const valid = { model: "tiny", messages: [{ role: "user", content: "Who?" }], max_tokens: 1 };

/** One field that is out of range or of another type. */
function wrongField(random: Random): object {
  const numbers = [
    "temperature",
    "top_p",
    "n",
    "max_tokens",
    "max_completion_tokens",
    "top_k",
  ];
  const others = ["messages", "model", "stream", "stop", "logprobs", "seed", "presence_penalty"];
  const field = pick(random, [...numbers, ...others]);
  const wrong = numbers.includes(field) ? pick(random, [-3, 1e9, "1", true, -0.5, odd(random)]) : odd(random);
  return { ...valid, [field]: wrong };
}

const wrongMessages = (random: Random): unknown =>
  pick<unknown>(random, [
    [],
    "Who?",
    [{}],
    [{ role: "user" }],
    [{ role: "", content: "a" }],
    [{ role: "user", content: 5 }],
    [{ role: "user", content: [{ type: "image_url", image_url: { url: "x" } }] }],
    [{ role: "__proto__", content: "a" }],
    [null],
    [{ role: "user", content: "word ".repeat(500) }],
  ]);

/** A JSON text that is none: cut, or with a byte that does not belong. */
function brokenJson(random: Random): string {
  const text = JSON.stringify(valid), at = 1 + Math.floor(random() * (text.length - 2));
  return pick(random, [
    text.slice(0, at),
    `${text.slice(0, -1)},}`,
    text + pick(random, ["}", "]", ",", "x"]),
    "",
    "null",
    "[]",
    "5",
    '"text"',
    "[".repeat(1 + Math.floor(random() * 20_000)),
    "{'model': 'tiny'}",
    "NaN",
  ]);
}

type Send = (url: string, random: Random) => Promise<number>;

const json = { "content-type": "application/json" };
const chat = "/v1/chat/completions";

async function status(url: string, path: string, init: RequestInit): Promise<number> {
  const response = await fetch(url + path, init);
  await response.body?.cancel();
  return response.status;
}

const posted =
  (body: (random: Random) => BodyInit, path: string = chat, headers: HeadersInit = json): Send =>
  (url, random) => status(url, path, { method: "POST", headers, body: body(random) });

/** A line of raw bytes; the status that comes back, or 400 where the connection is closed without a word. */
const rawStatus = (text: (random: Random) => string): Send => async (url, random) => {
  const answer = await raw(url, text(random)).catch(() => "");
  return Number(/^HTTP\/1\.1 (\d+)/.exec(answer)?.[1] ?? 400);
};

const kinds: Send[] = [
  posted((random) => JSON.stringify(wrongField(random))),
  posted((random) => JSON.stringify({ ...valid, messages: wrongMessages(random) })),
  posted(brokenJson),
  posted(() => Uint8Array.of(0x7b, 0xff, 0xfe, 0x7d)),
  posted((random) =>
    JSON.stringify({ ...valid, model: pick(random, ["", "gpt", "../tiny", "tiny\u0000", "x".repeat(5000)]) })
  ),
  posted((random) =>
    JSON.stringify({ ...valid, [pick(random, ["tools", "functions", "audio"])]: [{ type: "function" }] })
  ),
  posted((random) =>
    JSON.stringify({
      ...valid,
      response_format: pick<unknown>(random, [5, "json", {}, { type: "yaml" }, { type: "json_schema" }, {
        type: "json_schema",
        json_schema: { schema: { type: "fish" } },
      }]),
    })
  ),
  posted(
    (random) =>
      JSON.stringify({
        model: "tiny",
        prompt: pick<unknown>(random, [
          undefined,
          5,
          {},
          [],
          [[]],
          [-1],
          [1.5],
          [1e12],
          [{}],
          [["a"]],
          Array(300).fill(5),
        ]),
      }),
    "/v1/completions",
  ),
  posted(() => JSON.stringify(valid), "/v1/embeddings"),
  posted(() => JSON.stringify(valid), chat, { "content-type": "text/plain" }),
  posted(() => JSON.stringify({ ...valid, user: "x".repeat(200_000) })),
  posted(() => JSON.stringify(valid), chat, { ...json, origin: "https://evil.example" }),
  (url, random) =>
    status(url, pick(random, [chat, "/v1/completions"]), {
      method: pick(random, ["GET", "PUT", "DELETE", "OPTIONS"]),
    }),
  (url, random) =>
    status(
      url,
      pick(random, ["/v1/models/none", "/v1/models/%E0%A4%A", "/etc/passwd", "/.env", "/v1"]),
      {},
    ),
  rawStatus((random) =>
    `GET /health HTTP/1.1\r\nHost: ${
      pick(random, ["evil.example", "evil.example:80", "127.0.0.1.evil.example"])
    }\r\nConnection: close\r\n\r\n`
  ),
  rawStatus((random) =>
    pick(random, [
      "GET\r\n\r\n",
      "\u0000\u0001\u0002\r\n\r\n",
      "GET / HTTP/9.9\r\n\r\n",
      "POST / HTTP/1.1\r\nContent-Length: x\r\n\r\n",
    ])
  ),
];

/** Sends so many, some at once; what was answered otherwise than with a status from 400 to 499. */
export async function sendMalformed(
  url: string,
  { count, seed = 1, clients = 20 }: { count: number; seed?: number; clients?: number },
): Promise<{ statuses: Record<string, number>; wrong: string[] }> {
  const random = seededRandom(seed), statuses: Record<string, number> = {}, wrong: string[] = [];
  let sent = 0;
  const client = async () => {
    while (sent < count) {
      const number = sent++, kind = number % kinds.length;
      const found = await kinds[kind](url, random).catch((error) => `${error}`);
      statuses[found] = (statuses[found] ?? 0) + 1;
      if (!(Number(found) >= 400 && Number(found) < 500)) {
        wrong.push(`request ${number}, kind ${kind}: ${found}`);
      }
    }
  };
  await Promise.all(Array.from({ length: clients }, client));
  return { statuses, wrong };
}
