// Patterns of adapter configurations: the same answers as Python's re.fullmatch, and never a long wait.
import assert from "node:assert/strict";
import { UserError } from "../lib/errors.ts";
import { fullMatcher } from "../lib/python_regex.ts";

const module = "model.layers.11.self_attn.q_proj";

Deno.test("patterns as people write them", () => {
  const cases: [pattern: string, matches: boolean][] = [
    [".*(q_proj|v_proj)", true],
    [".*(k_proj|v_proj)", false],
    ["^(?!.*mlp).*_proj$", true],
    ["^(?!.*attn).*_proj$", false],
    [String.raw`model\.layers\.\d+\.self_attn\.[qv]_proj`, true],
    [String.raw`model\.layers\.([0-9]|1[0-5])\..*`, true],
    [String.raw`model\.layers\.\d\..*`, false],
    ["(?:.*?(?:vision|language|model).*?(?:self_attn|mlp).*?(?:q_proj|k_proj).*?)|(?:\\bother)", true],
    ["q_proj", false], // the whole name
    ["(?P<all>.*)", true],
    ["[^]x]{32}", true],
    ["[^]x]{33,}", false],
  ];
  for (const [pattern, matches] of cases) assert.equal(fullMatcher(pattern)(module), matches, pattern);
});

Deno.test("patterns on which backtracking takes for ever", () => {
  const begin = performance.now();
  const hostile = [
    "(([a-z_.0-9]+)+)+x",
    "(.*)*(.*)*!",
    "(a|.|_)*x",
    ".*".repeat(30) + "=",
    "(.{1,1000000000}){1,1000000000}x",
  ];
  for (const pattern of hostile) assert.equal(fullMatcher(pattern)(module), false, pattern);
  assert.ok(performance.now() - begin < 1000);
  for (const pattern of ["(", "a**", String.raw`(.)\1`, "(?<=a)b", "x".repeat(5000), "(".repeat(200)]) {
    assert.throws(() => fullMatcher(pattern), UserError, pattern);
  }
});
