// Chat templates are programs from strangers: each ends, with a text or an error.
import assert from "node:assert/strict";
import { templateCompiler } from "../lib/text/jinja.ts";

const compile = await templateCompiler();
const messages = Array.from(
  { length: 400 },
  (_, i) => ({ role: i % 2 ? "assistant" : "user", content: "a ".repeat(500) }),
);

Deno.test("a long conversation renders as it would without bounds", async () => {
  const template = "{% for m in messages %}{% if messages[loop.index0 - 1].role != m.role or loop.first %}" +
    "<|{{ m.role }}|>{{ m['content'] | trim }}{{ messages | length }}{% endif %}{% endfor %}{{ messages | tojson(indent=2) }}" +
    "{% for i in range(3, 0, -1) if i != 2 %}{{ i }}{% endfor %}{% if none is none and True %}!{% endif %}";
  const { Template } = await import("@huggingface/jinja");
  assert.equal(compile(template)({ messages }), new Template(template).render({ messages }));
});

Deno.test("templates without an end, or without bounds", () => {
  const cases: [template: string, message: RegExp][] = [
    ["{% for i in range(10**9) %}{% endfor %}", /range\(\) of 1000000000 numbers is too long/],
    ["{% for i in range(90000) %}{% for j in range(90000) %}{% endfor %}{% endfor %}", /come to an end/],
    [
      "{% set n = namespace(s='xx') %}{% for i in range(60) %}{% set n.s = n.s ~ n.s %}{% endfor %}",
      /grows? without bounds/,
    ],
    [
      "{% set n = namespace(a=[1]) %}{% for i in range(60) %}{% set n.a = [n.a, n.a] %}{% endfor %}{{ n.a }}",
      /grows? without bounds/,
    ],
    ["{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}", /./],
    ["{{ messages | tojson(indent=100000000) }}", /100000000 is too large/],
    ["{{ 'x' | indent(width=500000000) }}", /500000000 is too large/],
    ["{{ range(0, 1, 0) }}", /must not be zero/],
  ];
  for (const [template, message] of cases) {
    const begin = performance.now();
    assert.throws(() => compile(template)({ messages }), message, template);
    assert.ok(performance.now() - begin < 10_000, template);
  }
});
