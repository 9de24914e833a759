// The chat page without a browser: what it is made of, its Markdown, its reading of streams, its chats.
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { messagesFor } from "../lib/serve/page/history.js";
import {
  type Block,
  type Inline,
  parseInline,
  parseMarkdown,
  webAddress,
} from "../lib/serve/page/markdown.js";
import { chatPage, chatPageHeaders } from "../lib/serve/page/page.ts";
import { askAnswer, askConfig } from "../lib/serve/page/server.js";
import { pageServer, type Told } from "./page_server.ts";

const blocks = (text: string): Block[] => parseMarkdown(text).map(({ block }) => block);

/** Pieces as a short text: *em*, **strong**, `code`, [link](address). */
function shown(pieces: Inline[]): string {
  const marks = { strong: "**", em: "*", del: "~~" };
  return pieces.map((piece) => {
    if (piece.kind === "break") return "\n";
    if ("text" in piece) return piece.kind === "code" ? `<${piece.text}>` : piece.text;
    if (piece.kind === "link") return `{${shown(piece.inside)}|${piece.href}}`;
    return marks[piece.kind] + shown(piece.inside) + marks[piece.kind];
  }).join("");
}

Deno.test("one text: nothing is fetched, the policy knows style and script, nothing makes markup of strings", () => {
  const [, style] = /<style>([\s\S]*)<\/style>/.exec(chatPage)!;
  const [, script] = /<script type="module">([\s\S]*)<\/script>/.exec(chatPage)!;
  const policy = chatPageHeaders["content-security-policy"];
  for (const text of [style, script]) {
    assert.ok(policy.includes(`'sha256-${createHash("sha256").update(text).digest("base64")}'`));
  }
  assert.equal(chatPage.match(/<script/g)!.length, 1);
  assert.ok(chatPage.includes(`content="${policy.replace("; frame-ancestors 'none'", "")}"`));
  assert.doesNotMatch(chatPage, /<!-- \w+ -->/);
  assert.doesNotMatch(chatPage, /<[^>]+ (?:src|on\w+|style)=/);
  const addresses = new Set(chatPage.match(/https?:\/\/[\w.]+/g));
  assert.deepEqual([...addresses], ["http://www.w3.org"], "the name of SVG");
  assert.doesNotMatch(
    script,
    /innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\b|new Function|import\(/,
  );
  assert.ok(chatPage.length < 100_000, `${chatPage.length} characters`);
});

Deno.test("every exported name of the page's modules is a name of its own", () => {
  const [, script] = /<script type="module">([\s\S]*)<\/script>/.exec(chatPage)!;
  const names = [...script.matchAll(/^const \{ (.+) \} = \(\(\) => \{$/gm)].flatMap(([, list]) =>
    list.split(", ")
  );
  assert.ok(names.includes("parseMarkdown") && names.includes("askAnswer"));
  assert.equal(new Set(names).size, names.length);
});

Deno.test("inline Markdown", () => {
  const wanted: [string, string][] = [
    ["a **b** c", "a **b** c"],
    ["***both***", "***both***"],
    ["**a *b* c**", "**a *b* c**"],
    ["*a **b***", "*a **b***"],
    ["2 * 3 * 4, 2*3*4, P*(1+r)^n*q", "2 * 3 * 4, 2*3*4, P*(1+r)^n*q"],
    ["interest_rate_yearly and _so_", "interest_rate_yearly and *so*"],
    ["风险**高**的", "风险**高**的"],
    ["`a**b**` and ``c`d``", "<a**b**> and <c`d>"],
    ["**a `**` b**", "**a <**> b**"],
    ["an open ** and ` and [", "an open ** and ` and ["],
    ["~~old~~ \\*not\\* \\[x](y)", "~~old~~ *not* [x](y)"],
    ["one\ntwo", "one\ntwo"],
    ['[a](https://x.org/b_(c)) [b](<http://y.org> "t")', "{a|https://x.org/b_(c)} {b|http://y.org/}"],
    ["[a](javascript:alert(1)) [b](/c) [d](data:x)", "[a](javascript:alert(1)) [b](/c) [d](data:x)"],
    ["[a](JaVaScRiPt:x) [a](\thttps://x.org)", "[a](JaVaScRiPt:x) {a|https://x.org/}"],
    ["![p](https://x.org/p.png)", "{p|https://x.org/p.png}"],
    [
      "see https://x.org/a?b=c&d=e. Or (https://y.org).",
      "see {https://x.org/a?b=c&d=e|https://x.org/a?b=c&d=e}. Or ({https://y.org|https://y.org/}).",
    ],
    ["<https://x.org> <b>no</b> &lt;", "{https://x.org|https://x.org/} <b>no</b> &lt;"],
    ["[a https://y.org b](https://x.org)", "{a https://y.org b|https://x.org/}"],
    ["[**[a](https://y.org)**](https://x.org)", "{**a**|https://x.org/}"],
  ];
  for (const [text, pieces] of wanted) assert.equal(shown(parseInline(text)), pieces, text);
  for (
    const text of [
      "javascript:x",
      "https:x",
      "//x.org",
      "ftp://x.org",
      "https://",
      "http://\u0000",
      " https://x.org",
    ]
  ) {
    assert.equal(webAddress(text), undefined, text);
  }
});

Deno.test("blocks of Markdown", () => {
  const kinds = (text: string) => blocks(text).map(({ kind }) => kind);
  assert.deepEqual(kinds("# A #\ntext\n- a\n- b\n\n> q\n---\n1. x"), [
    "heading",
    "paragraph",
    "list",
    "quote",
    "rule",
    "list",
  ]);
  assert.deepEqual(blocks("### C# and more ##"), [
    { kind: "heading", level: 3, inside: [{ kind: "text", text: "C# and more" }] },
  ]);
  assert.deepEqual(
    blocks("```json\n{\n\n  1\n"),
    [{ kind: "code", language: "json", text: "{\n\n  1\n" }],
    "still open",
  );
  assert.deepEqual(blocks("~~~~\n```\n~~~\n~~~~\nend").map(({ kind }) => kind), ["code", "paragraph"]);
  const [list] = blocks("3. a\n   - b\n     c\n\n   d\n4. e\nlazy\n\nafter");
  assert.ok(list.kind === "list" && list.ordered && list.start === 3 && list.items.length === 2);
  assert.deepEqual(list.items[0].map(({ kind }) => kind), ["paragraph", "list", "paragraph"]);
  const [table, after] = blocks("| a | b \\| c |\n|:-:|--:|\n| 1 | 2 | 3 |\n| **4** |\n\nend");
  assert.ok(table.kind === "table" && after.kind === "paragraph");
  assert.deepEqual(table.align, ["center", "right"]);
  assert.deepEqual(table.head.map(shown), ["a", "b | c"]);
  assert.deepEqual(table.rows.map((row) => row.map(shown)), [["1", "2"], ["**4**", ""]]);
  assert.deepEqual(kinds("a | b\nno table"), ["paragraph"]);
  assert.deepEqual(kinds("1.5 is no list\n-5 neither"), ["paragraph"]);
});

Deno.test("Markdown that somebody means to hang the page with takes no time", () => {
  const many = 20_000;
  const bad = [
    "**a ",
    "[",
    "`a``b",
    "*a **b ",
    "> ",
    "- ",
    "_",
    "***a",
    "[a](",
    "<h",
    "\\",
    "- a\n",
    "![",
    " ",
    " #",
    "` ",
    "|",
  ]
    .map((piece) => piece.repeat(many));
  bad.push(`${"|a".repeat(many)}\n${"|-".repeat(many)}`, `|\n${" ".repeat(many)}x`, `# ${" ".repeat(many)}x`);
  bad.push(`https://${"a.".repeat(many)}`, `[a](${"(".repeat(many)}`, `\`${" a".repeat(many)}\``);
  for (const text of bad) {
    const begun = performance.now();
    parseMarkdown(text);
    const took = performance.now() - begun;
    assert.ok(took < 5000, `${JSON.stringify(text.slice(0, 10))}: ${Math.round(took)} ms`);
  }
});

Deno.test("each model sees its own answers, of others' only what it lacks", () => {
  const answer = (model: string, text: string) => ({ model, text, state: "done" as const });
  const turns = [
    { question: "1", answers: [answer("a", "A1"), answer("b", "B1")] },
    { question: "2", answers: [answer("b", "B2")] },
    { question: "failed", answers: [answer("a", "")] },
    { question: "3", answers: [] },
  ];
  const said = (model: string) => messagesFor(turns, model).map(({ content }) => content);
  assert.deepEqual(said("a"), ["1", "A1", "2", "B2", "3"]);
  assert.deepEqual(said("b"), ["1", "B1", "2", "B2", "3"]);
});

/** All pieces of an answer by the page's own client, asked of a server. */
async function pieces(told: Told, key?: string): Promise<unknown[]> {
  const server = pageServer({ answer: () => told, key: "secret" }), { fetch } = globalThis;
  globalThis.fetch = (path, init) => fetch(new URL(String(path), server.url), init);
  try {
    const found = [];
    const request = { model: "m", messages: [] };
    for await (const piece of askAnswer(request, key ?? "secret", new AbortController().signal)) {
      found.push(piece);
    }
    assert.equal((await askConfig(key ?? "secret")).config?.models.length, 2);
    return found;
  } finally {
    globalThis.fetch = fetch;
    await server.close();
  }
}

Deno.test("the page's client: pieces, and failures as sentences", async () => {
  assert.deepEqual(await pieces({ text: "ein Stück ü" }), [
    { text: "ein" },
    { text: " Stück" },
    { text: " ü" },
    { finish: "stop" },
    { tokens: 3 },
  ]);
  const failure = async (told: Told, key?: string) =>
    ((await pieces(told, key)).at(-1) as { failure: unknown }).failure;
  assert.deepEqual(await failure({ text: "half", breaks: true }), {
    kind: "gone",
    message: "The connection broke off before the answer's end.",
  });
  assert.deepEqual(await failure({ text: "Too long.", status: 400 }), {
    kind: "refused",
    message: "Too long.",
  });
  assert.deepEqual(await failure({ text: "", status: 429 }), {
    kind: "busy",
    message: "The server is busy: try again in 7 s.",
  });
  assert.deepEqual(await failure({ text: "" }, "wrong"), {
    kind: "key",
    message: "The server wants an API key: enter it in the settings.",
  });
});
